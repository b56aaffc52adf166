import assert from 'node:assert/strict';
import { createHash, generateKeyPairSync } from 'node:crypto';
import { test } from 'node:test';
import { deflateRawSync, gzipSync } from 'node:zlib';
import { formatCheckpoint, signCheckpoint } from './checkpoint.ts';
import { encodeManifest, type Manifest, type SegmentManifest } from './manifest.ts';
import { createLocalSigner } from './signer.ts';
import { appendLeaf, emptyFrontier, leafHash, rootOf } from './tree.ts';
import { createLedgerVerifier, verifySegment } from './verify.ts';

const { privateKey } = generateKeyPairSync('ed25519');
const signer = createLocalSigner('verbatim/l', privateKey.export({ type: 'pkcs8', format: 'pem' }).toString());
const newVerifier = () => createLedgerVerifier({ ledger: 'l', verifierKey: signer.verifierKey });
const at = '2026-11-22T18:04:05.123456Z';
const sha256 = (bytes: Uint8Array) => createHash('sha256').update(bytes).digest('hex');

const gap = (reason: string): Manifest => ({ v: 1, at, kind: 'gap', session: 's', reason, from: at, to: at });
const heartbeat = (previous?: string): Manifest =>
  previous === undefined
    ? { v: 1, at, kind: 'heartbeat', clockOffset: 0 }
    : { v: 1, at, kind: 'heartbeat', previous, clockOffset: 0 };

const entriesOf = (manifests: readonly Manifest[]) =>
  Buffer.from(manifests.map((manifest) => `${encodeManifest(manifest)}\n`).join(''));

async function checkpointOf(manifests: readonly Manifest[], ledger = 'l'): Promise<Buffer> {
  const tree = manifests.reduce(
    (grown, manifest) => appendLeaf(grown, leafHash(Buffer.from(encodeManifest(manifest)))),
    emptyFrontier(),
  );
  return Buffer.from(await signCheckpoint(formatCheckpoint({ ledger, size: tree.size, root: rootOf(tree) }), signer));
}

const [a, b, c, d] = [gap('a'), gap('b'), gap('c'), gap('d')];

test('checkpoints cover entries, several at once, and the rest is pending', async () => {
  const verifier = newVerifier();
  verifier.entries(0, entriesOf([a]));
  assert.deepEqual(verifier.checkpoint(0, await checkpointOf([a])).manifests, [a]);
  verifier.entries(1, entriesOf([b]));
  verifier.entries(2, entriesOf([c, d]));
  assert.deepEqual([verifier.size, verifier.pending], [1, 3]);
  assert.deepEqual(verifier.checkpoint(1, await checkpointOf([a, b, c])).manifests, [b, c]);
  assert.deepEqual([verifier.size, verifier.pending], [3, 1]);
  assert.deepEqual([...verifier.manifests()], [a, b, c]);
  assert.deepEqual(verifier.checkpoint(2, await checkpointOf([a, b, c])).manifests, []);
  assert.equal(verifier.checkpoint(3, await checkpointOf([a, b, c, d])).size, 4);
  assert.deepEqual([...verifier.manifests()], [a, b, c, d]);
});

test('all entries may be fed before all checkpoints', async () => {
  const verifier = newVerifier();
  for (const [number, manifest] of [a, b, c].entries()) verifier.entries(number, entriesOf([manifest]));
  verifier.checkpoint(0, await checkpointOf([a]));
  verifier.checkpoint(1, await checkpointOf([a, b, c]));
  assert.deepEqual([verifier.size, verifier.pending], [3, 0]);
});

test('holes, shrinking, missing entries, other ledgers and other trees have codes of their own', async () => {
  const verifier = newVerifier();
  verifier.entries(0, entriesOf([a, b]));
  assert.throws(() => verifier.entries(2, entriesOf([c])), {
    code: 'entries_gap',
    object: 'ledger/l/entries/0000000002.ndjson',
  });
  assert.throws(() => verifier.entries(0, entriesOf([c])), { code: 'entries_gap' });
  const early = await checkpointOf([a, b]);
  assert.throws(() => verifier.checkpoint(1, early), {
    code: 'checkpoint_gap',
    object: 'ledger/l/checkpoint/0000000001',
  });
  const later = await checkpointOf([a, b, c]);
  assert.throws(() => verifier.checkpoint(0, later), { code: 'entries_missing' });
  const foreign = await checkpointOf([a, b], 'm');
  assert.throws(() => verifier.checkpoint(0, foreign), { code: 'checkpoint_origin' });
  const other = await checkpointOf([a, c]);
  assert.throws(() => verifier.checkpoint(0, other), { code: 'checkpoint_root' });
  verifier.checkpoint(0, early);
  assert.throws(() => verifier.checkpoint(0, early), { code: 'checkpoint_gap' });
  const shrunk = await checkpointOf([a]);
  assert.throws(() => verifier.checkpoint(1, shrunk), { code: 'checkpoint_shrunk' });
  // Refusals left it as it was.
  verifier.entries(1, entriesOf([c]));
  assert.equal(verifier.checkpoint(1, later).size, 3);
});

test("another ledger's key is refused before it verifies anything", () => {
  const { verifierKey } = signer;
  assert.throws(() => createLedgerVerifier({ ledger: 'm', verifierKey }), {
    code: 'checkpoint_origin',
    object: 'ledger/m/checkpoint/0000000000',
  });
  assert.throws(() => createLedgerVerifier({ ledger: 'l', verifierKey: 'a+b+c' }), { code: 'key_malformed' });
});

/** A ledger whose checkpoints cover one manifest more each; `beat` makes the last manifest of the hashes before it. */
async function beatAt(count: number, beat: (notes: readonly string[]) => Manifest): Promise<() => void> {
  const manifests = Array.from({ length: count }, (_, index) => gap(`${index}`));
  const checkpoints = await Promise.all(manifests.map((_, index) => checkpointOf(manifests.slice(0, index + 1))));
  manifests.push(beat(checkpoints.map(sha256)));
  checkpoints.push(await checkpointOf(manifests));
  return () => {
    const verifier = newVerifier();
    verifier.entries(0, entriesOf(manifests));
    for (const [number, checkpoint] of checkpoints.entries()) verifier.checkpoint(number, checkpoint);
  };
}

test('a heartbeat names the checkpoint that was stored when it was written', async () => {
  const none = () => heartbeat();
  const back = (steps: number) => (notes: readonly string[]) => heartbeat(notes.at(-steps));
  const never = () => heartbeat(sha256(Buffer.from('x')));
  const accepted: [number, (notes: readonly string[]) => Manifest][] = [
    [0, none],
    [1, back(1)],
    [3, back(1)],
    // The one before it was signed, but not stored yet.
    [1, none],
    [3, back(2)],
  ];
  for (const [count, beat] of accepted) (await beatAt(count, beat))();
  const refused: [number, (notes: readonly string[]) => Manifest][] = [
    [0, never],
    [2, none],
    [3, none],
    [3, back(3)],
    [3, never],
  ];
  for (const [count, beat] of refused) assert.throws(await beatAt(count, beat), { code: 'heartbeat_chain' });
});

test('a checkpoint taken out and its successors renumbered is noticed by the next heartbeat', async () => {
  const one = await checkpointOf([a, b]);
  const beat = heartbeat(sha256(one));
  const verifier = newVerifier();
  verifier.entries(0, entriesOf([a, b, beat]));
  verifier.checkpoint(0, await checkpointOf([a]));
  const two = await checkpointOf([a, b, beat]);
  assert.throws(() => verifier.checkpoint(1, two), { code: 'heartbeat_chain' });
});

test('every flipped bit of entries is flagged', async () => {
  const manifests = [a, heartbeat(), b];
  const entries = entriesOf(manifests);
  const checkpoint = await checkpointOf(manifests);
  for (let bit = 0; bit < entries.length * 8; bit++) {
    const verifier = newVerifier();
    const feed = () => {
      verifier.entries(0, flip(entries, bit));
      verifier.checkpoint(0, checkpoint);
    };
    assert.throws(feed, { name: 'VerificationError' }, `bit ${bit}`);
  }
});

test('every flipped bit, cut and addition of a checkpoint is flagged by the ledger', async () => {
  const checkpoint = await checkpointOf([a]);
  const hostile = [checkpoint.subarray(0, -1), Buffer.concat([checkpoint, checkpoint]), Buffer.of(0xff), Buffer.of()];
  for (let bit = 0; bit < checkpoint.length * 8; bit++) hostile.push(flip(checkpoint, bit));
  const verifier = newVerifier();
  verifier.entries(0, entriesOf([a]));
  for (const bytes of hostile) {
    assert.throws(() => verifier.checkpoint(0, bytes), { code: /^checkpoint_(malformed|signature)$/ });
  }
  assert.equal(verifier.checkpoint(0, checkpoint).size, 1);
});

function flip(bytes: Uint8Array, bit: number): Buffer {
  const changed = Buffer.from(bytes);
  changed.writeUInt8(changed.readUInt8(bit >> 3) ^ (1 << (bit & 7)), bit >> 3);
  return changed;
}

function manifestOf(bytes: Uint8Array, change: Partial<SegmentManifest> = {}): SegmentManifest {
  const sized = { object: 'recordings/x', size: bytes.length, sha256: sha256(bytes) };
  return { v: 1, at, kind: 'segment', ...sized, session: 's', first: 3, last: 5, ...change };
}

const LINES = [3, 4, 5].map((seq) => `{"v":1,"session":"s","seq":${seq},"text":"gr\u00fc\u00df \ufeff"}`);
const ndjson = (lines: readonly string[]) => lines.map((line) => `${line}\n`).join('');
const segment = gzipSync(ndjson(LINES));

test('a segment yields its lines', () => {
  assert.deepEqual(verifySegment(manifestOf(segment), segment), { lines: LINES });
  const one = gzipSync(ndjson(LINES.slice(0, 1)));
  assert.deepEqual(verifySegment(manifestOf(one, { last: 3 }), one).lines, LINES.slice(0, 1));
});

test('every flipped bit and every cut of a segment is flagged', () => {
  for (let bit = 0; bit < segment.length * 8; bit++) {
    assert.throws(() => verifySegment(manifestOf(segment), flip(segment, bit)), { code: 'segment_hash' });
  }
  for (let length = 0; length < segment.length; length++) {
    assert.throws(() => verifySegment(manifestOf(segment), segment.subarray(0, length)), { code: 'segment_size' });
  }
});

test('what is not exactly one gzip member is flagged even where the manifest says so', () => {
  const named = Buffer.concat([
    Buffer.from('1f8b08080000000000ff', 'hex'),
    Buffer.from('name\0'),
    segment.subarray(10),
  ]);
  const hostile: Record<string, Buffer> = {
    empty: Buffer.of(),
    'no gzip': Buffer.from(ndjson(LINES)),
    'two members': Buffer.concat([segment, segment]),
    'two members, one recording': Buffer.concat(LINES.map((line) => gzipSync(`${line}\n`))),
    'bytes after it': Buffer.concat([segment, Buffer.alloc(8)]),
    'a cut member': segment.subarray(0, -1),
    'a name in the header': named,
    'a flag in the header': flip(segment, 3 * 8),
    'raw deflate': deflateRawSync(ndjson(LINES)),
  };
  // Flipped bits whose hash is in the manifest: what the CRC and the length alone must notice.
  for (let bit = (segment.length - 8) * 8; bit < segment.length * 8; bit++) hostile[`bit ${bit}`] = flip(segment, bit);
  for (const [what, bytes] of Object.entries(hostile)) {
    assert.throws(() => verifySegment(manifestOf(bytes), bytes), { code: 'segment_gzip' }, what);
  }
});

test('a bomb is refused at the cap, and what just fits is not', () => {
  const inflated = Buffer.byteLength(ndjson(LINES));
  assert.throws(() => verifySegment(manifestOf(segment), segment, { maxInflated: inflated - 1 }), {
    code: 'segment_too_large',
  });
  assert.equal(verifySegment(manifestOf(segment), segment, { maxInflated: inflated }).lines.length, 3);
  const bomb = gzipSync(Buffer.alloc(16 * 1024 * 1024));
  assert.throws(() => verifySegment(manifestOf(bomb), bomb, { maxInflated: 1024 * 1024 }), {
    code: 'segment_too_large',
  });
});

test('frames that are not those of the manifest are flagged', () => {
  const [three = '', four = '', five = ''] = LINES;
  const table: [string, string | Buffer, string][] = [
    ['nothing', '', 'segment_seq'],
    ['one missing', ndjson([three, five]), 'segment_seq'],
    ['one more', ndjson([...LINES, '{"session":"s","seq":6}']), 'segment_seq'],
    ['doubled', ndjson([three, four, four]), 'segment_seq'],
    ['out of order', ndjson([four, three, five]), 'segment_seq'],
    ['seq as text', ndjson([three, four, '{"session":"s","seq":"5"}']), 'segment_seq'],
    ['another session', ndjson([three, '{"session":"t","seq":4}', five]), 'segment_session'],
    ['no session', ndjson([three, '{"seq":4}', five]), 'segment_session'],
    ['no JSON', ndjson([three, '{', five]), 'segment_lines'],
    ['an array', ndjson([three, '[]', five]), 'segment_lines'],
    ['null', ndjson([three, 'null', five]), 'segment_lines'],
    ['an empty line', ndjson([three, '', five]), 'segment_lines'],
    ['a torn last line', ndjson(LINES).slice(0, -1), 'segment_lines'],
    ['no UTF-8', Buffer.from([0xff, 0x0a]), 'segment_lines'],
  ];
  for (const [what, content, code] of table) {
    const bytes = gzipSync(content);
    assert.throws(() => verifySegment(manifestOf(bytes), bytes), { code, object: 'recordings/x' }, what);
  }
});
