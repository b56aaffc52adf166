import assert from 'node:assert/strict';
import { test } from 'node:test';
import { encodeManifest, type Manifest, parseManifest, readEntries } from './manifest.ts';

const at = '2026-11-22T18:04:05.123456Z';
const sha256 = 'ab'.repeat(32);
const segment: Manifest = {
  v: 1,
  at,
  kind: 'segment',
  object: 'recordings/dt=2026-11-22/connection=orders/s.l.00000.ndjson.gz',
  size: 3,
  sha256,
  session: 's',
  first: 0,
  last: 2,
};
const summary: Manifest = { v: 1, at, kind: 'summary', object: 'sessions/s.l.json', size: 3, sha256, session: 's' };
const heartbeat: Manifest = { v: 1, at, kind: 'heartbeat', previous: sha256, clockOffset: -1.5 };
const first: Manifest = { v: 1, at, kind: 'heartbeat', clockOffset: 0 };
const gap: Manifest = { v: 1, at, kind: 'gap', session: 's', reason: 'detached', from: at, to: at };

const GOLDEN: [Manifest, string][] = [
  [
    segment,
    `{"v":1,"kind":"segment","object":"recordings/dt=2026-11-22/connection=orders/s.l.00000.ndjson.gz","size":3,"sha256":"${sha256}","session":"s","first":0,"last":2,"at":"${at}"}`,
  ],
  [
    summary,
    `{"v":1,"kind":"summary","object":"sessions/s.l.json","size":3,"sha256":"${sha256}","session":"s","at":"${at}"}`,
  ],
  [heartbeat, `{"v":1,"kind":"heartbeat","previous":"${sha256}","clockOffset":-1.5,"at":"${at}"}`],
  [first, `{"v":1,"kind":"heartbeat","clockOffset":0,"at":"${at}"}`],
  [gap, `{"v":1,"kind":"gap","session":"s","reason":"detached","from":"${at}","to":"${at}","at":"${at}"}`],
];

test('a manifest is one line in the order of its type, whatever the order of the value', () => {
  for (const [manifest, line] of GOLDEN) {
    const reversed = Object.fromEntries(Object.entries(manifest).reverse());
    assert.equal(encodeManifest(manifest), line);
    assert.equal(encodeManifest(reversed as unknown as Manifest), line);
    assert.deepEqual(parseManifest(line), manifest);
  }
});

test('a newline in a value stays inside its line', () => {
  const line = encodeManifest({ ...gap, reason: 'a\nb\u2028\ud800' } as Manifest);
  assert.equal(line.includes('\n'), false);
  assert.deepEqual(readEntries(Buffer.from(`${line}\n`)), [line]);
});

test('unknown kinds and unknown fields are kept', () => {
  const later = { v: 2, kind: 'key.change', at, key: 'x' };
  assert.deepEqual(parseManifest(JSON.stringify(later)), { kind: 'unknown', of: 'key.change', fields: later });
  assert.deepEqual(parseManifest('{"kind":"toString"}'), {
    kind: 'unknown',
    of: 'toString',
    fields: { kind: 'toString' },
  });
  assert.deepEqual(parseManifest(JSON.stringify({ ...segment, extra: 1 })), { ...segment, extra: 1 });
});

test('a known kind with a wrong or missing field is refused, read or written', () => {
  const wrong: [Manifest, Record<string, unknown>][] = [
    [segment, { v: 2 }],
    [segment, { at: 'yesterday' }],
    [segment, { object: '' }],
    [segment, { object: 'a\u001bb' }],
    [segment, { object: 'x'.repeat(1025) }],
    [segment, { size: -1 }],
    [segment, { size: 1.5 }],
    [segment, { size: 2 ** 53 }],
    [segment, { sha256: sha256.toUpperCase() }],
    [segment, { sha256: '' }],
    [segment, { session: 7 }],
    [segment, { first: 3 }],
    [segment, { last: undefined }],
    [summary, { sha256: undefined }],
    [heartbeat, { previous: null }],
    [heartbeat, { previous: 'x' }],
    [heartbeat, { clockOffset: Number.NaN }],
    [gap, { to: undefined }],
  ];
  for (const [manifest, change] of wrong) {
    const changed = { ...manifest, ...change } as unknown as Manifest;
    const what = JSON.stringify(change);
    assert.throws(() => parseManifest(JSON.stringify(changed)), { code: 'manifest_malformed' }, what);
    assert.throws(() => encodeManifest(changed), { code: 'manifest_malformed' }, what);
  }
});

test('what is no object with a kind is refused', () => {
  for (const line of ['', '{', 'null', '[]', '[{"kind":"gap"}]', '"gap"', '{}', '{"kind":1}', `${GOLDEN[0]?.[1]}x`]) {
    assert.throws(() => parseManifest(line), { code: 'manifest_malformed' }, line);
  }
});

test('entries are whole lines of UTF-8, byte for byte', () => {
  assert.deepEqual(readEntries(Buffer.from('')), []);
  assert.deepEqual(readEntries(Buffer.from('a\nb\n')), ['a', 'b']);
  assert.deepEqual(readEntries(Buffer.from('\n')), ['']);
  assert.deepEqual(readEntries(Buffer.from('\ufeffa\r\n')), ['\ufeffa\r']);
  for (const bytes of [
    Buffer.from('a'),
    Buffer.from('a\nb'),
    Buffer.from([0xc3, 0x28, 0x0a]),
    Buffer.from([0xff, 0x0a]),
  ]) {
    assert.throws(() => readEntries(bytes), { code: 'entries_malformed' });
  }
});
