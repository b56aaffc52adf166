import assert from 'node:assert/strict';
import { generateKeyPairSync, sign } from 'node:crypto';
import { mkdtemp, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, beforeEach, test } from 'node:test';
import { createClock } from './clock.ts';
import { makeFolder } from './durable-file.ts';
import { type GoogleKms, KmsError } from './google-kms.ts';
import { encodeVerifierKey } from './ledger/checkpoint.ts';
import { emptyFrontier } from './ledger/tree.ts';
import { keptSigning, openLedgerKeys } from './ledger-keys.ts';
import { noteLedgerOpened } from './ledger-opened.ts';
import { createWriteAhead, type LedgerState } from './recording/write-ahead.ts';
import { createMemoryStore } from './store/memory.ts';

const root = await mkdtemp(join(tmpdir(), 'verbatim-ledger-keys-'));
after(() => rm(root, { recursive: true, force: true }));

const LEDGER = '01980000-0000-7000-8000-00000000d15c';
const NAME = `verbatim/${LEDGER}`;
const version = (number: number) => `projects/p/locations/l/keyRings/r/cryptoKeys/k/cryptoKeyVersions/${number}`;

let path = '';
let asked: string[] = [];
let down = false;
const pairs = new Map<string, ReturnType<typeof generateKeyPairSync>>();

const kms: GoogleKms = {
  async publicKey(asking) {
    asked.push(asking);
    if (down) throw new KmsError('unavailable', asking, 'HTTP 503 UNAVAILABLE');
    const pair = pairs.get(asking) ?? generateKeyPairSync('ed25519');
    pairs.set(asking, pair);
    return { version: asking, publicKey: Buffer.from(pair.publicKey.export({ format: 'jwk' }).x ?? '', 'base64url') };
  },
  signer: (name, { version: of, publicKey }) => ({
    name,
    verifierKey: encodeVerifierKey(name, publicKey),
    sign: async (text) => sign(null, text, pairs.get(of)?.privateKey ?? assert.fail('no such version')),
  }),
};

beforeEach(async () => {
  path = await mkdtemp(join(root, 'd-'));
  await makeFolder(join(path, 'keys'));
  asked = [];
  down = false;
});

const DISK = () => ({ path, ledger: LEDGER });

const open = (number?: number) =>
  openLedgerKeys({
    disk: DISK(),
    signing: number === undefined ? undefined : { kms: version(number) },
    kms,
  });

/** What a gateway leaves that ran with these keys and stored one checkpoint under the last of them. */
async function ran(first: string, ...more: string[]): Promise<void> {
  await noteLedgerOpened(DISK(), createMemoryStore(), first, createClock());
  const state: LedgerState = {
    v: 1,
    ledger: LEDGER,
    sealed: { file: 0, offset: 0 },
    nextEntries: 9,
    nextCheckpoint: 9,
    frontier: { ...emptyFrontier() },
    checkpointed: 9,
    keys: [{ verifierKey: more.at(-1) ?? first, leaf: more.length - 1 }],
    strands: [],
  };
  await createWriteAhead(path).writeState(state);
}

const exists = (name: string) =>
  stat(join(path, name)).then(
    () => true,
    () => false,
  );

test('a new disk makes its own key, readable by nobody else, and keeps it', async () => {
  const { signer, firstKey } = await open();
  assert.deepEqual([signer.name, firstKey], [NAME, signer.verifierKey]);
  assert.equal((await stat(join(path, 'keys', 'ledger.pem'))).mode & 0o077, 0);
  assert.equal((await open()).signer.verifierKey, firstKey);
});

test('a new disk that KMS signs for has no key of its own, and needs KMS once', async () => {
  down = true;
  await assert.rejects(open(1), /is read once for each disk/);
  down = false;
  const { signer, describe } = await open(1);
  await ran(signer.verifierKey);
  assert.equal(await exists('keys/ledger.pem'), false);
  assert.equal(describe(signer.verifierKey), version(1));
  down = true;
  assert.equal((await open(1)).signer.verifierKey, signer.verifierKey);
  assert.deepEqual(asked, [version(1), version(1)]);
  // Another version is another key.
  await assert.rejects(open(2), /HTTP 503 UNAVAILABLE/);
});

test('from the disk’s key to KMS, to another version and back: each former key still signs', async () => {
  const own = await open();
  await ran(own.signer.verifierKey);
  const one = await open(1);
  assert.equal(one.firstKey, own.signer.verifierKey);
  assert.ok(one.formerSigner(own.signer.verifierKey) !== undefined);
  await ran(one.firstKey, one.signer.verifierKey);
  const two = await open(2);
  assert.ok(two.formerSigner(one.signer.verifierKey) !== undefined);
  await ran(one.firstKey, one.signer.verifierKey, two.signer.verifierKey);
  // Once its last checkpoint is stored the file may go; going back makes another key.
  await rm(join(path, 'keys', 'ledger.pem'));
  const back = await open();
  assert.ok(back.formerSigner(two.signer.verifierKey) !== undefined);
  assert.notEqual(back.signer.verifierKey, own.signer.verifierKey);
  assert.equal(back.firstKey, own.signer.verifierKey);
});

const LOST = /is missing from a disk that has been in use/;

test('a used disk whose key is gone, or another one, is refused and gets no new one', async () => {
  const { signer } = await open();
  await ran(signer.verifierKey);
  const file = join(path, 'keys', 'ledger.pem');
  const bytes = await readFile(file);
  await rm(file);
  await assert.rejects(open(), LOST);
  await assert.rejects(open(1), LOST);
  assert.equal(await exists('keys/ledger.pem'), false);
  const other = generateKeyPairSync('ed25519').privateKey.export({ type: 'pkcs8', format: 'pem' });
  await writeFile(file, other);
  await assert.rejects(open(), LOST);
  await writeFile(file, bytes);
  assert.equal((await open()).signer.verifierKey, signer.verifierKey);
});

test('a disk of before keys could change has its own key; without it it is refused', async () => {
  const { signer } = await open();
  await writeFile(join(path, 'ledger-opened'), '2026-11-22T18:04:05.123456Z\n');
  assert.equal((await open(1)).firstKey, signer.verifierKey);
  await rm(join(path, 'keys', 'ledger.pem'));
  await assert.rejects(open(), LOST);
});

test('a start that died while it opened the ledger tells of the same first key, whatever is configured by then', async () => {
  const { signer } = await open();
  const audit = createMemoryStore();
  const told: string[] = [];
  /** Dies with the object made, or without. */
  const dying = (done: boolean) => ({
    ...audit,
    async create(name: string, bytes: Uint8Array) {
      if (done) await audit.create(name, bytes);
      throw new Error('it died');
    },
  });
  for (const done of [false, true]) {
    const { firstKey } = await open(done ? 1 : undefined);
    assert.equal(firstKey, signer.verifierKey);
    await assert.rejects(noteLedgerOpened(DISK(), dying(done), firstKey, createClock()), /it died/);
  }
  const { firstKey } = await open(2);
  await noteLedgerOpened(DISK(), audit, firstKey, createClock());
  await noteLedgerOpened(DISK(), audit, firstKey, createClock());
  for await (const name of audit.list('audit/')) {
    told.push(JSON.parse(Buffer.from((await audit.get(name)) ?? '').toString()).details.verifierKey);
  }
  assert.deepEqual(told, [signer.verifierKey, signer.verifierKey]);
});

test('a key that was made and told to nobody gives way to the one that is configured', async () => {
  await open();
  const { firstKey, signer } = await open(1);
  assert.equal(firstKey, signer.verifierKey);
});

test('who has the disk alone signs with the version that was kept last, and makes no key', async () => {
  const { signer } = await open(1);
  await ran(signer.verifierKey);
  const signing = await keptSigning(path);
  assert.deepEqual(signing, { kms: version(1) });
  asked = [];
  const keys = await openLedgerKeys({ disk: DISK(), signing, kms });
  assert.deepEqual([keys.signer.verifierKey, asked], [signer.verifierKey, []]);
  assert.equal(await exists('keys/ledger.pem'), false);
});

test('a disk with a key of its own needs no version', async () => {
  await open();
  assert.equal(await keptSigning(path), undefined);
});
