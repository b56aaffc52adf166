import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { test } from 'node:test';
import type { ConnectionConfig } from '../../config.ts';
import type { Rechecked } from '../broker/identity-provider.ts';
import { createKeyring } from '../keyring.ts';
import { createAuthorize } from './authorize.ts';
import type { GrantRecord, Grants } from './grants.ts';
import type { Login } from './login.ts';

const HOUR = 3_600_000;
const NOW = 1_800_000_000_000;
const keyring = createKeyring([randomBytes(32)]);
const connection = { name: 'orders', paths: ['/mcp'], groups: ['analysts'] } as unknown as ConnectionConfig;
const identity = { issuer: 'https://idp.example', subject: 'ana', groups: ['analysts'] };

/** A person who comes in by a provider that has a directory, or not. */
async function person(options: { refreshToken?: string; directory?: Rechecked; blocked?: string; longest?: number }) {
  const { refreshToken, directory, blocked, longest = 12 * HOUR } = options;
  const opened: GrantRecord[] = [];
  const events: Record<string, unknown>[] = [];
  const authorize = createAuthorize({
    grants: { open: async (record: GrantRecord) => void opened.push(record) } as unknown as Grants,
    now: () => NOW,
    event: async (name, details) => void events.push({ ...details, name }),
    blocked: () => blocked,
  });
  const login = {
    keyring,
    config: {
      publicUrl: 'https://gateway.example',
      sessions: { longest, idle: HOUR },
      connections: { orders: connection },
    },
    providers: new Map([
      ['corp', { name: 'corp', title: 'Corp', domains: [], protocol: { recheck: async () => directory } }],
    ]),
  } as unknown as Login;
  const given = { ...identity, ...(refreshToken === undefined ? {} : { refreshToken }) };
  const target = { login, connection, client: { id: 'alpha' } };
  const entrance = { address: '192.0.2.1', redirect: '127.0.0.1' };
  const record = authorize.person(target, 'corp', given, entrance);
  return { record, opened, events };
}

test('a session is short where nobody can be asked about its person again', async () => {
  const lasts = async (options: Parameters<typeof person>[0]): Promise<number> =>
    ((await (await person(options)).record).expires - NOW) / HOUR;
  assert.equal(await lasts({ refreshToken: 'token' }), 12);
  assert.equal(await lasts({ directory: { groups: ['analysts'] } }), 12);
  assert.equal(await lasts({}), 4);
  assert.equal(await lasts({ longest: HOUR }), 1);
});

test('the identity provider’s refresh token is sealed for this session', async () => {
  const { record } = await person({ refreshToken: 'a secret token' });
  const { recheck = '', session } = await record;
  assert.ok(!JSON.stringify(await record).includes('a secret token'));
  assert.equal(keyring.open('idp-refresh-token', recheck, session), 'a secret token');
  assert.equal(keyring.open('idp-refresh-token', recheck, 'another session'), undefined);
});

test('whom an operator keeps out gets no session', async () => {
  const { record, opened, events } = await person({ blocked: 'You are kept out.' });
  await assert.rejects(record, { code: 'principal_blocked' });
  assert.deepEqual([opened, events], [[], []]);
});

test('a login is recorded with who, where, by what and from where', async () => {
  const { record, events } = await person({});
  const { session } = await record;
  assert.deepEqual(events, [
    {
      ...{ name: 'login', session, connection: 'orders', kind: 'human', provider: 'corp' },
      ...{ issuer: 'https://idp.example', subject: 'ana', groups: ['analysts'], client: 'alpha' },
      ...{ redirect: '127.0.0.1', address: '192.0.2.1' },
    },
  ]);
});
