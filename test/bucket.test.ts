/** Gateways on buckets: what they keep there, with the least that they may do, and what commands make of it. */
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { promisify } from 'node:util';
import { Client, type OAuthClientProvider, StreamableHTTPClientTransport } from '@modelcontextprotocol/client';
import { stringify } from 'yaml';
import type { Person } from '../gateway/sessions/approval.ts';
import { createTestApproving } from './approving.ts';
import { configurationFor, freePort } from './gateway-under-test.ts';
import { type GcsDouble, startGcs } from './gcs/gcs.ts';
import { createLoginStorage } from './login-storage.ts';
import { startLoginWorld } from './login-world.ts';
import { framesOf } from './recorded.ts';

const run = promisify(execFile);
const LEA: Person = {
  kind: 'human',
  issuer: 'https://idp.example.com',
  subject: 'lea',
  email: 'lea@example.com',
  groups: ['engineers'],
};
const CREATE = ['roles/storage.objectCreator'] as const;
const READ = ['roles/storage.objectViewer'] as const;

let gcs: GcsDouble;
before(async () => {
  gcs = await startGcs({
    anonymous: [],
    buckets: {
      acme: { retentionSeconds: 3600, locked: true, grants: { anonymous: CREATE } },
      'acme-audit': { retentionSeconds: 3600, locked: true, grants: { anonymous: CREATE } },
      'acme-state': { grants: { anonymous: [...CREATE, ...READ] } },
    },
  });
  process.env.STORAGE_EMULATOR_HOST = gcs.url;
});
after(() => gcs.close());

function letRead(): void {
  for (const bucket of ['acme', 'acme-audit']) gcs.grant(bucket, { anonymous: READ });
}

async function verbatim(...args: string[]): Promise<{ out: string; err: string }> {
  const { stdout, stderr } = await run(process.execPath, ['gateway/cli/bin.js', ...args]);
  return { out: stdout, err: stderr };
}

test('two gateways on buckets: login, calls, refresh, approval, freeze; all of it is read and proved', async () => {
  await using world = await startLoginWorld({ replicas: 2, config: { stores: { recordings: 'gs://acme' } } });
  // What is left behind is searched for secrets when they close; until then nobody may read a recording.
  using _ = { [Symbol.dispose]: letRead };
  const [first, second] = world.replicas;
  assert.ok(first !== undefined && second !== undefined);
  const storage = createLoginStorage('ana');
  const authProvider = storage as OAuthClientProvider;
  const client = new Client({ name: 'bucket', version: '1' });
  const open = () => new StreamableHTTPClientTransport(new URL(world.mcp), { authProvider });
  const opening = open();
  await assert.rejects(client.connect(opening));
  await opening.finishAuth(storage.arrived().searchParams);
  await client.connect(open());
  storage.spoilAccessToken();
  await Promise.all([1, 2, 3, 4].map(() => client.listTools()));
  assert.equal(storage.logins(), 1);

  const asked = await createTestApproving(() => first).ask();
  const { approvals } = second.gateway.approving;
  assert.deepEqual(
    (await approvals.waitingFor(LEA)).map(({ id }) => id),
    [asked.id],
  );
  await approvals.decide(asked.id, { by: LEA, authenticated: Date.now() / 1000, verdict: 'approve' });
  assert.deepEqual(await first.gateway.approving.approvals.waitingFor(LEA), []);

  await verbatim(
    'freeze',
    '--connection',
    'fixture',
    '--reason',
    'a test',
    '--until-lifted',
    '--config',
    first.configFile,
  );
  for (const deadline = Date.now() + 10_000; ; ) {
    const code = await client.listTools().then(
      () => undefined,
      (error: unknown) => error,
    );
    if (code !== undefined) break;
    assert.ok(Date.now() < deadline, 'the freeze is not in force');
  }
  const { out: frozen } = await verbatim(
    'freeze',
    '--list',
    '--json',
    '--state',
    'gs://acme-state',
    '--audit',
    'gs://acme-audit',
  );
  assert.match(frozen, /"reason": ?"a test"/);
  await client.close();

  letRead();
  await second.gateway.seal();
  const starts = (await framesOf(first)).filter((frame) => frame.type === 'session.start');
  assert.equal(starts.length, 1);
  const { out: proof } = await verbatim('verify', '--all', '--json', '--store', 'gs://acme');
  assert.deepEqual((JSON.parse(proof) as { problems: unknown[] }).problems, []);
  for (const operation of [
    'objects.delete',
    'objects.patch',
    'objects.rewrite',
    'uploads.start',
    'buckets.get',
  ] as const) {
    assert.equal(gcs.calls[operation], 0, operation);
  }
});

test('what is wrong with a bucket is said in words, by the gateway and by every command', async () => {
  gcs.createBucket('closed');
  const folder = await mkdtemp(join(tmpdir(), 'verbatim-bucket-'));
  const file = join(folder, 'gateway.yaml');
  const at = { folder, issuer: { url: 'https://idp.example.com' }, port: await freePort(), pathname: '/mcp' };
  const stores = { recordings: 'gs://there-is-none' };
  await writeFile(file, stringify(configurationFor({ ...at, origin: 'http://127.0.0.1:1' }, { config: { stores } })));
  const nobody = { HOME: folder, METADATA_SERVER_DETECTION: 'none' };
  const cases: [string[], code: number, RegExp, env?: Record<string, string>][] = [
    [['sessions', '--store', 'gs://there-is-none'], 1, /^verbatim: There is no bucket gs:\/\/there-is-none/],
    [['sessions', '--store', 'gs://closed'], 1, /storage\.objects\.list|credentials/],
    [['sessions', '--store', 'gs://closed'], 1, /^verbatim: No Google credentials for gs:\/\/closed: /, nobody],
    [['show', 'latest', '--store', 'gs://closed/folder'], 2, /Write gs:\/\/BUCKET/],
    [['gateway', '--config', file], 1, /There is no bucket gs:\/\/there-is-none-audit/],
  ];
  for (const [args, code, words, env = process.env] of cases) {
    const failed = await run(process.execPath, ['gateway/cli/bin.js', ...args], { env }).then(
      () => assert.fail(args.join(' ')),
      (error: { code: number; stderr: string }) => error,
    );
    assert.equal(failed.code, code, `${args.join(' ')}: ${failed.stderr}`);
    assert.match(failed.stderr, words);
    assert.ok(!/\n\s+at /.test(failed.stderr), failed.stderr);
  }
  await rm(folder, { recursive: true });
});
