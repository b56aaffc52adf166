/** `verbatim seal` as a process, on disks whose gateway never came back. */
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, beforeEach, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { stringify } from 'yaml';
import { createClock } from '../gateway/clock.ts';
import { type Disk, openDisk } from '../gateway/disk.ts';
import { createGoogleApi } from '../gateway/google-api.ts';
import { createGoogleKms } from '../gateway/google-kms.ts';
import { type LedgerKeys, openLedgerKeys } from '../gateway/ledger-keys.ts';
import { noteLedgerOpened } from '../gateway/ledger-opened.ts';
import { openRecordings } from '../gateway/recording/read.ts';
import { openRecorder, type Recorder } from '../gateway/recording/recorder.ts';
import { createTestStore, event, requestFrame, START } from '../gateway/recording/test-recorder.ts';
import { createFilesystemStore } from '../gateway/store/filesystem.ts';
import type { Store } from '../gateway/store/store.ts';
import { configurationFor } from './gateway-under-test.ts';
import { mountSmallDisk } from './small-disk.ts';

const run = promisify(execFile);
const root = await mkdtemp(join(tmpdir(), 'verbatim-seal-'));
const small = mountSmallDisk(8);
after(async () => {
  if (typeof small !== 'string') await small.unmount();
  await rm(root, { recursive: true, force: true });
});

let folder: string;
let data: string;
let store: Store;
let audit: Store;
let made = 0;

beforeEach(async () => {
  folder = join(root, `${made++}`);
  data = join(folder, 'disk');
  store = createFilesystemStore({ root: join(folder, 'store') });
  audit = createFilesystemStore({ root: join(folder, 'store-audit') });
  await createTestStore(store);
});

interface Ran {
  readonly code: number;
  readonly said: string;
  readonly result: Record<string, unknown>;
}

async function seal(...options: readonly string[]): Promise<Ran> {
  const bin = fileURLToPath(new URL('../gateway/cli/bin.js', import.meta.url));
  const args = ['--disable-warning=ExperimentalWarning', bin, 'seal', data, '--json', ...options];
  const { stdout, stderr, code } = await run(process.execPath, args).then(
    (out) => ({ ...out, code: 0 }),
    (error: { stdout: string; stderr: string; code: number }) => error,
  );
  return { code, said: stderr, result: stdout === '' ? {} : JSON.parse(stdout) };
}

interface Under {
  readonly disk: Disk;
  readonly recorder: Recorder;
  /** As a machine that is gone: its disk is as it was. */
  lose(): Promise<void>;
}

/** What a gateway records with, on a real disk. `down`: its store can't be reached. */
async function openUnder(down: boolean): Promise<Under> {
  const clock = createClock();
  const disk = await openDisk(data);
  const keys: LedgerKeys = await openLedgerKeys({
    disk,
    signing: undefined,
    kms: createGoogleKms(createGoogleApi({ google: {} })),
  });
  await noteLedgerOpened(disk, audit, keys.firstKey, clock);
  let lost = false;
  const create: Store['create'] = async (name, bytes) => {
    if (down || lost) throw new Error('The store is not there.');
    return store.create(name, bytes);
  };
  const recorder = await openRecorder({
    path: disk.path,
    ledger: disk.ledger,
    journalKey: disk.keys.journal,
    signer: keys.signer,
    firstKey: keys.firstKey,
    formerSigner: keys.formerSigner,
    store: { ...store, create },
    clock,
    sealEvery: 3_600_000,
    events: { checkpoint() {}, heartbeat() {}, unsigned() {}, keyChanged() {}, taken() {}, failed() {} },
  });
  return {
    disk,
    recorder,
    async lose() {
      lost = true;
      const state = await readFile(join(data, 'state.json'));
      await recorder.stop();
      await writeFile(join(data, 'state.json'), state);
      await disk.release();
    },
  };
}

async function verified() {
  const recordings = openRecordings(store, { audit });
  const { ledgers, problems } = await recordings.verifyAll({ verifierKeys: [], now: Date.now() });
  assert.deepEqual(problems, []);
  const [ledger] = ledgers;
  assert.ok(ledger !== undefined && ledgers.length === 1);
  return ledger;
}

async function typesOf(session: string): Promise<string[]> {
  const types: string[] = [];
  for await (const item of openRecordings(store, { audit }).frames(session)) {
    assert.equal(item.kind, 'frame');
    if (item.kind === 'frame') types.push(item.frame.type);
  }
  return types;
}

test('what a lost gateway left is seen, sealed, and sealed once; a gateway that has the disk keeps it', async () => {
  const under = await openUnder(true);
  const strand = await under.recorder.begin('s', START);
  await strand.commit(requestFrame('x'));
  const busy = await seal('--dry-run');
  assert.equal(busy.code, 1);
  assert.match(busy.said, /is in use/);
  await under.lose();

  const dry = await seal('--dry-run');
  assert.equal(dry.code, 0);
  assert.deepEqual(dry.result.strands, [{ session: 's', frames: 2, open: true }]);
  assert.deepEqual(await readdir(join(folder, 'store')).then((names) => names.includes('ledger')), false);
  assert.equal((await seal()).code, 2);

  const sealed = await seal('--store', store.url);
  assert.equal(sealed.code, 0);
  assert.deepEqual([sealed.result.sealed, sealed.result.closed], [true, false]);
  assert.deepEqual(await typesOf('s'), ['session.start', 'request', 'end', 'gap']);
  const { leaves, closed } = await verified();
  assert.equal(closed, undefined);
  assert.equal((await seal('--store', store.url)).code, 0);
  assert.equal((await verified()).leaves, leaves);

  // The next owner goes on with the same recording.
  const next = await openUnder(false);
  await next.recorder.strand('s')?.commit(event('afterwards'));
  await next.recorder.seal();
  await next.lose();
  assert.deepEqual(await typesOf('s'), ['session.start', 'request', 'end', 'gap', 'event']);
});

test('a retired disk: recordings and ledger are ended, told to the auditor, and used by nobody again', async () => {
  const under = await openUnder(false);
  await under.recorder.begin('s', START);
  await under.recorder.seal();
  await under.lose();

  const elsewhere = createFilesystemStore({ root: join(folder, 'another') });
  await elsewhere.create('a', Buffer.from('a'));
  const wrong = await seal('--store', elsewhere.url, '--audit-store', audit.url, '--retire', 'replaced');
  assert.equal(wrong.code, 1);
  assert.match(wrong.said, /another store/);

  const config = join(folder, 'verbatim.yaml');
  const at = { folder, issuer: { url: 'http://127.0.0.1:1' }, port: 1, origin: 'http://127.0.0.1:2', pathname: '/mcp' };
  await writeFile(config, stringify(configurationFor(at)));
  const retired = await seal('--config', config, '--retire', 'replaced');
  assert.deepEqual([retired.code, retired.result.closed], [0, true]);
  const { closed } = await verified();
  assert.ok(closed !== undefined);
  assert.deepEqual((await typesOf('s')).at(-1), 'strand.end');
  const kinds: string[] = [];
  for await (const name of audit.list('audit/')) {
    kinds.push(JSON.parse(Buffer.from((await audit.get(name)) ?? []).toString()).kind);
  }
  assert.deepEqual(kinds, ['ledger.opened', 'ledger.closed']);
  await assert.rejects(openUnder(false), { name: 'LedgerClosedError' });
});

test('a damaged journal: refused as it is; with --accept-loss what is whole is there, the rest is a gap and set aside', async () => {
  const under = await openUnder(true);
  const strand = await under.recorder.begin('s', START);
  await strand.commit(event('whole'));
  const { file, offset } = under.recorder.journal.end();
  await strand.commit(event('broken'));
  await under.recorder.begin('t', START);
  await under.lose();
  const journal = join(data, 'journal', `${String(file).padStart(10, '0')}.journal`);
  const bytes = await readFile(journal);
  bytes[offset + 50] = (bytes[offset + 50] ?? 0) ^ 1;
  await writeFile(journal, bytes);

  const refused = await seal('--store', store.url);
  assert.equal(refused.code, 1);
  const behind = bytes.length - offset;
  const { words, ...damage } = refused.result.damage as Record<string, unknown>;
  assert.deepEqual(damage, { file, offset, bytes: behind });
  assert.match(String(words), /is damaged behind byte/);
  assert.ok((await readFile(journal)).equals(bytes));

  const accepted = await seal('--store', store.url, '--accept-loss');
  assert.deepEqual([accepted.code, accepted.result.sealed], [0, true]);
  const [kept] = await readdir(String(accepted.result.lost));
  assert.ok((await readFile(join(String(accepted.result.lost), String(kept)))).equals(bytes));
  // One for the crash, one for the loss; of the ledger, one for all sessions besides.
  assert.deepEqual(await typesOf('s'), ['session.start', 'event', 'gap', 'gap']);
  assert.equal((await verified()).gaps, 3);
  const next = await openUnder(false);
  assert.deepEqual(
    [...next.recorder.strands()].map(({ session }) => session),
    ['s'],
  );
  await next.lose();
});

for (const left of ['sealing', 'journal'] as const) {
  test(`a full disk of which the bytes for ${left} are left is sealed with them`, {
    skip: typeof small === 'string' && small,
  }, async () => {
    assert.ok(typeof small !== 'string');
    data = join(small.path, left);
    const under = await openUnder(true);
    const strand = await under.recorder.begin('s', START);
    await strand.commit(requestFrame('x'));
    await under.lose();
    const reserved = join(data, `reserve.${left}`);
    await writeFile(reserved, randomBytes(1024 ** 2));
    await small.fill();
    try {
      const sealed = await seal('--store', store.url);
      assert.deepEqual([sealed.code, sealed.result.sealed], [0, true], sealed.said);
    } finally {
      await small.clear();
    }
    assert.equal((await readdir(data)).includes(`reserve.${left}`), false);
    assert.deepEqual(await typesOf('s'), ['session.start', 'request', 'end', 'gap']);
  });
}
