import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { createSseSplitter, type SsePart } from '../../mcp/sse.ts';
import { answers, shown } from './fixture.ts';
import { maskEvent } from './mask-event.ts';
import { MaskError } from './masked.ts';

function partsOf(stream: Buffer): SsePart[] {
  const splitter = createSseSplitter({ maxEventBytes: 10_000 });
  return [...splitter.push(stream), ...splitter.end()];
}

/** Every part of a stream masked by itself. */
const mask = (stream: string): string =>
  partsOf(Buffer.from(stream))
    .map((part) => shown(part.bytes, maskEvent(part, answers)))
    .join('');

const refuses = (stream: string | Buffer) => {
  const parts = partsOf(Buffer.from(stream));
  assert.throws(() => parts.map((part) => maskEvent(part, answers)), MaskError);
};

describe('the data is masked, and every other byte stays', () => {
  const table: readonly (readonly [string, string])[] = [
    ['data: {"id":"a@b","result":"a@b"}\n\n', 'data: {"id":"a@b","result":"[email]"}\n\n'],
    [
      'id: 7\r\nevent:message\r\ndata:{"result":"a\\u0040b"}\r\nretry: 5\r\n\r\n',
      'id: 7\r\nevent:message\r\ndata:{"result":"[email]"}\r\nretry: 5\r\n\r\n',
    ],
    [
      'data: {"result":\rdata: "a@b",\rdata:"x":"c@d"}\r\r',
      'data: {"result":\rdata: "[email]",\rdata:"x":"[email]"}\r\r',
    ],
    ['data: {"result":\nid: 7\n: c\ndata: "a@b"}\n\n', 'data: {"result":\nid: 7\n: c\ndata: "[email]"}\n\n'],
    ['data\ndata: {"result":"a@b"}\ndata\n\n', 'data\ndata: {"result":"[email]"}\ndata\n\n'],
    ['\ufeffdata: {"result":"a\\u0040b"}\n\n', '\ufeffdata: {"result":"[email]"}\n\n'],
    // Values that span lines: the lines between go along.
    ['data: x <note>1\ndata:2\ndata: 3</note> a@b\n\n', 'data: x [note] [email]\n\n'],
    ['data: <note>\r\ndata: </note>\r\n\r\n', 'data: [note]\r\n\r\n'],
    // Not JSON, and no message either.
    ['event: endpoint\ndata: /message?a@b\n\n', 'event: endpoint\ndata: /[email]\n\n'],
    ['data: [DONE] a@b\n\n', 'data: [DONE] [email]\n\n'],
    // Comments, alone and inside of an event.
    [': ping\n\n: to a@b\n', ': ping\n\n: to [email]\n'],
    ['data: 1\n: é a@b\n:c@d\n\n', 'data: 1\n: é [email]\n:[email]\n\n'],
    ['id: 1\ndata:\n\n', 'id: 1\ndata:\n\n'],
    // Without the blank line, which a stream's end often lacks.
    ['data: {"result":"a@b"}\n', 'data: {"result":"[email]"}\n'],
    ['data: {"result":"a@b"}', 'data: {"result":"[email]"}'],
  ];
  for (const [before, after] of table) test(JSON.stringify(before), () => assert.equal(mask(before), after));
});

test('a mark that is not at the start of a stream is part of a name, and its line no data', () => {
  const [first, second] = partsOf(Buffer.from('data: 1\n\n\ufeffdata: [\ndata: "c\\u0040d"\n\n'));
  assert.ok(first !== undefined && second !== undefined);
  assert.equal(shown(second.bytes, maskEvent(second, answers)), '\ufeffdata: [\ndata: "[email]"\n\n');
});

describe('what may not pass', () => {
  for (const stream of [
    'id: a@b\ndata: 1\n\n',
    'event: a@b\ndata: 1\n\n',
    'retry: a@b\ndata: 1\n\n',
    'a@b: x\ndata: 1\n\n',
    'database: a@b\ndata: 1\n\n',
    'id: 1\nid: a@b\nid: 2\ndata: 1\n\n',
    // Neither JSON nor anything but a message.
    'data: {"result":"a\\u0040b",}\n\n',
    'data: [{"result":"x"}\n\n',
    // Broken off.
    'data: {"result":"a@',
    'data: /message?x',
    // Another field between the lines of a value.
    'data: <note>\nid: 7\ndata: </note>\n\n',
  ]) {
    test(JSON.stringify(stream), () => refuses(stream));
  }
  test('what is not UTF-8', () => refuses(Buffer.from([...Buffer.from('data: "'), 0xff, 0x22, 0x0a, 0x0a])));
  test('data that is not that of the bytes', () => {
    const [part] = partsOf(Buffer.from('data: 1\n\n'));
    assert.ok(part !== undefined);
    assert.throws(() => maskEvent({ ...part, data: Buffer.from('2') }, answers), MaskError);
  });
});

test('spans are offsets in the bytes of the event', () => {
  const [part] = partsOf(Buffer.from('id: é\ndata: {"result":"a@b"}\n: c@d\n\n'));
  assert.ok(part !== undefined);
  const { bytes, spans } = maskEvent(part, answers);
  assert.deepEqual(
    spans.map(({ at, length }) => bytes.toString('utf8', at, at + length).slice(0, 7)),
    ['[email:', '[email:'],
  );
});

test('the very same buffer comes back where nothing is found', () => {
  const [part] = partsOf(Buffer.from('id: 1\ndata: {\ndata: }\n: c\n\n'));
  assert.ok(part !== undefined);
  assert.equal(maskEvent(part, answers).bytes, part.bytes);
});

test('many lines take their time and no stack', () => {
  const lines = `data: {"result":[\n${'data: "a@b",\n'.repeat(50_000)}data: 1]}\n\n`;
  const splitter = createSseSplitter({ maxEventBytes: 10_000_000 });
  const [part] = splitter.push(Buffer.from(lines));
  assert.ok(part !== undefined);
  assert.equal(maskEvent(part, answers).spans.length, 50_000);
});
