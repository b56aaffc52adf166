import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { test } from 'node:test';
import type { ConnectionConfig } from '../../config.ts';
import type { UserCredentials } from '../../proxy/credential-user.ts';
import { createMemoryStore } from '../../store/memory.ts';
import { createKeyring } from '../keyring.ts';
import type { UpstreamConsent } from '../upstream-consent.ts';
import { createAccounts } from './accounts.ts';
import type { Login } from './login.ts';

const BACK = 'https://gateway.example/connect/account/orders';
const ana = { issuer: 'https://idp.example', subject: 'ana', groups: ['analysts'] };
const orders = { name: 'orders' } as ConnectionConfig;
const other = { name: 'other' } as ConnectionConfig;

function start() {
  const finished: { subject: string; url: string; memory: string | undefined }[] = [];
  let now = 1_800_000_000_000;
  const consent: UpstreamConsent = {
    begin: async ({ state, principal }) => ({
      url: `https://upstream.example/authorize?state=${state}`,
      memory: { verifier: `of ${principal.subject}` },
    }),
    finish: async ({ principal, url, memory }) =>
      void finished.push({ subject: principal.subject, url: url.href, memory: memory.verifier }),
  };
  const accounts = createAccounts({
    state: createMemoryStore(),
    now: () => now,
    consent,
    credentials: {} as UserCredentials,
  });
  const login = {
    keyring: createKeyring([randomBytes(32)]),
    config: { publicUrl: 'https://gateway.example' },
  } as Login;
  /** What the upstream answers to the consent that this person has begun. */
  const answer = async (person = ana, connection = orders): Promise<string> => {
    const url = new URL(await accounts.begin(login, connection, person, BACK));
    return `?code=secret&state=${url.searchParams.get('state')}`;
  };
  /** The key of what came back, as the browser has it. */
  const back = async (search: string): Promise<string> =>
    new URL(await accounts.onward(login, 'orders', search)).searchParams.get('answer') ?? '';
  return { accounts, login, finished, answer, back, pass: (milliseconds: number) => (now += milliseconds) };
}

const over = { name: 'LoginRefused', code: 'login_over' };

test('what comes back from an upstream is taken once, for the person and the connection that went', async () => {
  const { accounts, login, finished, answer, back } = start();
  const search = await answer();
  const first = await back(search);
  assert.ok(!first.includes('secret'), 'the code stands in no second address');
  await accounts.finish(login, orders, ana, first);
  assert.deepEqual(finished, [
    { subject: 'ana', url: `https://gateway.example/oauth/upstream/callback/orders${search}`, memory: 'of ana' },
  ]);
  await assert.rejects(accounts.finish(login, orders, ana, first), over);
  await assert.rejects(back(search), over);
  assert.equal(finished.length, 1);
});

for (const [name, connection, person] of [
  ['another person', orders, { ...ana, subject: 'eve' }],
  ['the same name at another identity provider', orders, { ...ana, issuer: 'https://evil.example' }],
  ['another connection', other, ana],
] as const) {
  test(`${name} takes nothing of it`, async () => {
    const { accounts, login, finished, answer, back } = start();
    await assert.rejects(accounts.finish(login, connection, person, await back(await answer())), over);
    assert.deepEqual(finished, []);
  });
}

test('what nobody went for leads nowhere', async () => {
  const { accounts, login, answer, back, finished, pass } = start();
  const search = await answer();
  await assert.rejects(accounts.onward(login, 'other', search), over);
  for (const bad of ['', '?code=x', '?code=x&state=nobody', `${search}&state=x`, `${search}&x=${'x'.repeat(9000)}`]) {
    await assert.rejects(back(bad), over, bad.slice(0, 30));
  }
  for (const made of ['', 'x', Buffer.from(search).toString('base64url')]) {
    await assert.rejects(accounts.finish(login, orders, ana, made), over);
  }
  const late = await back(search);
  pass(60_000);
  await assert.rejects(accounts.finish(login, orders, ana, late), over);
  pass(540_000);
  await assert.rejects(back(search), over);
  assert.deepEqual(finished, []);
});
