import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { createSseSplitter } from '../mcp/sse.ts';
import { StdioFailure } from './failure.ts';
import { createLineSplitter, toEvent, toLine } from './lines.ts';

test('splits at LF wherever chunks end; a CR before it and empty lines are no content', () => {
  const stream = Buffer.from('{"a":1}\n\r\n\n{"b":"é"}\r\n{"c":\r1}\nrest');
  fc.assert(
    fc.property(fc.array(fc.nat(stream.length)), (cuts) => {
      const splitter = createLineSplitter(100);
      const at = [0, ...cuts.sort((a, b) => a - b), stream.length];
      const lines = at.slice(1).flatMap((end, index) => splitter.push(stream.subarray(at[index], end)));
      assert.deepEqual(lines.map(String), ['{"a":1}', '{"b":"é"}', '{"c":\r1}']);
    }),
  );
});

test('a line may be as long as the limit and not a byte longer, with or without its end', () => {
  assert.deepEqual(createLineSplitter(4).push(Buffer.from('aaaa\nbbbb\n')).map(String), ['aaaa', 'bbbb']);
  const isLimit = (error: unknown) => error instanceof StdioFailure && error.code === 'line_limit';
  assert.throws(() => createLineSplitter(4).push(Buffer.from('aaaaa\n')), isLimit);
  const splitter = createLineSplitter(4);
  assert.deepEqual(splitter.push(Buffer.from('aaa')), []);
  assert.throws(() => splitter.push(Buffer.from('aa')), isLimit);
});

test('a message becomes one line of the same JSON and length', () => {
  const message = Buffer.from('{\n  "id": 1,\r\n  "s": "a\\nb" }\n');
  const line = toLine(message);
  assert.equal(line.toString(), '{   "id": 1,    "s": "a\\nb" } \n');
  assert.equal(line.length, message.length + 1);
});

test('a line becomes one event, byte for byte; a CR between tokens becomes the line end that readers make of it', () => {
  assert.equal(toEvent(Buffer.from('{"a":1}')).toString(), 'event: message\ndata: {"a":1}\n\n');
  const events = createSseSplitter({ maxEventBytes: 1000 }).push(toEvent(Buffer.from('{"a":\r\r1,"data":\r"\\r"}')));
  assert.deepEqual(
    events.map(({ data }) => data?.toString()),
    ['{"a":\n\n1,"data":\n"\\r"}'],
  );
});
