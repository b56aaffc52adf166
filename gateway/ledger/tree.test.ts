import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { test } from 'node:test';
import { appendLeaf, emptyFrontier, type Frontier, leafHash, parseFrontier, rootOf } from './tree.ts';

const sha256 = (...parts: Uint8Array[]) => createHash('sha256').update(Buffer.concat(parts)).digest();

/** RFC 6962, section 2.1, word for word: the largest power of two smaller than n splits. */
function naiveRoot(leaves: readonly Buffer[]): Buffer {
  const [first] = leaves;
  if (first === undefined) return sha256();
  if (leaves.length === 1) return sha256(Buffer.of(0), first);
  let split = 1;
  while (split * 2 < leaves.length) split *= 2;
  return sha256(Buffer.of(1), naiveRoot(leaves.slice(0, split)), naiveRoot(leaves.slice(split)));
}

function grow(leaves: readonly Buffer[]): Frontier {
  return leaves.reduce((tree, leaf) => appendLeaf(tree, leafHash(leaf)), emptyFrontier());
}

// The leaves and roots that the certificate-transparency project tests its trees with.
const LEAVES = ['', '00', '10', '2021', '3031', '40414243', '5051525354555657', '606162636465666768696a6b6c6d6e6f'].map(
  (hex) => Buffer.from(hex, 'hex'),
);
const ROOTS = [
  'e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855',
  '6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d',
  'fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125',
  'aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77',
  'd37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7',
  '4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4',
  '76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef',
  'ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c',
  '5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328',
];

test('the roots are those of the published certificate-transparency vectors', () => {
  for (const [size, root] of ROOTS.entries()) {
    assert.equal(rootOf(grow(LEAVES.slice(0, size))).toString('hex'), root, `size ${size}`);
  }
});

test('the root is that of RFC 6962 at every size from 0 to 300', () => {
  const leaves = Array.from({ length: 300 }, (_, index) => Buffer.from(`leaf ${index}`));
  let tree = emptyFrontier();
  assert.deepEqual(rootOf(tree), naiveRoot([]));
  for (const [index, leaf] of leaves.entries()) {
    tree = appendLeaf(tree, leafHash(leaf));
    assert.equal(tree.size, index + 1);
    assert.deepEqual(rootOf(tree), naiveRoot(leaves.slice(0, index + 1)), `size ${index + 1}`);
  }
});

test('appending leaves the given frontier as it was', () => {
  const seven = grow(LEAVES.slice(0, 7));
  const before = structuredClone(seven);
  appendLeaf(seven, leafHash(Buffer.from('x')));
  assert.deepEqual(seven, before);
});

test('a frontier survives being stored, above 2^31 too', () => {
  for (const size of [0, 1, 6, 7]) {
    const tree = grow(LEAVES.slice(0, size));
    assert.deepEqual(parseFrontier(JSON.parse(JSON.stringify(tree))), tree);
  }
  const large = { size: 2 ** 40 + 2 ** 33 + 1, hashes: ['aa', 'bb', 'cc'].map((byte) => byte.repeat(32)) };
  const grown = appendLeaf(parseFrontier(large), leafHash(Buffer.from('x')));
  assert.deepEqual(parseFrontier(grown), grown);
  assert.equal(grown.hashes.length, 3);
});

test('a frontier that can not be one is refused', () => {
  const hash = 'a'.repeat(64);
  const refused: unknown[] = [
    undefined,
    null,
    [],
    'x',
    {},
    { size: 1 },
    { size: 1, hashes: {} },
    { size: 1, hashes: [] },
    { size: 0, hashes: [hash] },
    { size: 2, hashes: [hash, hash] },
    { size: 3, hashes: [hash] },
    { size: 2 ** 33, hashes: [] },
    { size: -1, hashes: [] },
    { size: 1.5, hashes: [hash] },
    { size: Number.NaN, hashes: [] },
    { size: 2 ** 53, hashes: [hash] },
    { size: '1', hashes: [hash] },
    { size: 1, hashes: [hash.toUpperCase()] },
    { size: 1, hashes: [`${hash}\n`] },
    { size: 1, hashes: [hash.slice(2)] },
    { size: 1, hashes: [7] },
    { size: 1, hashes: [hash, 7] },
  ];
  for (const value of refused) {
    assert.throws(() => parseFrontier(value), { code: 'frontier_malformed' }, JSON.stringify(value));
  }
  assert.throws(() => appendLeaf(emptyFrontier(), Buffer.alloc(31)), RangeError);
});
