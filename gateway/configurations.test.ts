import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { stringify } from 'yaml';
import { loadConfigFile } from './config-file.ts';
import { openConfigurations } from './configurations.ts';
import { createKeyring } from './identity/keyring.ts';
import { createLog } from './log.ts';
import { ALLOW_ALL } from './policy/allow-all.ts';
import { createPolicy } from './policy/decide.ts';
import { createMemoryStore } from './store/memory.ts';

const folder = mkdtempSync(join(tmpdir(), 'verbatim-configurations-'));
after(() => rmSync(folder, { recursive: true }));
const file = join(folder, 'verbatim.yaml');

function write(credentials: Record<string, { credential: unknown; credentialByGroup?: unknown }>): void {
  const upstream = { url: 'https://orders.googleapis.com' };
  const connections = Object.entries(credentials).map(([name, one]) => [name, { upstream, groups: ['all'], ...one }]);
  const configuration = {
    listen: { host: '127.0.0.1', port: 0 },
    publicUrl: 'http://127.0.0.1:1',
    data: './data',
    stores: { recordings: `file://${folder}/store` },
    policies: 'allow-all',
    issuers: { test: { issuer: 'http://127.0.0.1:2' } },
    connections: Object.fromEntries(connections),
  };
  writeFileSync(file, stringify(configuration));
}

test('credentials of this machine that can not be read: a warning a connection, at start and at each change', async () => {
  writeFileSync(join(folder, 'there'), 'CANARY-a-secret\n');
  writeFileSync(join(folder, 'lines.json'), '{\n"a": 1\n}\n');
  writeFileSync(join(folder, 'two'), 'CANARY-one\nCANARY-two\n');
  const gcp = 'gcp-secret:projects/p/secrets/s/versions/1';
  const good = {
    none: { credential: { none: true } },
    there: { credential: { bearer: 'file:there' } },
    key: { credential: { googleIdToken: { key: 'file:lines.json' } } },
    // Asked at the first call, and not before: these would need the network.
    remote: { credential: { header: 'X-Key', value: gcp } },
    account: { credential: { googleIdToken: { serviceAccount: 'a@p.iam.gserviceaccount.com' } } },
  };
  const oauthClient = { tokenUrl: 'https://idp.example/token', clientId: 'c', clientSecret: 'file:two' };
  write({
    ...good,
    file: { credential: { bearer: 'file:gone' } },
    both: {
      credential: { bearer: 'env:VERBATIM_TEST_UNSET' },
      credentialByGroup: [{ groups: ['all'], credential: { oauthClient } }],
    },
  });
  const first = loadConfigFile(file);
  assert.ok(first.ok, JSON.stringify(first));
  const lines: string[] = [];
  const warned = (): unknown[] =>
    lines
      .splice(0)
      .map((line) => JSON.parse(line))
      .filter(({ event }) => event === 'credential_unreadable')
      .map(({ severity, connection, reason }) => [severity, connection, reason]);
  const configurations = await openConfigurations({
    file,
    first,
    policy: createPolicy(ALLOW_ALL),
    store: createMemoryStore(),
    log: createLog({ write: (line) => void lines.push(line) }),
    now: Date.now,
    announce: async () => {},
    openLogin: async () => undefined,
    openKeyring: async () => createKeyring([Buffer.alloc(32)]),
    announceRecording: async () => {},
  });
  assert.ok(!lines.join().includes('CANARY'));
  const unset = 'env:VERBATIM_TEST_UNSET: its environment variable is not set';
  assert.deepEqual(warned(), [
    ['WARNING', 'file', `file:${join(folder, 'gone')}: its file does not exist (ENOENT)`],
    ['WARNING', 'both', `${unset}; file:${join(folder, 'two')}: it holds control characters`],
  ]);
  await configurations.reload();
  assert.deepEqual(warned(), [], 'the same file');
  write({ ...good, later: { credential: { bearer: 'file:later' } } });
  await configurations.reload();
  assert.deepEqual(
    warned().map((one) => (one as string[])[1]),
    ['later'],
  );
  write(good);
  await configurations.reload();
  assert.deepEqual(warned(), []);
  await configurations.close();
});
