import assert from 'node:assert/strict';
import fc from 'fast-check';
import { createSseSplitter, type SsePart } from '../../gateway/mcp/sse.ts';
import { cut, cuts } from './generate.ts';

const PIECES = [
  'data: x',
  'data:',
  'data',
  ': c',
  ':',
  'id: 7',
  'event: e',
  'retry: 5',
  'zz',
  'é',
  '\ufeff',
  '{"a":1}',
];
const ENDS = ['\n', '\r', '\r\n', '\n\n', '\r\r', '\r\n\r\n'];

const streams: fc.Arbitrary<string> = fc
  .array(fc.constantFrom(...PIECES, ...ENDS, ...ENDS), { maxLength: 30 })
  .map((pieces) => pieces.join(''));

export function split(chunks: readonly Buffer[]): SsePart[] {
  const splitter = createSseSplitter({ maxEventBytes: 1_000_000 });
  const parts = chunks.flatMap((chunk) => splitter.push(chunk));
  return [...parts, ...splitter.end()];
}

/** What a reader gets, and the bytes without the line ends that a chunk's end may move to the part behind. */
function told(parts: readonly SsePart[]): unknown {
  return parts
    .filter(({ kind }) => kind === 'event')
    .map(({ data, bytes, ...rest }) => ({
      ...rest,
      data: data?.toString('latin1'),
      bytes: bytes.toString('latin1').replace(/\r\n?$/, '\r'),
    }));
}

/** The same events however the stream is cut, and never a byte lost. */
export const splitter = fc.property(streams, cuts, (stream, at) => {
  const bytes = Buffer.from(stream);
  const parts = split(cut(bytes, at));
  assert.ok(Buffer.concat(parts.map((part) => part.bytes)).equals(bytes));
  assert.deepEqual(told(parts), told(split([bytes])));
});

export const byteByByte = fc.property(streams, (stream) => {
  const bytes = Buffer.from(stream);
  const parts = split(Array.from(bytes, (byte) => Buffer.from([byte])));
  assert.deepEqual(told(parts), told(split([bytes])));
});
