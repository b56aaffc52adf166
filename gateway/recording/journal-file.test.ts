import assert from 'node:assert/strict';
import { test } from 'node:test';
import { chainRecord, checkJournalFile, encodeHeader, isAfter, splitRecords } from './journal-file.ts';

const KEY = Buffer.alloc(32, 7);
const FILE = 3;

/** A file with a header and these commits, and where each record ends. */
function fileOf(commits: readonly string[], key = KEY, number = FILE): { bytes: Buffer; ends: number[] } {
  const header = encodeHeader(key, { v: 1, file: number, previous: { file: 2, length: 999 } });
  const parts = [header.bytes];
  const ends = [header.bytes.length];
  let { chain } = header;
  for (const commit of commits) {
    const record = chainRecord(key, chain, [Buffer.from(commit)]);
    parts.push(...record.buffers);
    ends.push((ends.at(-1) ?? 0) + record.length);
    chain = record.chain;
  }
  return { bytes: Buffer.concat(parts), ends };
}

const line = (seq: number): string =>
  `{"v":1,"session":"s","strand":"s.l","seq":${seq},"at":"2026-11-22T18:00:00.000000Z","type":"event","event":{}}\n`;
const COMMITS = [line(0) + line(1), line(2), line(3) + line(4), line(5)];

test('every prefix of a file recovers to its whole commits, and none looks damaged', () => {
  const { bytes, ends } = fileOf(COMMITS);
  for (let length = 0; length <= bytes.length; length++) {
    const checked = checkJournalFile(KEY, bytes.subarray(0, length), FILE);
    assert.equal(checked.length, Math.max(0, ...ends.filter((end) => end <= length)), `prefix ${length}`);
    assert.equal(checked.damaged, false, `prefix ${length}`);
  }
});

test('a flipped byte recovers to the commits before it, and is damage in the last commit too', () => {
  const { bytes, ends } = fileOf(COMMITS);
  for (let at = 0; at < bytes.length; at++) {
    for (const flip of [0x01, 0x80, 0xff]) {
      const broken = Buffer.from(bytes);
      broken[at] = (broken[at] ?? 0) ^ flip;
      const checked = checkJournalFile(KEY, broken, FILE);
      assert.equal(checked.length, Math.max(0, ...ends.filter((end) => end <= at)), `flip at ${at}`);
      assert.equal(checked.damaged, true, `flip at ${at}`);
    }
  }
});

test('a tail that is no commit, or not all of one, is torn', () => {
  const { bytes, ends } = fileOf(COMMITS);
  const torn = bytes.subarray(ends[0], (ends[1] ?? 0) - 1);
  for (const tail of [Buffer.alloc(1), Buffer.alloc(4096), Buffer.alloc(500, 0xff), torn]) {
    const checked = checkJournalFile(KEY, Buffer.concat([bytes, tail]), FILE);
    assert.deepEqual(checked, { length: bytes.length, damaged: false, previous: { file: 2, length: 999 } });
  }
});

test('a commit whose sectors came to the disk in any order, and not all of them, is torn', () => {
  const begun = fileOf(COMMITS).bytes;
  const { bytes } = fileOf([...COMMITS, line(6).replace('{}', JSON.stringify({ name: 'x'.repeat(3000) }))]);
  const sectors: [number, number][] = [];
  for (let at = begun.length; at < bytes.length; at = at - (at % 512) + 512) {
    sectors.push([at, Math.min(bytes.length, at - (at % 512) + 512)]);
  }
  assert.equal(sectors.length, 7);
  for (let came = 0; came < 2 ** sectors.length - 1; came++) {
    const torn = Buffer.from(bytes);
    for (const [index, [from, to]] of sectors.entries()) if (((came >> index) & 1) === 0) torn.fill(0, from, to);
    const { length, damaged } = checkJournalFile(KEY, torn, FILE);
    assert.deepEqual([length, damaged], [begun.length, false], `sectors ${came.toString(2)}`);
  }
});

test('a commit whose last byte is zero and alone in its sector is not taken for a torn one', () => {
  const begun = fileOf(COMMITS).bytes.length;
  const named = (name: string): Buffer => fileOf([...COMMITS, line(6).replace('{}', JSON.stringify({ name }))]).bytes;
  const room = (512 + 1 - (named('').length % 512)) % 512;
  // The MAC's last byte is zero in one commit of 256.
  let bytes = named('');
  for (let at = 0; at < 4096 && (bytes.at(-1) !== 0 || bytes.length % 512 !== 1); at++) {
    bytes = named(`${at}`.padEnd(room, 'x'));
  }
  assert.ok(bytes.at(-1) === 0 && bytes.length % 512 === 1);
  bytes[begun + 40] = (bytes[begun + 40] ?? 0) ^ 1;
  assert.equal(checkJournalFile(KEY, bytes, FILE).damaged, true);
});

test('what is sealed may be broken: the rest of the file is checked from there', () => {
  const { bytes, ends } = fileOf(COMMITS);
  const [, second = 0] = ends;
  const broken = Buffer.from(bytes).fill(7, 0, second - 32);
  assert.deepEqual(checkJournalFile(KEY, broken, FILE, second), { length: bytes.length, damaged: false });
  assert.equal(checkJournalFile(KEY, broken, FILE).damaged, true);
  assert.equal(checkJournalFile(KEY, bytes.subarray(0, second - 1), FILE, second).damaged, true);
});

test("commits of another key, another file's name, or out of their order are not adopted", () => {
  const { bytes } = fileOf(COMMITS);
  assert.deepEqual(checkJournalFile(Buffer.alloc(32, 8), bytes, FILE), { length: 0, damaged: true });
  assert.deepEqual(checkJournalFile(KEY, bytes, FILE + 1), { length: 0, damaged: true });
  const { ends } = fileOf(COMMITS);
  const [first = 0, second = 0, third = 0] = ends;
  const swapped = Buffer.concat([
    bytes.subarray(0, first),
    bytes.subarray(second, third),
    bytes.subarray(first, second),
  ]);
  assert.equal(checkJournalFile(KEY, swapped, FILE).length, first);
});

test('lines split at every limit come out whole', () => {
  const { bytes } = fileOf(COMMITS);
  const { lines, used } = splitRecords(bytes, true);
  assert.equal(used, bytes.length);
  assert.equal(Buffer.concat(lines).toString(), COMMITS.join(''));
  assert.equal(lines.length, 6);
});

test('positions are ordered by file, then offset', () => {
  assert.equal(isAfter({ file: 2, offset: 0 }, { file: 1, offset: 9 }), true);
  assert.equal(isAfter({ file: 1, offset: 9 }, { file: 1, offset: 9 }), false);
  assert.equal(isAfter({ file: 1, offset: 10 }, { file: 1, offset: 9 }), true);
});
