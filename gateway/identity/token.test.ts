import assert from 'node:assert/strict';
import { createHmac } from 'node:crypto';
import { createServer, type Server } from 'node:http';
import { after, before, test } from 'node:test';
import { exportJWK, exportSPKI, generateKeyPair, type JWK, SignJWT } from 'jose';
import { type Config, parseConfig } from '../config.ts';
import { GatewayError } from '../errors.ts';
import { bearerOf, createTokenCheck, type TokenCheck } from './token.ts';

const NOW = 1_800_000_000_000;
const SECONDS = NOW / 1000;
const keys = await generateKeyPair('ES256', { extractable: true });
const stranger = await generateKeyPair('ES256', { extractable: true });
const jwk: JWK = { ...(await exportJWK(keys.publicKey)), kid: 'k1', alg: 'ES256', use: 'sig' };

let origin = '';
let fetched: string[] = [];
/** What the identity provider answers, by path; a test may replace it for itself. */
let answers: Record<string, () => { status?: number; body: unknown }> = {};
let server: Server;

before(async () => {
  server = createServer((request, response) => {
    const path = String(request.url);
    fetched.push(path);
    const answer = answers[path]?.() ?? { status: 404, body: {} };
    response.writeHead(answer.status ?? 200, { 'content-type': 'application/json', location: '/elsewhere' });
    response.end(JSON.stringify(answer.body));
  });
  await new Promise<void>((done) => server.listen(0, '127.0.0.1', done));
  origin = `http://127.0.0.1:${(server.address() as { port: number }).port}`;
  reset();
});
after(() => server.close());

function reset(): void {
  fetched = [];
  answers = { '/jwks': () => ({ body: { keys: [jwk] } }), '/evil': () => ({ body: { keys: [] } }) };
}

function configured(issuer: Record<string, unknown> = {}): Config {
  const upstream = { url: 'http://10.0.0.1' };
  return parseConfig({
    listen: { host: '127.0.0.1', port: 0 },
    publicUrl: 'https://mcp.example.com',
    data: '/data',
    stores: { recordings: 'file:///store' },
    policies: 'allow-all',
    issuers: { corp: { issuer: origin, jwksUri: `${origin}/jwks`, ...issuer } },
    connections: {
      orders: { upstream, groups: ['analysts', 'engineers'], credential: { none: true }, paths: ['/mcp', '/sse'] },
      payroll: { upstream, groups: ['hr'], credential: { none: true } },
    },
  });
}

const claims = () => ({
  iss: origin,
  aud: 'https://mcp.example.com/orders/mcp',
  sub: 'ana',
  jti: 'j1',
  exp: SECONDS + 600,
  email: 'ana@example.com',
  groups: ['analysts', 'everyone'],
  client_id: 'vscode',
});

function sign(change: Record<string, unknown> = {}, header: Record<string, unknown> = {}, key = keys.privateKey) {
  const payload = Object.fromEntries(
    Object.entries({ ...claims(), ...change }).filter(([, value]) => value !== undefined),
  );
  return new SignJWT(payload).setProtectedHeader({ alg: 'ES256', kid: 'k1', typ: 'at+jwt', ...header }).sign(key);
}

const encode = (value: unknown) => Buffer.from(JSON.stringify(value)).toString('base64url');

function at(now: number = NOW): TokenCheck {
  return createTokenCheck({ now: () => now });
}

async function refused(
  token: string,
  code: string,
  detail: string | undefined,
  config = configured(),
  check = at(),
): Promise<void> {
  await assert.rejects(check.check(token, 'orders', config), (error) => {
    assert.ok(error instanceof GatewayError, String(error));
    assert.deepEqual([error.code, error.detail, error.fate], [code, detail, 'not_forwarded']);
    for (const part of token.split('.')) assert.ok(part.length < 8 || !error.message.includes(part));
    return true;
  });
}

test('a good token is its principal', async () => {
  const { sessionKey, ...principal } = await at().check(await sign(), 'orders', configured());
  assert.deepEqual(principal, {
    kind: 'human',
    issuer: origin,
    subject: 'ana',
    email: 'ana@example.com',
    groups: ['analysts', 'everyone'],
    expires: SECONDS + 600,
    clientId: 'vscode',
  });
  assert.match(sessionKey, /^[0-9a-f]{64}$/);
});

test('typ by its media type, any path of the connection, configured audiences', async () => {
  const config = configured({ audience: ['extra'] });
  for (const typ of ['AT+JWT', 'application/at+jwt']) await at().check(await sign({}, { typ }), 'orders', config);
  for (const aud of ['extra', ['x', 'https://mcp.example.com/orders/sse']]) {
    await at().check(await sign({ aud }), 'orders', config);
  }
});

test('sessions differ by connection, subject and session claim, not by token', async () => {
  const config = configured({ audience: ['extra'] });
  const key = async (change: object, connection = 'orders') =>
    (await at().check(await sign({ aud: 'extra', groups: ['hr', 'analysts'], ...change }), connection, config))
      .sessionKey;
  const first = await key({});
  assert.equal(await key({ exp: SECONDS + 900 }), first);
  const others = [
    await key({ jti: 'j2' }),
    await key({ sub: 'bob' }),
    await key({}, 'payroll'),
    await key({ sub: 'anaj', jti: '1' }),
  ];
  assert.equal(new Set([first, ...others]).size, 5);
});

test('attack: alg none, with and without a signature', async () => {
  for (const alg of ['none', 'None', 'NONE']) {
    const head = `${encode({ alg, typ: 'at+jwt', kid: 'k1' })}.${encode(claims())}`;
    await refused(`${head}.`, 'unauthenticated', "The token's algorithm is not accepted.");
    await refused(`${head}.AAAA`, 'unauthenticated', "The token's algorithm is not accepted.");
  }
});

test('attack: HS256 keyed with the public key', async () => {
  const head = `${encode({ alg: 'HS256', typ: 'at+jwt', kid: 'k1' })}.${encode(claims())}`;
  for (const secret of [await exportSPKI(keys.publicKey), JSON.stringify(jwk)]) {
    const forged = `${head}.${createHmac('sha256', secret).update(head).digest('base64url')}`;
    await refused(forged, 'unauthenticated', "The token's algorithm is not accepted.");
  }
});

test('attack: unknown and traversing kid; unknown kids do not make the issuer be asked again', async () => {
  reset();
  const check = at();
  for (const kid of ['k2', '../../evil', '/dev/null', '__proto__']) {
    await refused(
      await sign({}, { kid }),
      'unauthenticated',
      'No key of the issuer fits the token.',
      configured(),
      check,
    );
  }
  assert.deepEqual(fetched, ['/jwks']);
});

test("attack: the token's own jwk, jku and x5u are not looked at", async () => {
  reset();
  const own = { jwk: await exportJWK(stranger.publicKey), jku: `${origin}/evil`, x5u: `${origin}/evil` };
  await refused(await sign({}, own, stranger.privateKey), 'unauthenticated', "The token's signature does not verify.");
  assert.deepEqual(fetched, ['/jwks']);
});

test('attack: unknown crit and an unencoded payload', async () => {
  const head = encode({ alg: 'ES256', typ: 'at+jwt', kid: 'k1', crit: ['x'], x: 1 });
  await refused(`${head}.${encode(claims())}.AAAA`, 'unauthenticated', 'The token needs what is not supported.');
});

test('attack: an ID token, and no typ', async () => {
  await refused(await sign({}, { typ: 'JWT' }), 'unauthenticated', "The token's typ is not accepted.");
  await refused(await sign({}, { typ: undefined }), 'unauthenticated', "The token's typ is not accepted.");
  await at().check(await sign({}, { typ: 'JWT' }), 'orders', configured({ typ: ['JWT'] }));
});

const TIMES_AND_NAMES: readonly (readonly [string, Record<string, unknown>, string])[] = [
  ['expired', { exp: SECONDS }, 'The token has expired.'],
  ['nbf in the future', { nbf: SECONDS + 1 }, 'The token is not valid yet.'],
  ['no exp', { exp: undefined }, 'The token lacks the claim exp.'],
  ['no aud', { aud: undefined }, 'The token lacks the claim aud.'],
  ['no sub', { sub: undefined }, 'The token lacks the claim sub.'],
  ['no jti', { jti: undefined }, 'The token lacks the claim jti.'],
  ['empty jti', { jti: '' }, "The token's claim jti is not acceptable."],
  ['jti a number', { jti: 1 }, "The token's claim jti is not acceptable."],
  [
    "another connection's audience",
    { aud: 'https://mcp.example.com/payroll/mcp' },
    'The token is for another audience.',
  ],
  ['the origin as audience', { aud: 'https://mcp.example.com' }, 'The token is for another audience.'],
  ['a trailing slash in aud', { aud: 'https://mcp.example.com/orders/mcp/' }, 'The token is for another audience.'],
  ['another issuer', { iss: 'https://evil.example.com' }, 'The token is of an unknown issuer.'],
  ['no issuer', { iss: undefined }, 'The token is of an unknown issuer.'],
];
for (const [name, change, detail] of TIMES_AND_NAMES) {
  test(`refused: ${name}`, async () => refused(await sign(change), 'unauthenticated', detail));
}

test('a trailing slash of the issuer counts', async () => {
  await refused(await sign({ iss: `${origin}/` }), 'unauthenticated', 'The token is of an unknown issuer.');
});

test('groups: outside, missing, overflowed, of another shape', async () => {
  await assert.rejects(at().check(await sign({ groups: ['hr'] }), 'orders', configured()), {
    code: 'not_in_group',
    detail: undefined,
  });
  await assert.rejects(at().check(await sign({ groups: [] }), 'orders', configured()), {
    code: 'not_in_group',
    detail: undefined,
  });
  await refused(
    await sign({ groups: undefined }),
    'not_in_group',
    'Your groups are unknown: the token lacks the claim groups.',
  );
  for (const groups of ['analysts', ['analysts', 1], { 0: 'analysts' }, null]) {
    await refused(
      await sign({ groups }),
      'not_in_group',
      'Your groups are unknown: the claim groups is not a list of names.',
    );
  }
  const overflow = { _claim_names: { groups: 'src1' }, _claim_sources: { src1: { endpoint: `${origin}/evil` } } };
  for (const groups of [undefined, ['analysts']]) {
    await refused(
      await sign({ groups, ...overflow }),
      'not_in_group',
      'Your groups are unknown: they did not fit into the token.',
    );
  }
});

test('kind comes from the issuer, or from a claim that must be there', async () => {
  assert.equal((await at().check(await sign(), 'orders', configured({ kind: 'agent' }))).kind, 'agent');
  const byClaim = configured({ claims: { kind: 'k' } });
  assert.equal((await at().check(await sign({ k: 'agent' }), 'orders', byClaim)).kind, 'agent');
  await refused(await sign(), 'unauthenticated', "The token's claim k is not acceptable.", byClaim);
});

test('attack: any changed byte of the signature or payload', async () => {
  const token = await sign();
  const [head = '', body = '', signature = ''] = token.split('.');
  const bytes = Buffer.from(signature, 'base64url');
  for (const place of [0, 31, 32, 63]) {
    const changed = Buffer.from(bytes);
    changed.writeUInt8(bytes.readUInt8(place) ^ 1, place);
    await refused(
      `${head}.${body}.${changed.toString('base64url')}`,
      'unauthenticated',
      "The token's signature does not verify.",
    );
  }
  const bob = encode({ ...claims(), sub: 'bob' });
  await refused(`${head}.${bob}.${signature}`, 'unauthenticated', "The token's signature does not verify.");
});

test('malformed and over-long tokens', async () => {
  for (const token of ['', 'a', 'a.b', 'a.b.c', 'a.b.c.d.e', `${encode({})}.${encode([])}.`]) {
    await refused(token, 'unauthenticated', 'The token is malformed.');
  }
  await refused('a'.repeat(16 * 1024 + 1), 'unauthenticated', 'The token is too long.');
});

test('cached: not past exp, not past 60 s, not for another connection or configuration', async () => {
  reset();
  let now = NOW;
  const check = createTokenCheck({ now: () => now });
  const config = configured();
  const [soon, late] = [await sign({ exp: SECONDS + 30 }), await sign({ jti: 'j2' })];
  const first = await check.check(soon, 'orders', config);
  const second = await check.check(late, 'orders', config);
  assert.equal(await check.check(soon, 'orders', config), first);
  assert.notEqual(await check.check(soon, 'orders', configured()), first);
  await assert.rejects(check.check(soon, 'payroll', config), { code: 'unauthenticated' });
  now += 29_999;
  assert.equal(await check.check(soon, 'orders', config), first);
  now += 1;
  await refused(soon, 'unauthenticated', 'The token has expired.', config, check);
  now += 29_999;
  assert.equal(await check.check(late, 'orders', config), second);
  now += 1;
  assert.notEqual(await check.check(late, 'orders', config), second);
  assert.deepEqual(fetched, ['/jwks']);
});

test('many calls with one new token verify once and fetch once', async () => {
  reset();
  const check = at();
  const [token, config] = [await sign(), configured()];
  const found = await Promise.all(Array.from({ length: 20 }, () => check.check(token, 'orders', config)));
  assert.equal(new Set(found).size, 1);
  assert.deepEqual(fetched, ['/jwks']);
});

test('keys are discovered, from OpenID Connect metadata first, with the issuer to the letter', async () => {
  const config = () => configured({ jwksUri: undefined });
  const metadata = (issuer: string) => () => ({ body: { issuer, jwks_uri: `${origin}/jwks` } });
  reset();
  answers['/.well-known/openid-configuration'] = metadata(origin);
  await at().check(await sign(), 'orders', config());
  assert.deepEqual(fetched, ['/.well-known/openid-configuration', '/jwks']);

  reset();
  answers['/.well-known/openid-configuration'] = metadata(`${origin}/`);
  answers['/.well-known/oauth-authorization-server'] = metadata(origin);
  await at().check(await sign(), 'orders', config());
  assert.deepEqual(fetched.slice(1), ['/.well-known/oauth-authorization-server', '/jwks']);

  reset();
  answers['/.well-known/openid-configuration'] = () => ({ body: { issuer: origin, jwks_uri: 'file:///etc/passwd' } });
  await refused(await sign(), 'identity_unavailable', undefined, config());
});

test('keys out of reach: nobody is called unauthenticated, the issuer is left alone 2 s, then asked again', async () => {
  reset();
  let now = NOW;
  const check = createTokenCheck({ now: () => now });
  const [token, config] = [await sign(), configured()];
  for (const status of [500, 302]) {
    answers['/jwks'] = () => ({ status, body: {} });
    fetched = [];
    now += 2000;
    await refused(token, 'identity_unavailable', undefined, config, check);
    await refused(token, 'identity_unavailable', undefined, config, check);
    assert.deepEqual(fetched, ['/jwks']);
  }
  reset();
  now += 2000;
  assert.equal((await check.check(token, 'orders', config)).subject, 'ana');
  await refused(token, 'identity_unavailable', undefined, configured({ jwksUri: 'http://127.0.0.1:1/jwks' }));
});

test('keys over 1 MiB are not read', async () => {
  reset();
  answers['/jwks'] = () => ({ body: { keys: [jwk], padding: 'x'.repeat(1024 * 1024) } });
  await refused(await sign(), 'identity_unavailable', undefined);
  reset();
});

test('bearerOf: one Authorization header, Bearer, token68', () => {
  assert.equal(bearerOf(['Host', 'x', 'AUTHORIZATION', 'bEaReR a.b-c_~+/=']), 'a.b-c_~+/=');
  assert.equal(bearerOf(['Host', 'authorization']), undefined);
  const wrong = [
    '',
    'Bearer',
    'Bearer ',
    'Basic YTpi',
    'Bearer a b',
    'Bearer a,b',
    'Bearer a, Bearer b',
    'Bearer =a',
    'Bearer é',
    'Bearera',
    `Bearer ${'a'.repeat(17_000)}`,
  ];
  for (const value of wrong)
    assert.throws(() => bearerOf(['Authorization', value]), { code: 'unauthenticated' }, value);
  assert.throws(() => bearerOf(['Authorization', 'Bearer a', 'authorization', 'Bearer a']), {
    code: 'unauthenticated',
  });
});

test('a connection that is not configured, or a name of Object.prototype, is not found', async () => {
  for (const name of ['nope', 'constructor', '__proto__']) {
    await assert.rejects(at().check(await sign(), name, configured()), { code: 'not_found' });
  }
});
