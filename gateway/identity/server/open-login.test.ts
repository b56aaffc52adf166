import assert from 'node:assert/strict';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { createMemoryStore } from '../../store/memory.ts';
import { createKeyring } from '../keyring.ts';
import { openKeyring } from '../open-keyring.ts';
import { configFor } from './fixture.ts';
import type { Login } from './login.ts';
import { openLogin } from './open-login.ts';

const OWN = Buffer.alloc(32, 'o');
const FIRST = 'the first secret, of more than 32 bytes';
const SECOND = 'another secret, of more than 32 bytes too';

let folder = '';
before(async () => {
  folder = await mkdtemp(join(tmpdir(), 'verbatim-open-login-'));
  for (const [name, content] of [
    ['first', `${FIRST}\n`],
    ['same', FIRST],
    ['second', SECOND],
    ['short', `${'x'.repeat(31)}\n`],
    ['certificate', 'no certificate'],
    ['keys', '{"keys":[{"kty":"oct","k":"c2VjcmV0"}]}'],
  ] as const) {
    await writeFile(join(folder, name), content);
  }
});
after(() => rm(folder, { recursive: true }));

/** Tables are made before the folder is. */
const file = (name: string): string => `file:{folder}/${name}`;
const oidc = (clientSecret = file('first')) => ({ issuer: 'https://idp.example.com', clientId: 'x', clientSecret });

async function open(login: Record<string, unknown>): Promise<Login> {
  const written = JSON.stringify({ providers: { corp: { oidc: oidc() } }, ...login });
  const config = configFor(JSON.parse(written.replaceAll('{folder}', folder)));
  assert.ok(config.login !== undefined);
  return openLogin(config, config.login, {
    state: createMemoryStore(),
    now: Date.now,
    keyring: await openKeyring(config, OWN),
    documentFailed: () => {},
    serverOf: async () => assert.fail(),
  });
}

test('the keys are those of the secrets that are named, in their order; without any, of this disk', async () => {
  const kids = ({ keyring }: Login) => keyring.signingKeys.map(({ kid }) => kid);
  const expected = (...secrets: Buffer[]) => createKeyring(secrets).signingKeys.map(({ kid }) => kid);
  const { keyring: own } = await open({});
  assert.deepEqual(
    own.signingKeys.map(({ kid }) => kid),
    expected(OWN),
  );
  const both = [Buffer.from(SECOND), Buffer.from(FIRST)];
  assert.deepEqual(kids(await open({ secrets: [file('second'), file('first')] })), expected(...both));
});

for (const [what, login, words] of [
  ['a secret that is too short', { secrets: [file('first'), file('short')] }, /^login\.secrets\.1 .* 32 bytes/],
  // The keys would have the same ids: no login would work, and nothing would have said so.
  ['the same secret twice', { secrets: [file('first'), file('second'), file('same')] }, /^login\.secrets\.2 .*\.0/],
  ['a secret that is not there', { secrets: [file('none')] }, undefined],
  ['a certificate that is none', { providers: { corp: { saml: saml() } } }, /login\.providers\.corp/],
  ['keys of a client that are secret', { clients: { x: client({ jwks: 'keys' }) } }, /^login\.clients\.x\.jwks/],
  ['a secret of a client that is not there', { clients: { x: client({ secret: 'none' }) } }, undefined],
] as const) {
  test(`it does not take force: ${what}`, async () => {
    await assert.rejects(open(login), (error: Error) => {
      if (words !== undefined) assert.match(error.message, words);
      for (const secret of [FIRST, SECOND, 'x'.repeat(31), 'c2VjcmV0']) assert.ok(!error.message.includes(secret));
      return true;
    });
  });
}

function saml() {
  const entryPoint = 'https://idp.example.com/sso';
  return { entryPoint, entityId: 'https://idp.example.com', certificates: [file('certificate')] };
}

function client(references: Record<string, string>) {
  const named = Object.entries(references).map(([key, name]) => [key, file(name)]);
  return { ...Object.fromEntries(named), redirectUris: ['https://x.example/cb'] };
}

test('a provider’s client secret may come later: it is read when it is shown', async () => {
  const login = await open({ providers: { corp: { oidc: oidc(file('none')) } } });
  assert.deepEqual([...login.providers.keys()], ['corp']);
});

test('an authorization server is made once, at its first use', async () => {
  const config = configFor({ providers: { corp: { oidc: oidc() } } });
  assert.ok(config.login !== undefined);
  const made: string[] = [];
  const login = await openLogin(config, config.login, {
    state: createMemoryStore(),
    now: Date.now,
    keyring: createKeyring([OWN]),
    documentFailed: () => {},
    async serverOf(_login, connection) {
      made.push(connection);
      return { connection } as never;
    },
  });
  assert.deepEqual(made, []);
  const [one, two] = await Promise.all([login.serverOf('orders'), login.serverOf('orders')]);
  assert.equal(one, two);
  await login.serverOf('other');
  assert.deepEqual(made, ['orders', 'other']);
});
