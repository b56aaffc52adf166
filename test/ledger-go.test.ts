/**
 * The ledger against an implementation that is not ours: Go's golang.org/x/mod/sumdb/note and tlog.
 *
 * Needs `go` on PATH (and once its module, from the module proxy). Without, it is skipped aloud, or fails where
 * VERBATIM_REQUIRE_TOOLS=1 says that nothing may be skipped.
 */
import assert from 'node:assert/strict';
import { execFile, spawn } from 'node:child_process';
import { generateKeyPairSync } from 'node:crypto';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { after, test } from 'node:test';
import { promisify } from 'node:util';
import { formatCheckpoint, openCheckpoint, signCheckpoint } from '../gateway/ledger/checkpoint.ts';
import { encodeManifest, type Manifest, readEntries } from '../gateway/ledger/manifest.ts';
import { createLocalSigner } from '../gateway/ledger/signer.ts';
import { appendLeaf, emptyFrontier, leafHash, rootOf } from '../gateway/ledger/tree.ts';
import { createLedgerVerifier } from '../gateway/ledger/verify.ts';

interface Answer {
  origin: string;
  size: number;
  root: string;
  computed: string;
  signedKey?: string;
  signed?: string;
}

const run = promisify(execFile);
const source = join(import.meta.dirname, 'ledger-go');
// Neither another toolchain nor changed go.mod or go.sum files: what is pinned is what runs.
const env = {
  ...process.env,
  GOTOOLCHAIN: 'local',
  GOFLAGS: '-mod=readonly -buildvcs=false',
  GOWORK: 'off',
  CGO_ENABLED: '0',
};

/** Why this can't run here, or undefined. Only what is missing counts: a program that does not build is a failure. */
async function missing(): Promise<string | undefined> {
  try {
    await run('go', ['version'], { env, cwd: source });
  } catch {
    return 'go (1.24 or newer) is not on PATH';
  }
  try {
    await run('go', ['mod', 'download'], { env, cwd: source });
    return undefined;
  } catch {
    return 'go could not get golang.org/x/mod, or is older than go.mod asks for';
  }
}

const reason = await missing();
if (reason !== undefined && process.env.VERBATIM_REQUIRE_TOOLS === '1') {
  throw new Error(`VERBATIM_REQUIRE_TOOLS=1, but ${reason}.`);
}
const options = reason === undefined ? {} : { skip: `${reason}: Go's view of the ledger was NOT checked` };

const folder = await mkdtemp(join(tmpdir(), 'verbatim-ledger-go-'));
after(() => rm(folder, { recursive: true, force: true }));
const program = join(folder, process.platform === 'win32' ? 'ledger.exe' : 'ledger');
if (reason === undefined) await run('go', ['build', '-o', program, '.'], { env, cwd: source });

async function askGo(request: object): Promise<Answer | { refused: string }> {
  const child = spawn(program, { stdio: 'pipe' });
  child.stdin.end(JSON.stringify(request));
  const [out, refused] = await Promise.all([text(child.stdout), text(child.stderr)]);
  return out === '' ? { refused } : (JSON.parse(out) as Answer);
}

const ledger = '0192f0c1-0000-7000-8000-000000000001';
const { privateKey } = generateKeyPairSync('ed25519');
const pem = privateKey.export({ type: 'pkcs8', format: 'pem' }).toString();
const signer = createLocalSigner(`verbatim/${ledger}`, pem);

/** A ledger as it is stored: an entries object, and the checkpoint over its first `size` lines. */
async function store(count: number, size = count) {
  const at = '2026-11-22T18:04:05.123456Z';
  const entries = Buffer.from(
    Array.from({ length: count }, (_, index) => {
      const reason = `gr\u00fc\u00df \u{1f600} ${index}`;
      return `${encodeManifest({ v: 1, at, kind: 'gap', session: 's', reason, from: at, to: at })}\n`;
    }).join(''),
  );
  const lines = readEntries(entries).slice(0, size);
  const tree = lines.reduce((grown, line) => appendLeaf(grown, leafHash(Buffer.from(line))), emptyFrontier());
  const note = await signCheckpoint(formatCheckpoint({ ledger, size, root: rootOf(tree) }), signer);
  return { entries, note, root: rootOf(tree).toString('base64') };
}

/** Splits bytes, not text: a leaf is what stands between two newlines. */
function leavesOf(entries: Buffer): string[] {
  const leaves: string[] = [];
  for (let start = 0; start < entries.length; ) {
    const end = entries.indexOf(0x0a, start);
    leaves.push(entries.subarray(start, end).toString('base64'));
    start = end + 1;
  }
  return leaves;
}

test('Go opens our checkpoints and computes the same roots from the stored lines', options, async () => {
  for (const [count, size] of [
    [1, 1],
    [2, 2],
    [7, 7],
    [8, 8],
    [100, 77],
    [300, 300],
  ] as const) {
    const { entries, note, root } = await store(count, size);
    const verifier = createLedgerVerifier({ ledger, verifierKey: signer.verifierKey });
    verifier.entries(0, entries);
    verifier.checkpoint(0, Buffer.from(note));
    assert.deepEqual(await askGo({ verifierKey: signer.verifierKey, note, leaves: leavesOf(entries) }), {
      origin: `verbatim/${ledger}`,
      size,
      root,
      computed: root,
    });
  }
});

test('Go refuses what we refuse: a changed size, a changed root, another key', options, async () => {
  const { entries, note } = await store(5);
  const leaves = leavesOf(entries);
  const other = createLocalSigner(
    signer.name,
    generateKeyPairSync('ed25519').privateKey.export({ type: 'pkcs8', format: 'pem' }).toString(),
  );
  const hostile: [string, string][] = [
    [note.replace('\n5\n', '\n4\n'), signer.verifierKey],
    [
      note.replace(/^(.*\n.*\n)(.)/, (_, head: string, first: string) => head + (first === 'A' ? 'B' : 'A')),
      signer.verifierKey,
    ],
    [note, other.verifierKey],
  ];
  for (const [changed, verifierKey] of hostile) {
    assert.throws(() => openCheckpoint(changed, verifierKey), { code: 'checkpoint_signature' });
    assert.ok('refused' in (await askGo({ verifierKey, note: changed, leaves })));
  }
});

test('Go notices a changed leaf', options, async () => {
  const { entries, note, root } = await store(5);
  const changed = Buffer.from(entries.toString().replace('"v":1', '"v": 1'));
  const answer = await askGo({ verifierKey: signer.verifierKey, note, leaves: leavesOf(changed) });
  assert.ok('computed' in answer);
  assert.equal(answer.root, root);
  assert.notEqual(answer.computed, root);
});

test(
  'a ledger that is handed on: Go opens each checkpoint with the key that was in force, and with no other',
  options,
  async () => {
    const next = createLocalSigner(
      signer.name,
      generateKeyPairSync('ed25519').privateKey.export({ type: 'pkcs8', format: 'pem' }).toString(),
    );
    const at = '2026-11-22T18:04:05.123456Z';
    const key: Manifest = { v: 1, at, kind: 'key', verifierKey: next.verifierKey, previous: signer.verifierKey };
    const gap: Manifest = { v: 1, at, kind: 'gap', session: 's', reason: 'r', from: at, to: at };
    const lines = [key, gap].map((manifest) => encodeManifest(manifest));
    const verifier = createLedgerVerifier({ ledger, verifierKey: signer.verifierKey });
    for (const [number, by] of [signer, next].entries()) {
      const size = number + 1;
      const covered = lines.slice(0, size).map((line) => Buffer.from(line));
      const root = rootOf(covered.reduce((grown, line) => appendLeaf(grown, leafHash(line)), emptyFrontier()));
      const note = await signCheckpoint(formatCheckpoint({ ledger, size, root }), by);
      verifier.entries(number, Buffer.from(`${lines[number]}\n`));
      verifier.checkpoint(number, Buffer.from(note));
      const leaves = covered.map((line) => line.toString('base64'));
      const answer = await askGo({ verifierKey: by.verifierKey, note, leaves });
      assert.ok('computed' in answer && answer.computed === root.toString('base64'));
      const other = by === signer ? next : signer;
      assert.ok('refused' in (await askGo({ verifierKey: other.verifierKey, note, leaves })));
    }
    assert.equal(verifier.verifierKey, next.verifierKey);
  },
);

test("we open a checkpoint that Go signed with a key of Go's", options, async () => {
  const { entries, note, root } = await store(3);
  const sign = formatCheckpoint({ ledger, size: 3, root: Buffer.from(root, 'base64') });
  const request = { verifierKey: signer.verifierKey, note, leaves: leavesOf(entries), sign, name: 'go.example/key' };
  const answer = await askGo(request);
  assert.ok('computed' in answer && answer.signed !== undefined && answer.signedKey !== undefined);
  assert.deepEqual(openCheckpoint(answer.signed, answer.signedKey), {
    ledger,
    size: 3,
    root: Buffer.from(root, 'base64'),
  });
});
