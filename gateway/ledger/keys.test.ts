import assert from 'node:assert/strict';
import { generateKeyPairSync } from 'node:crypto';
import { test } from 'node:test';
import { formatCheckpoint, signCheckpoint } from './checkpoint.ts';
import { followKeys, keyInForce, keysFrom } from './keys.ts';
import { encodeManifest, type Manifest } from './manifest.ts';
import { createLocalSigner, type Signer } from './signer.ts';
import { appendLeaf, emptyFrontier, leafHash, rootOf } from './tree.ts';
import { createLedgerVerifier } from './verify.ts';

const at = '2026-11-22T18:04:05.123456Z';
const make = (name = 'verbatim/l'): Signer =>
  createLocalSigner(
    name,
    generateKeyPairSync('ed25519').privateKey.export({ type: 'pkcs8', format: 'pem' }).toString(),
  );
const [one, two, three] = [make(), make(), make()];
const gap: Manifest = { v: 1, at, kind: 'gap', session: 's', reason: 'r', from: at, to: at };
const announce = (next: Signer, before: Signer): Manifest => ({
  v: 1,
  at,
  kind: 'key',
  verifierKey: next.verifierKey,
  previous: before.verifierKey,
});

const entriesOf = (manifest: Manifest): Buffer => Buffer.from(`${encodeManifest(manifest)}\n`);

async function note(manifests: readonly Manifest[], signer: Signer): Promise<Buffer> {
  const tree = manifests.reduce(
    (grown, manifest) => appendLeaf(grown, leafHash(Buffer.from(encodeManifest(manifest)))),
    emptyFrontier(),
  );
  return Buffer.from(
    await signCheckpoint(formatCheckpoint({ ledger: 'l', size: tree.size, root: rootOf(tree) }), signer),
  );
}

/** Each checkpoint covers one manifest more. Returns the key after the last, or the code of what was refused. */
async function verify(manifests: readonly Manifest[], signers: readonly Signer[]): Promise<string> {
  const verifier = createLedgerVerifier({ ledger: 'l', verifierKey: one.verifierKey });
  try {
    for (const [number, signer] of signers.entries()) {
      const manifest = manifests[number];
      if (manifest !== undefined) verifier.entries(number, entriesOf(manifest));
      verifier.checkpoint(number, await note(manifests.slice(0, number + 1), signer));
    }
  } catch (error) {
    return (error as { code: string }).code;
  }
  return verifier.verifierKey;
}

const CHAINS: [string, Manifest[], Signer[], string][] = [
  ['no announcement', [gap, gap], [one, one], one.verifierKey],
  ['the old key covers it, the new one signs on', [gap, announce(two, one), gap], [one, one, two], two.verifierKey],
  ['a third one', [announce(two, one), announce(three, two), gap], [one, two, three], three.verifierKey],
  ['there and back', [announce(two, one), announce(one, two), gap], [one, two, one], one.verifierKey],
  ['the new key covers its own announcement', [gap, announce(two, one)], [one, two], 'checkpoint_signature'],
  ['the old key goes on', [announce(two, one), gap], [one, one], 'checkpoint_signature'],
  ['an announcement in the name of another key', [announce(three, two)], [one], 'key_chain'],
  ['a key of another name', [announce(make('verbatim/m'), one)], [one], 'key_chain'],
];

for (const [what, manifests, signers, expected] of CHAINS) {
  test(`keys follow one another: ${what}`, async () => assert.equal(await verify(manifests, signers), expected));
}

test('two announcements under one checkpoint: the last one counts', () => {
  assert.equal(followKeys(one.verifierKey, [announce(two, one), announce(three, two)], 'o'), three.verifierKey);
  assert.throws(() => followKeys(one.verifierKey, [announce(two, one), announce(three, one)], 'o'), {
    code: 'key_chain',
  });
});

test('a refused announcement leaves the verifier as it was', async () => {
  const verifier = createLedgerVerifier({ ledger: 'l', verifierKey: one.verifierKey });
  const bad = announce(three, two);
  verifier.entries(0, entriesOf(bad));
  const signed = await note([bad], one);
  for (const _ of [1, 2]) assert.throws(() => verifier.checkpoint(0, signed), { code: 'key_chain' });
  assert.deepEqual([verifier.size, verifier.verifierKey], [0, one.verifierKey]);
});

test('a key comes into force when a stored checkpoint covers its leaf', () => {
  const keys = [
    { verifierKey: 'a', leaf: -1 },
    { verifierKey: 'b', leaf: 4 },
    { verifierKey: 'c', leaf: 7 },
  ];
  const table: [number, string, string][] = [
    [0, 'a', 'abc'],
    [4, 'a', 'abc'],
    [5, 'b', 'bc'],
    [7, 'b', 'bc'],
    [8, 'c', 'c'],
  ];
  for (const [covered, inForce, left] of table) {
    assert.equal(keyInForce(keys, covered)?.verifierKey, inForce);
    const kept = keysFrom(keys, covered);
    assert.equal(kept.map(({ verifierKey }) => verifierKey).join(''), left);
    assert.equal(keyInForce(kept, covered)?.verifierKey, inForce);
  }
});

test('a manifest without a good key is damage', () => {
  for (const verifierKey of ['', 'verbatim/l+00000000+AAAA', 7]) {
    const bad = { ...announce(two, one), verifierKey } as Manifest;
    assert.throws(() => encodeManifest(bad), { code: 'manifest_malformed' });
  }
});
