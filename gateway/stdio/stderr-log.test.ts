import assert from 'node:assert/strict';
import { test } from 'node:test';
import { createStderrLog } from './stderr-log.ts';

function collect() {
  const lines: string[] = [];
  const dropped: number[] = [];
  let time = 0;
  const log = createStderrLog({
    line: (text) => void lines.push(text),
    dropped: (count) => void dropped.push(count),
    now: () => time,
  });
  const pass = (milliseconds: number): void => {
    time += milliseconds;
  };
  return { log, lines, dropped, pass };
}

test('lines arrive whole, however they were cut, and the last one without its end', () => {
  const { log, lines } = collect();
  for (const piece of ['one\r\ntw', 'o\n\n', 'thr', 'ee']) log.push(Buffer.from(piece));
  log.end();
  assert.deepEqual(lines, ['one', 'two', 'three']);
});

test('a line is cut at 8 KiB, even one that never ends', () => {
  const { log, lines } = collect();
  for (let i = 0; i < 100; i++) log.push(Buffer.alloc(64 * 1024, 'x'));
  log.push(Buffer.from('\nnext\n'));
  assert.deepEqual(
    lines.map(({ length }) => length),
    [8192, 4],
  );
});

test('a hundred lines a second pass; what came beyond is counted once', () => {
  const { log, lines, dropped, pass } = collect();
  log.push(Buffer.from('a\n'.repeat(250)));
  assert.deepEqual([lines.length, dropped], [100, []]);
  pass(1000);
  log.push(Buffer.from('b\n'));
  assert.deepEqual([lines.length, dropped], [101, [150]]);
  log.push(Buffer.from('c\n'.repeat(100)));
  log.end();
  assert.deepEqual([lines.length, dropped], [200, [150, 1]]);
});
