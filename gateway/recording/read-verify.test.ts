import assert from 'node:assert/strict';
import { generateKeyPairSync } from 'node:crypto';
import { test } from 'node:test';
import { gunzipSync, gzipSync } from 'node:zlib';
import { formatCheckpoint, signCheckpoint } from '../ledger/checkpoint.ts';
import { encodeManifest, type Manifest, parseManifest, type SegmentManifest } from '../ledger/manifest.ts';
import { createLocalSigner, type Signer } from '../ledger/signer.ts';
import { appendLeaf, emptyFrontier, leafHash, rootOf } from '../ledger/tree.ts';
import { createFixture, type Fixture, sha256, storeOf } from './fixture.ts';
import { openRecordings } from './read.ts';
import type { Verification } from './read-verify.ts';

const S1 = '019aa000-0000-7000-8000-000000000001';
const S2 = '019aa000-0000-7000-8000-000000000002';
const NOW = Date.parse('2026-11-22T19:00:00Z');
const SEGMENT = `recordings/dt=2026-11-22/connection=orders/${S1}.disk1.00001.ndjson.gz`;
const SUMMARY = `sessions/dt=2026-11-22/${S1}.disk1.json`;
const entries = (number: number) => `ledger/disk1/entries/${String(number).padStart(10, '0')}.ndjson`;
const checkpoint = (number: number) => `ledger/disk1/checkpoint/${String(number).padStart(10, '0')}`;

/** An ended session of three segments and a live one, four checkpoints, a heartbeat under the third. */
async function stored(): Promise<Fixture> {
  const fixture = createFixture('disk1');
  const ended = fixture.begin(S1, 'orders');
  ended.cut();
  await fixture.seal();
  ended.call({ exchange: 'e1', id: 1, tool: 'query', answer: 'x' });
  ended.cut();
  await fixture.seal();
  fixture.heartbeat();
  ended.end('signed out');
  await fixture.seal();
  fixture.begin(S2, 'orders').cut();
  await fixture.seal();
  return fixture;
}

async function verify(fixture: Fixture, options: { keys?: string[]; audit?: false } = {}): Promise<Verification> {
  const audit = options.audit === false ? {} : { audit: await fixture.audit() };
  return openRecordings(await fixture.store(), audit).verifyAll({ verifierKeys: options.keys ?? [], now: NOW });
}

const found = (result: Verification): string[] => result.problems.map(({ code, object }) => `${code} ${object}`);

function change(fixture: Fixture, name: string, with_: (bytes: Buffer) => Buffer | undefined): void {
  const bytes = fixture.objects.get(name);
  assert.ok(bytes !== undefined, name);
  const changed = with_(bytes);
  if (changed === undefined) fixture.objects.delete(name);
  else fixture.objects.set(name, changed);
}

function flip(bytes: Buffer, at: number): Buffer {
  const copy = Buffer.from(bytes);
  copy[at] = (copy[at] ?? 0) ^ 1;
  return copy;
}

test('a sound store verifies, with the counts of what was proved', async () => {
  const fixture = await stored();
  const result = await verify(fixture, { keys: [fixture.verifierKey] });
  assert.deepEqual(result.problems, []);
  assert.equal(result.ok, true);
  assert.equal(result.trust, 'given');
  const { checkpoints, leaves, segments, frames, pending } = result;
  assert.deepEqual(
    { checkpoints, leaves, segments, frames, pending },
    { checkpoints: 4, leaves: 6, segments: 4, frames: 7, pending: 0 },
  );
  const [ledger] = result.ledgers;
  assert.deepEqual([ledger?.ledger, ledger?.ok, ledger?.heartbeats, ledger?.key?.from], ['disk1', true, 1, 'given']);
});

test('without given keys the audit store names them, and the result says so', async () => {
  const result = await verify(await stored());
  assert.equal(result.ok, true);
  assert.equal(result.trust, 'first use');
  assert.equal(result.ledgers[0]?.key?.from, 'audit');
});

test('without any key nothing is proved', async () => {
  const result = await verify(await stored(), { audit: false });
  assert.equal(result.ok, false);
  assert.deepEqual(found(result), [`key_unknown ${checkpoint(0)}`]);
});

test("another key's signatures do not hold; a key that is none is refused", async () => {
  const fixture = await stored();
  const other = createFixture('disk1').verifierKey;
  assert.deepEqual(found(await verify(fixture, { keys: [other] })), [`checkpoint_signature ${checkpoint(0)}`]);
  const elsewhere = createFixture('disk9').verifierKey;
  assert.equal((await verify(fixture, { keys: [elsewhere, fixture.verifierKey] })).ok, true);
  assert.deepEqual(found(await verify(fixture, { keys: [elsewhere] })), [`checkpoint_signature ${checkpoint(0)}`]);
  assert.deepEqual(found(await verify(fixture, { keys: [elsewhere], audit: false })), [`key_unknown ${checkpoint(0)}`]);
  await assert.rejects(verify(fixture, { keys: ['a+b+c'] }), { code: 'key_malformed' });
});

const signerOf = (ledger: string): Signer =>
  createLocalSigner(
    `verbatim/${ledger}`,
    generateKeyPairSync('ed25519').privateKey.export({ format: 'pem', type: 'pkcs8' }).toString(),
  );

/** Checkpoint 0 of this ledger over its first entries, signed by whoever. */
async function signedBy(fixture: Fixture, signer: Signer): Promise<Buffer> {
  const lines = String(fixture.objects.get(`ledger/${fixture.ledger}/entries/0000000000.ndjson`))
    .trimEnd()
    .split('\n');
  const tree = lines.reduce((grown, line) => appendLeaf(grown, leafHash(Buffer.from(line))), emptyFrontier());
  const text = formatCheckpoint({ ledger: fixture.ledger, size: tree.size, root: rootOf(tree) });
  return Buffer.from(await signCheckpoint(text, signer));
}

test('the key of one ledger signs no other, whoever gave it', async () => {
  const [kept, stolen] = [signerOf('disk1'), signerOf('disk2')];
  const forged = createFixture('disk1');
  forged.begin(S1, 'orders').end('signed out');
  await forged.seal();
  forged.objects.set(checkpoint(0), await signedBy(forged, stolen));
  const keys = [stolen.verifierKey, kept.verifierKey];
  assert.deepEqual(found(await verify(forged, { keys })), [`checkpoint_signature ${checkpoint(0)}`]);
  // Neither where the audit store names it.
  const details = { verifierKey: stolen.verifierKey };
  const opened = { v: 1, at: '2026-11-22T18:00:00Z', kind: 'ledger.opened', ledger: 'disk1', details };
  const audit = await storeOf(new Map([['audit/dt=2026-11-22/1.json', Buffer.from(JSON.stringify(opened))]]));
  const result = await openRecordings(await forged.store(), { audit }).verifyAll({ verifierKeys: [], now: NOW });
  assert.deepEqual(found(result), [`checkpoint_origin ${checkpoint(0)}`]);
});

test('a ledger that one of its given keys did not sign is a fork by the other', async () => {
  const fork = await stored();
  const next = signerOf('disk1').verifierKey;
  assert.deepEqual(found(await verify(fork, { keys: [fork.verifierKey, next] })), [
    `checkpoint_signature ${checkpoint(0)}`,
  ]);
  assert.deepEqual(found(await verify(fork, { keys: [next, fork.verifierKey], audit: false })), [
    `checkpoint_signature ${checkpoint(0)}`,
  ]);
});

test('every flipped byte of a segment, a summary, entries and a checkpoint is found', async () => {
  const sound = await stored();
  for (const name of [SEGMENT, SUMMARY, entries(1), checkpoint(1)]) {
    const length = sound.objects.get(name)?.length ?? 0;
    for (let at = 0; at < length; at += 7) {
      const fixture = { ...sound, objects: new Map(sound.objects), store: () => storeWith(sound, name, at) };
      const result = await verify(fixture);
      assert.equal(result.ok, false, `${name} byte ${at}`);
      assert.equal(result.problems.length > 0, true);
    }
  }
});

async function storeWith(sound: Fixture, name: string, at: number) {
  const objects = new Map(sound.objects);
  objects.set(name, flip(objects.get(name) ?? Buffer.alloc(0), at));
  return storeOf(objects);
}

const digest = (fixture: Fixture, folder: string): string =>
  [...fixture.objects.keys()].find((name) => name.startsWith(folder)) ?? '';

const TAMPERED: readonly [string, (fixture: Fixture) => void, readonly string[]][] = [
  ['a segment taken out', (fixture) => change(fixture, SEGMENT, () => undefined), [`segment_missing ${SEGMENT}`]],
  ['a segment cut short', (fixture) => change(fixture, SEGMENT, (b) => b.subarray(0, -3)), [`segment_size ${SEGMENT}`]],
  ['a summary taken out', (fixture) => change(fixture, SUMMARY, () => undefined), [`summary_missing ${SUMMARY}`]],
  [
    'a summary with other counts',
    (fixture) => change(fixture, SUMMARY, (b) => Buffer.from(String(b).replace('"frames":6', '"frames":5'))),
    [`summary_hash ${SUMMARY}`],
  ],
  ['entries taken out', (fixture) => change(fixture, entries(3), () => undefined), [`entries_missing ${entries(3)}`]],
  [
    'the newest checkpoint taken out: the rest is no evidence yet',
    (fixture) => change(fixture, checkpoint(3), () => undefined),
    [],
  ],
  [
    'a checkpoint taken out in the middle',
    (fixture) => change(fixture, checkpoint(1), () => undefined),
    [`checkpoint_gap ${checkpoint(2)}`, `checkpoint_gap ${checkpoint(3)}`],
  ],
  [
    'a stray object in a ledger',
    (fixture) => fixture.objects.set('ledger/disk1/entries/1.ndjson', Buffer.from('{}\n')),
    ['uncovered ledger/disk1/entries/1.ndjson'],
  ],
  [
    'a second segment of a number',
    (fixture) =>
      fixture.objects.set(
        SEGMENT.replace('connection=orders', 'connection=other'),
        fixture.objects.get(SEGMENT) ?? Buffer.alloc(0),
      ),
    [`uncovered ${SEGMENT.replace('connection=orders', 'connection=other')}`],
  ],
  [
    'a segment of a ledger that is not there',
    (fixture) =>
      fixture.objects.set(SEGMENT.replace('disk1', 'disk9'), fixture.objects.get(SEGMENT) ?? Buffer.alloc(0)),
    [`uncovered ${SEGMENT.replace('disk1', 'disk9')}`],
  ],
  [
    'something that is no recording',
    (fixture) => fixture.objects.set('recordings/note.txt', Buffer.from('hello')),
    ['uncovered recordings/note.txt'],
  ],
  [
    'bytes under the name of a next segment',
    (fixture) => fixture.objects.set(segmentOf(S2, 1), Buffer.from('hello')),
    [`uncovered ${segmentOf(S2, 1)}`],
  ],
  [
    'a segment of a ledger that is not there, newer than everything',
    (fixture) => fixture.objects.set(segmentOf(S2, 0).replace('disk1', 'disk9'), lateSegment(`${S2}.disk9`)),
    [`uncovered ${segmentOf(S2, 0).replace('disk1', 'disk9')}`],
  ],
  [
    'a next segment of a strand that has ended',
    (fixture) => fixture.objects.set(segmentOf(S1, 3), lateSegment(`${S1}.disk1`)),
    [`uncovered ${segmentOf(S1, 3)}`],
  ],
  [
    'another first segment of a live strand',
    (fixture) => fixture.objects.set(segmentOf(S2, 0).replace('orders', 'other'), lateSegment(`${S2}.disk1`)),
    [`uncovered ${segmentOf(S2, 0).replace('orders', 'other')}`],
  ],
  [
    'a summary of a session that no ledger ended',
    (fixture) =>
      fixture.objects.set(
        SUMMARY.replace(S1, S2),
        Buffer.from(String(fixture.objects.get(SUMMARY)).replaceAll('18:00', '17:00')),
      ),
    [`uncovered ${SUMMARY.replace(S1, S2)}`],
  ],
  [
    'a configuration taken out',
    (fixture) => change(fixture, digest(fixture, 'configurations/'), () => undefined),
    ['digest_missing configurations/'],
  ],
  [
    'a changed policy',
    (fixture) => change(fixture, digest(fixture, 'policies/'), () => Buffer.from('{"rules":["allow all"]}')),
    ['digest_mismatch policies/'],
  ],
];

for (const [what, tamper, expected] of TAMPERED) {
  test(`tampered: ${what}`, async () => {
    const fixture = await stored();
    tamper(fixture);
    const result = await verify(fixture);
    assert.equal(result.ok, expected.length === 0);
    assert.deepEqual(
      found(result).map((text) => text.replace(/[0-9a-f]{64}\.json$/, '')),
      expected,
    );
  });
}

/** A segment as its strand could write it next, later than every checkpoint. */
function lateSegment(strand: string): Buffer {
  const frame = {
    v: 1,
    session: strand.split('.')[0],
    strand,
    seq: 0,
    at: '2026-11-22T18:59:00.000000Z',
    type: 'event',
  };
  return gzipSync(`${JSON.stringify({ ...frame, event: { name: 'x' } })}\n`);
}

function segmentOf(session: string, number: number): string {
  return `recordings/dt=2026-11-22/connection=orders/${session}.disk1.0000${number}.ndjson.gz`;
}

test('a ledger that leaves a segment out is found by its strand, though every signature holds', async () => {
  // The gateway's own key, used to forget a segment: the entries are rewritten before they are signed.
  const honest = createFixture('disk2');
  const lying = honest.begin(S2, 'orders');
  lying.cut();
  lying.call({ exchange: 'e1', id: 1, tool: 'query', answer: 'x' });
  lying.cut();
  lying.end('signed out');
  await honest.seal({ signerDown: true });
  const name = 'ledger/disk2/entries/0000000000.ndjson';
  const kept = String(honest.objects.get(name))
    .trimEnd()
    .split('\n')
    .filter((line) => !line.includes('.00001.'));
  const forged = createFixture('disk2', honest.objects);
  for (const line of kept) forged.note(parseManifest(line) as Manifest);
  await forged.seal();
  honest.objects.delete(segmentOf(S2, 1).replace('disk1', 'disk2'));
  const result = await openRecordings(await honest.store()).verifyAll({ verifierKeys: [forged.verifierKey], now: NOW });
  assert.deepEqual(found(result), [`strand_gap ${segmentOf(S2, 2).replace('disk1', 'disk2')}`]);
});

test('a summary that its own ledger covers and that miscounts is found', async () => {
  const fixture = createFixture('disk1');
  const strand = fixture.begin(S1, 'orders');
  strand.end('signed out');
  const bytes = Buffer.from(String(fixture.objects.get(SUMMARY)).replace('"frames":2', '"frames":3'));
  fixture.objects.set(SUMMARY, bytes);
  await fixture.seal({ signerDown: true });
  const lines = String(fixture.objects.get(entries(0)))
    .trimEnd()
    .split('\n');
  const forged = createFixture('disk1', fixture.objects);
  for (const line of lines) {
    const manifest = parseManifest(line) as Manifest;
    forged.note(manifest.kind === 'summary' ? { ...manifest, size: bytes.length, sha256: sha256(bytes) } : manifest);
  }
  await forged.seal();
  assert.deepEqual(found(await verify(forged, { keys: [forged.verifierKey] })), [`summary_counts ${SUMMARY}`]);
});

test('what is on its way to a checkpoint is pending, not wrong', async () => {
  const fixture = await stored();
  const strand = fixture.begin('019aa000-0000-7000-8000-000000000003', 'orders');
  strand.cut();
  await fixture.seal({ signerDown: true });
  strand.add({ type: 'gap', gap: { reason: 'r', from: '2026-11-22T18:00:00Z', to: '2026-11-22T18:00:01Z' } });
  strand.cut(); // Stored; its entries are not there yet.
  const result = await verify(fixture);
  assert.deepEqual(found(result), []);
  assert.equal(result.pending, 2);
});

test('entries under no checkpoint count for a ledger that somebody knows, and for no other', async () => {
  const fresh = createFixture('disk1');
  fresh.begin(S1, 'orders').cut();
  await fresh.seal({ signerDown: true });
  const unknown = [`key_unknown ${checkpoint(0)}`];
  assert.deepEqual(found(await verify(fresh, { audit: false })), unknown);
  assert.deepEqual(found(await verify(fresh, { keys: [createFixture('disk2').verifierKey], audit: false })), unknown);
  for (const known of [{}, { keys: [fresh.verifierKey], audit: false as const }]) {
    const result = await openRecordings(
      await fresh.store(),
      'audit' in known ? {} : { audit: await fresh.audit() },
    ).verifyAll({ verifierKeys: 'keys' in known ? known.keys : [], now: Date.parse('2026-11-22T18:05:00Z') });
    assert.deepEqual([found(result), result.pending, result.checkpoints], [[], 1, 0]);
  }

  const fixture = await stored();
  const evil = createFixture('evil', fixture.objects);
  evil.begin('019aa000-0000-7000-8000-000000000009', 'orders').end('signed out');
  await evil.seal({ signerDown: true });
  for (const keys of [[], [fixture.verifierKey]]) {
    assert.deepEqual(found(await verify(fixture, { keys })), ['key_unknown ledger/evil/checkpoint/0000000000']);
  }
});

/** The manifest of a segment that is stored with these bytes. */
function manifestOf(object: string, bytes: Buffer, change: Partial<SegmentManifest> = {}): SegmentManifest {
  const session = object.includes(S1) ? S1 : S2;
  const named = { object, size: bytes.length, sha256: sha256(bytes), session, first: 9, last: 9 };
  return { v: 1, kind: 'segment', at: '2026-11-22T18:59:00.000000Z', ...named, ...change };
}

const WAITING: readonly [string, (fixture: Fixture) => Manifest, readonly string[]][] = [
  [
    'the next segment of a live strand: pending',
    (fixture) => {
      fixture.objects.set(segmentOf(S2, 1), lateSegment(`${S2}.disk1`));
      return manifestOf(segmentOf(S2, 1), lateSegment(`${S2}.disk1`));
    },
    [],
  ],
  [
    'a next segment of a strand that has ended',
    (fixture) => {
      fixture.objects.set(segmentOf(S1, 3), lateSegment(`${S1}.disk1`));
      return manifestOf(segmentOf(S1, 3), lateSegment(`${S1}.disk1`));
    },
    [`uncovered ${segmentOf(S1, 3)}`],
  ],
  [
    'another first segment of a live strand',
    (fixture) => {
      const object = segmentOf(S2, 0).replace('orders', 'other');
      fixture.objects.set(object, lateSegment(`${S2}.disk1`));
      return manifestOf(object, lateSegment(`${S2}.disk1`));
    },
    [`uncovered ${segmentOf(S2, 0).replace('orders', 'other')}`],
  ],
  [
    'bytes that are no segment of the strand, though its manifest has their hash',
    (fixture) => {
      fixture.objects.set(segmentOf(S2, 1), Buffer.from('hello'));
      return manifestOf(segmentOf(S2, 1), Buffer.from('hello'));
    },
    [`uncovered ${segmentOf(S2, 1)}`],
  ],
  [
    'another size than its manifest says',
    (fixture) => {
      fixture.objects.set(segmentOf(S2, 1), lateSegment(`${S2}.disk1`));
      return manifestOf(segmentOf(S2, 1), lateSegment(`${S2}.disk1`), { size: 7 });
    },
    [`segment_size ${segmentOf(S2, 1)}`],
  ],
  [
    'other bytes than its manifest says',
    (fixture) => {
      fixture.objects.set(segmentOf(S2, 1), lateSegment(`${S2}.disk1`));
      return manifestOf(segmentOf(S2, 1), lateSegment(`${S2}.disk1`), { sha256: sha256(Buffer.from('x')) });
    },
    [`segment_hash ${segmentOf(S2, 1)}`],
  ],
  [
    'a segment that is not there',
    () => manifestOf(segmentOf(S2, 1), lateSegment(`${S2}.disk1`)),
    [`segment_missing ${segmentOf(S2, 1)}`],
  ],
  [
    'a summary of other bytes',
    (fixture) => {
      const object = SUMMARY.replace(S1, S2);
      fixture.objects.set(object, Buffer.from('{}'));
      const named = { object, size: 2, sha256: sha256(Buffer.from('[]')), session: S2 };
      return { v: 1, kind: 'summary', at: '2026-11-22T18:59:00.000000Z', ...named };
    },
    [`summary_hash ${SUMMARY.replace(S1, S2)}`],
  ],
  [
    'an object of another ledger',
    () => manifestOf(segmentOf(S2, 1).replace('disk1', 'disk2'), lateSegment(`${S2}.disk2`)),
    [`manifest_object ${entries(4)}`],
  ],
  [
    'an object that a checkpoint covers',
    (fixture) => manifestOf(SEGMENT, fixture.objects.get(SEGMENT) ?? Buffer.alloc(0)),
    [`manifest_twice ${entries(4)}`],
  ],
];

for (const [what, add, expected] of WAITING) {
  test(`named by entries that no checkpoint covers yet: ${what}`, async () => {
    const fixture = await stored();
    fixture.objects.set(entries(4), Buffer.from(`${encodeManifest(add(fixture))}\n`));
    const result = await verify(fixture);
    assert.deepEqual(found(result), expected);
    assert.equal(result.pending, expected.length === 0 ? 1 : 0);
  });
}

test('an object that two entries name under no checkpoint is named twice', async () => {
  const fixture = await stored();
  fixture.objects.set(segmentOf(S2, 1), lateSegment(`${S2}.disk1`));
  const line = encodeManifest(manifestOf(segmentOf(S2, 1), lateSegment(`${S2}.disk1`)));
  fixture.objects.set(entries(4), Buffer.from(`${line}\n${line}\n`));
  assert.deepEqual(found(await verify(fixture)), [`manifest_twice ${entries(4)}`]);
});

test('nothing comes after the entry that closed a ledger, signed or not', async () => {
  const fixture = await stored();
  fixture.note({ v: 1, kind: 'closed', reason: 'retired', at: '2026-11-22T18:30:00.000000Z' });
  await fixture.seal();
  fixture.objects.set(segmentOf(S2, 1), lateSegment(`${S2}.disk1`));
  assert.deepEqual(found(await verify(fixture)), [`uncovered ${segmentOf(S2, 1)}`]);
  const line = encodeManifest(manifestOf(segmentOf(S2, 1), lateSegment(`${S2}.disk1`)));
  fixture.objects.set(entries(5), Buffer.from(`${line}\n`));
  assert.deepEqual(found(await verify(fixture)), [`ledger_closed ${entries(5)}`, `uncovered ${segmentOf(S2, 1)}`]);

  const retiring = await stored();
  retiring.note({ v: 1, kind: 'closed', reason: 'retired', at: '2026-11-22T18:30:00.000000Z' });
  await retiring.seal({ signerDown: true });
  assert.deepEqual(found(await verify(retiring)), []);
  retiring.heartbeat();
  await retiring.seal({ signerDown: true });
  assert.deepEqual(found(await verify(retiring)), [`ledger_closed ${entries(5)}`]);
});

test('an uncovered segment that is older than the newest checkpoint is an error', async () => {
  const fixture = await stored();
  const late = createFixture('disk1', new Map());
  late.begin('019aa000-0000-7000-8000-000000000003', 'orders').cut();
  const [name, bytes] = [...late.objects].find(([object]) => object.startsWith('recordings/')) ?? ['', Buffer.alloc(0)];
  fixture.objects.set(name, bytes);
  fixture.wait(60_000_000);
  fixture.heartbeat();
  await fixture.seal();
  assert.deepEqual(found(await verify(fixture)), [`uncovered ${name}`]);
});

test('a ledger that was opened and is gone as a whole is found', async () => {
  const fixture = await stored();
  const audit = await fixture.audit();
  const result = await openRecordings(await storeOf(new Map()), { audit }).verifyAll({ now: NOW });
  assert.deepEqual(found(result), ['ledger_missing ledger/disk1/']);
  const early = Date.parse('2026-11-22T18:05:00Z');
  assert.equal((await openRecordings(await storeOf(new Map()), { audit }).verifyAll({ now: early })).ok, true);
});

test('two keys for one ledger are a conflict', async () => {
  const fixture = await stored();
  const audit = await fixture.audit();
  const opened = {
    v: 1,
    at: '2026-11-22T18:10:00Z',
    kind: 'ledger.opened',
    ledger: 'disk1',
    details: { verifierKey: 'other+key' },
  };
  await audit.create('audit/dt=2026-11-22/2.json', Buffer.from(JSON.stringify(opened)));
  const result = await openRecordings(await fixture.store(), { audit }).verifyAll({ now: NOW });
  assert.deepEqual(found(result), ['key_conflict audit/dt=2026-11-22/2.json']);
});

test('a checkpoint that covers several entries verifies', async () => {
  const fixture = createFixture('disk1');
  const strand = fixture.begin(S1, 'orders');
  strand.cut();
  await fixture.seal({ signerDown: true });
  strand.end('signed out');
  await fixture.seal({ signerDown: true });
  fixture.heartbeat();
  await fixture.seal();
  const result = await verify(fixture);
  assert.deepEqual(found(result), []);
  assert.deepEqual([result.checkpoints, result.leaves], [1, 4]);
});

test('a frame of another strand, and one behind the end, inside a segment that is signed as it is', async () => {
  const fixture = createFixture('disk1');
  const strand = fixture.begin(S1, 'orders');
  strand.add({ type: 'strand.end', reason: 'x' });
  strand.add({ type: 'strand.end', reason: 'y' });
  strand.cut();
  const name = segmentOf(S1, 0);
  const text = gunzipSync(fixture.objects.get(name) ?? Buffer.alloc(0)).toString();
  const bytes = gzipSync(text.replace(`"strand":"${S1}.disk1","seq":1`, `"strand":"${S1}.disk7","seq":1`));
  await fixture.seal({ signerDown: true });
  fixture.objects.set(name, bytes);
  const forged = createFixture('disk1', fixture.objects);
  const line = String(fixture.objects.get(entries(0))).trimEnd();
  forged.note({
    ...(parseManifest(line) as Extract<Manifest, { kind: 'segment' }>),
    size: bytes.length,
    sha256: sha256(bytes),
  });
  await forged.seal();
  const result = await verify(forged, { keys: [forged.verifierKey] });
  assert.deepEqual(found(result), [`frame_strand ${name}`, `strand_end ${name}`]);
  const kinds: string[] = [];
  for await (const item of openRecordings(await forged.store()).frames(S1)) {
    kinds.push(item.kind === 'problem' ? item.problem.code : item.kind);
  }
  assert.deepEqual(kinds, ['frame', 'frame_strand', 'frame']);
});

test("a signed manifest of another session's object, and a second one of the same, are found", async () => {
  const fixture = createFixture('disk1');
  fixture.begin(S1, 'orders').cut();
  await fixture.seal();
  const manifest = parseManifest(String(fixture.objects.get(entries(0))).trimEnd()) as Extract<
    Manifest,
    { kind: 'segment' }
  >;
  fixture.note(manifest);
  fixture.note({ ...manifest, session: S2 });
  await fixture.seal();
  assert.deepEqual(found(await verify(fixture)), [`manifest_twice ${entries(1)}`, `manifest_object ${entries(1)}`]);
});

test('progress ends at the number of segments', async () => {
  const fixture = await stored();
  const seen: string[] = [];
  await openRecordings(await fixture.store()).verifyAll({
    verifierKeys: [fixture.verifierKey],
    now: NOW,
    onProgress: (done, total) => seen.push(`${done}/${total}`),
  });
  assert.deepEqual(seen, ['0/4', '1/4', '2/4', '3/4', '4/4']);
});
