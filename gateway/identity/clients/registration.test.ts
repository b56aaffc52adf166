import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { test } from 'node:test';
import { createKeyring } from '../keyring.ts';
import {
  MOST_ID_CHARACTERS,
  openClientId,
  type RegisteredMetadata,
  readRegistration,
  registrationAnswer,
  sealClientId,
} from './registration.ts';

const rules = { redirectHosts: ['claude.ai', 'claude.com', 'vscode.dev'] };
const first = randomBytes(32);
const keyring = createKeyring([first]);
const NOW = Date.UTC(2026, 10, 28);
const CALLBACK = 'http://127.0.0.1/callback';

function accepted(body: unknown, with_ = rules): RegisteredMetadata {
  const read = readRegistration(body, with_);
  assert.ok(read.ok, JSON.stringify(read));
  return read.metadata;
}

/** Bodies as these clients send them. */
const REAL: Readonly<Record<string, Record<string, unknown>>> = {
  SDK1: {
    client_name: 'Simple OAuth MCP Client',
    redirect_uris: ['http://localhost:8090/callback'],
    grant_types: ['authorization_code', 'refresh_token'],
    response_types: ['code'],
    token_endpoint_auth_method: 'client_secret_post',
    scope: 'mcp',
  },
  SDK2: {
    client_name: 'Example client',
    redirect_uris: ['http://localhost:8090/callback'],
    grant_types: ['authorization_code', 'refresh_token'],
    response_types: ['code'],
    token_endpoint_auth_method: 'none',
    application_type: 'native',
    scope: 'mcp',
  },
  'mcp-remote': {
    client_name: 'MCP CLI Proxy',
    client_uri: 'https://github.com/modelcontextprotocol/mcp-cli',
    redirect_uris: ['http://localhost:3334/oauth/callback'],
    grant_types: ['authorization_code', 'refresh_token'],
    response_types: ['code'],
    token_endpoint_auth_method: 'none',
    software_id: '2e6dc280-f3c3-4e01-99a7-8181dbd1d23d',
    software_version: '0.15.1',
    scope: 'openid email profile',
  },
  Inspector: {
    client_name: 'MCP Inspector',
    client_uri: 'https://github.com/modelcontextprotocol/inspector',
    redirect_uris: ['http://localhost:6274/oauth/callback', 'http://localhost:6274/oauth/callback/debug'],
    grant_types: ['authorization_code', 'refresh_token'],
    response_types: ['code'],
    token_endpoint_auth_method: 'none',
    scope: '',
  },
  'VS Code': {
    client_name: 'Visual Studio Code',
    client_uri: 'https://code.visualstudio.com',
    grant_types: ['authorization_code', 'refresh_token', 'urn:ietf:params:oauth:grant-type:device_code'],
    response_types: ['code'],
    redirect_uris: [
      'https://insiders.vscode.dev/redirect',
      'https://vscode.dev/redirect',
      'http://127.0.0.1/',
      'http://127.0.0.1:33418/',
    ],
    token_endpoint_auth_method: 'none',
    application_type: 'native',
  },
  Cursor: {
    client_name: 'Cursor',
    redirect_uris: [
      'cursor://anysphere.cursor-mcp/oauth/callback',
      'https://www.cursor.com/agents/mcp/oauth/callback',
      'https://www.cursor.com/bot/mcp/oauth/callback',
      'http://localhost:8787/callback',
      'grokbot://mcp/oauth/callback',
    ],
    grant_types: ['authorization_code', 'refresh_token'],
    response_types: ['code'],
    token_endpoint_auth_method: 'none',
  },
  'Claude Code': {
    client_name: 'Claude Code (orders)',
    redirect_uris: ['http://localhost:54321/callback'],
    grant_types: ['authorization_code', 'refresh_token'],
    response_types: ['code'],
    token_endpoint_auth_method: 'none',
  },
};

for (const [client, body] of Object.entries(REAL)) {
  test(`${client} registers, and its id is short`, (context) => {
    for (const redirectHosts of [rules.redirectHosts, ['*']]) {
      const metadata = accepted(body, { redirectHosts });
      const id = sealClientId(keyring, metadata, NOW);
      context.diagnostic(`${id.length} characters for ${metadata.redirect_uris.length} addresses`);
      assert.ok(id.length < 450);
      assert.match(id, /^v1\.[A-Za-z0-9_-]+$/);
      const opened = openClientId(keyring, id, { redirectHosts });
      assert.deepEqual(opened, {
        client_id: id,
        client_name: body.client_name,
        redirect_uris: metadata.redirect_uris,
        grant_types: ['authorization_code', 'refresh_token'],
        response_types: ['code'],
        response_modes: ['query'],
        token_endpoint_auth_method: 'none',
        application_type: 'native',
        id_token_signed_response_alg: 'ES256',
        client_id_issued_at: NOW / 1000,
      });
      const answer = registrationAnswer(id, metadata, NOW);
      assert.equal(answer.client_id, id);
      assert.equal(answer.token_endpoint_auth_method, 'none');
      assert.equal(answer.scope, 'mcp');
      assert.equal('client_secret' in answer, false);
    }
  });
}

test('only known fields are registered', () => {
  const metadata = accepted({
    redirect_uris: [CALLBACK],
    client_name: '<script>alert(1)</script>',
    logo_uri: 'https://evil.example/logo',
    client_uri: 'javascript:alert(1)',
    jwks_uri: 'http://169.254.169.254/',
    client_secret: 'mine',
    client_id: 'mine',
    scope: 'openid mcp admin',
    application_type: 'web',
    subject_type: 'pairwise',
    token_endpoint_auth_method: 'client_secret_basic',
  });
  assert.deepEqual(metadata, {
    // To be escaped by who shows it.
    client_name: '<script>alert(1)</script>',
    redirect_uris: [CALLBACK],
    grant_types: ['authorization_code', 'refresh_token'],
    response_types: ['code'],
    token_endpoint_auth_method: 'none',
    application_type: 'native',
    scope: 'mcp',
  });
});

const NAMES: readonly [unknown, string | undefined][] = [
  ['Claude Code', 'Claude Code'],
  ['  two\r\n lines\t', 'two lines'],
  ['evil\u202Egnp.exe\u2066\u200f', 'evilgnp.exe'],
  ['zero\u200bwidth\u00ad\ufeff\u{e0041}\u3164', 'zerowidth'],
  ['nul\0 \u001b[31mred\u009f', 'nul [31mred'],
  ['half \ud800 a pair', 'half a pair'],
  ['wide\u2003\u3000\u2800space', 'wide space'],
  ['Ünï©ode 客户', 'Ünï©ode 客户'],
  ['😀'.repeat(150), '😀'.repeat(100)],
  ['x'.repeat(1_000_000), 'x'.repeat(100)],
  ['\u200b\n', undefined],
  ['', undefined],
  [null, undefined],
  [17, undefined],
  [['a'], undefined],
];

for (const [name, clean] of NAMES) {
  test(`the name ${JSON.stringify(name)?.slice(0, 40)} is shown as ${clean?.slice(0, 20)}`, () => {
    const metadata = accepted({ redirect_uris: [CALLBACK], client_name: name });
    assert.equal(metadata.client_name?.replaceAll(/ +/g, ' '), clean);
    assert.equal('client_name' in metadata, clean !== undefined);
  });
}

const REFUSED: readonly [string, unknown, string][] = [
  ['no object', null, 'invalid_client_metadata'],
  ['a list', [], 'invalid_client_metadata'],
  ['text', 'redirect_uris', 'invalid_client_metadata'],
  ['no redirects', {}, 'invalid_redirect_uri'],
  ['an empty list', { redirect_uris: [] }, 'invalid_redirect_uri'],
  ['no list', { redirect_uris: CALLBACK }, 'invalid_redirect_uri'],
  ['no text in it', { redirect_uris: [{ href: CALLBACK }] }, 'invalid_redirect_uri'],
  ['eleven', { redirect_uris: Array(11).fill(CALLBACK) }, 'invalid_redirect_uri'],
  ['javascript:', { redirect_uris: [CALLBACK, 'javascript:alert(1)'] }, 'invalid_redirect_uri'],
  ['another host', { redirect_uris: ['https://evil.example/callback'] }, 'invalid_redirect_uri'],
  ['too much', { redirect_uris: [1, 2].map((n) => `http://127.0.0.1/${n}${'a'.repeat(400)}`) }, 'invalid_redirect_uri'],
  ['no code grant', { redirect_uris: [CALLBACK], grant_types: ['client_credentials'] }, 'invalid_client_metadata'],
  ['no code response', { redirect_uris: [CALLBACK], response_types: ['token'] }, 'invalid_client_metadata'],
  ['grants of no list', { redirect_uris: [CALLBACK], grant_types: 'authorization_code' }, 'invalid_client_metadata'],
];

for (const [what, body, error] of REFUSED) {
  test(`a registration is refused: ${what}`, () => {
    const read = readRegistration(body, rules);
    assert.equal(read.ok, false);
    assert.equal(!read.ok && read.error, error);
  });
}

test('the longest registration has an id that opens', () => {
  for (const length of [300, 305, 310, 315, 320, 325, 330, 335, 340, 345, 350]) {
    const body = { redirect_uris: [1, 2].map((n) => `http://127.0.0.1/${n}${'a'.repeat(length)}`) };
    const read = readRegistration(body, rules);
    if (!read.ok) continue;
    const id = sealClientId(keyring, read.metadata, NOW);
    assert.ok(id.length <= MOST_ID_CHARACTERS);
    assert.ok(openClientId(keyring, id, rules));
  }
});

test('grants: a subset, refresh only where it was asked for', () => {
  const only = accepted({ redirect_uris: [CALLBACK], grant_types: ['authorization_code'] });
  assert.deepEqual(only.grant_types, ['authorization_code']);
  const id = sealClientId(keyring, only, NOW);
  assert.deepEqual(openClientId(keyring, id, rules)?.grant_types, ['authorization_code']);
});

test('what this gateway did not seal is nobody', () => {
  const metadata = accepted({ redirect_uris: [CALLBACK] });
  const id = sealClientId(keyring, metadata, NOW);
  const foreign = sealClientId(createKeyring([randomBytes(32)]), metadata, NOW);
  const flipped = (at: number) => `${id.slice(0, at)}${id[at] === 'A' ? 'B' : 'A'}${id.slice(at + 1)}`;
  const forged = Buffer.from(JSON.stringify({ t: 1, r: ['https://evil.example/'] })).toString('base64url');
  const hostile = [
    foreign,
    flipped(4),
    flipped(30),
    flipped(id.length - 2),
    id.slice(0, -1),
    `${id}A`,
    `${id}=`,
    `${id}\n`,
    ` ${id}`,
    id.replace('v1.', 'v2.'),
    id.slice(3),
    `v1.${forged}`,
    'v1.',
    '',
    '\0',
    `v1.${'A'.repeat(10_000_000)}`,
    // Longer than any that this gateway gives out.
    `v1.${keyring.seal('client', JSON.stringify({ t: 1, r: [CALLBACK], n: 'x'.repeat(2000) }))}`,
    // Sealed here, for another purpose or with other content.
    `v1.${keyring.seal('login', JSON.stringify({ t: 1, r: [CALLBACK] }))}`,
    `v1.${keyring.seal('client', 'no JSON')}`,
    `v1.${keyring.seal('client', JSON.stringify({ t: 1, r: CALLBACK }))}`,
    `v1.${keyring.seal('client', JSON.stringify({ t: 1, r: ['javascript:alert(1)'] }))}`,
  ];
  for (const one of hostile) assert.equal(openClientId(keyring, one, rules), undefined, one.slice(0, 40));
  assert.ok(openClientId(keyring, id, rules));
});

test('one id has one spelling', () => {
  // 43 bytes: the last character carries bits that decode to nothing.
  for (const name of ['a', 'ab', 'abc']) {
    const id = sealClientId(keyring, accepted({ redirect_uris: [CALLBACK], client_name: name }), NOW);
    const last = id.at(-1) ?? '';
    const alphabet = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_';
    for (const other of alphabet.replace(last, '')) {
      assert.equal(openClientId(keyring, id.slice(0, -1) + other, rules), undefined);
    }
  }
});

test('rules of today apply to ids of yesterday', () => {
  const body = { redirect_uris: ['https://claude.ai/cb', 'https://vscode.dev/redirect'] };
  const id = sealClientId(keyring, accepted(body), NOW);
  assert.deepEqual(openClientId(keyring, id, { redirectHosts: ['vscode.dev'] })?.redirect_uris, [
    'https://vscode.dev/redirect',
  ]);
  assert.equal(openClientId(keyring, id, { redirectHosts: [] }), undefined);
});

test('an id outlives a change of secret, until the old one is gone', () => {
  const id = sealClientId(keyring, accepted({ redirect_uris: [CALLBACK] }), NOW);
  const next = randomBytes(32);
  assert.ok(openClientId(createKeyring([next, first]), id, rules));
  assert.equal(openClientId(createKeyring([next]), id, rules), undefined);
});
