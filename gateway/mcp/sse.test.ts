import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import { GatewayError } from '../errors.ts';
import { createSseSplitter, type SsePart, withData } from './sse.ts';

const LIMIT = 1 << 20;

function split(chunks: readonly (string | Uint8Array)[], maxEventBytes = LIMIT): SsePart[] {
  const splitter = createSseSplitter({ maxEventBytes });
  const parts = chunks.flatMap((chunk) => splitter.push(Buffer.from(chunk)));
  return [...parts, ...splitter.end()];
}

/** Kind and text of each part; neighbouring comments as one, since where chunks end may cut them. */
function outline(parts: readonly SsePart[]): string[] {
  const lines: string[] = [];
  for (const { kind, bytes, incomplete } of parts) {
    const mark = incomplete ? '!' : kind === 'event' ? '>' : '#';
    if (mark === '#' && lines.at(-1)?.[0] === '#') lines.push(lines.pop() + bytes.toString('latin1'));
    else lines.push(mark + bytes.toString('latin1'));
  }
  return lines;
}

const fieldsOf = (parts: readonly SsePart[]) =>
  parts.flatMap(({ kind, bytes: _, data, ...rest }) =>
    kind === 'event' ? [{ ...rest, data: data?.toString('latin1') }] : [],
  );

describe('boundaries', () => {
  const table: readonly (readonly [string, string[]])[] = [
    ['', []],
    ['data: a\n\n', ['>data: a\n\n']],
    ['data: a\r\n\r\ndata: b\r\n\r\n', ['>data: a\r\n\r\n', '>data: b\r\n\r\n']],
    ['data: a\r\rdata: b\r\r', ['>data: a\r\r', '>data: b\r\r']],
    ['data: a\n\r\ndata: b\r\n\rid\n\n', ['>data: a\n\r\n', '>data: b\r\n\r', '>id\n\n']],
    ['data: a\r\r\ndata: b\n\r', ['>data: a\r\r\n', '>data: b\n\r']],
    [': hi\n\ndata: a\n\n', ['#: hi\n\n', '>data: a\n\n']],
    [': hi\ndata: a\n\n', ['#: hi\n', '>data: a\n\n']],
    ['data: a\n: within\ndata: b\n\n', ['>data: a\n: within\ndata: b\n\n']],
    [':\r\n', ['#:\r\n']],
    ['\n\n\n', ['#\n\n\n']],
    ['data: a', ['!data: a']],
    ['data: a\n', ['!data: a\n']],
    ['data: a\n\ndat', ['>data: a\n\n', '!dat']],
    [': half', ['#: half']],
    ['\xef\xbb\xbfdata: a\n\n', ['>\xef\xbb\xbfdata: a\n\n']],
    ['\xef\xbb\xbf: c\n\ndata: a\n\n', ['#\xef\xbb\xbf: c\n\n', '>data: a\n\n']],
    ['\xef\xbb\xbf', ['#\xef\xbb\xbf']],
    ['\xef\xbb', ['!\xef\xbb']],
    ['\xef\xbb\n\n', ['>\xef\xbb\n\n']],
  ];
  for (const [stream, expected] of table) {
    const bytes = Buffer.from(stream, 'latin1');
    test(JSON.stringify(stream), () => {
      assert.deepEqual(outline(split([bytes])), expected);
    });
    test(`${JSON.stringify(stream)} byte by byte`, () => {
      // An LF that follows an event's last CR in another chunk begins the next part.
      const single = outline(split([...bytes].map((byte) => Uint8Array.of(byte))));
      assert.equal(single.map((line) => line.slice(1)).join(''), stream);
      assert.equal(single.filter((line) => line[0] === '>').length, expected.filter((line) => line[0] === '>').length);
    });
  }
});

describe('when parts are given out', () => {
  const push = (...chunks: string[]) => {
    const splitter = createSseSplitter({ maxEventBytes: LIMIT });
    return chunks.map((chunk) => outline(splitter.push(Buffer.from(chunk))));
  };
  test('an event that ends in CR does not wait for an LF', () => {
    assert.deepEqual(push('data: a\r\n\r', '\ndata: b\n\n'), [['>data: a\r\n\r'], ['#\n', '>data: b\n\n']]);
    assert.deepEqual(push('data: a\r\r', '\n', 'data: b\r', '\n\r', '\n'), [
      ['>data: a\r\r'],
      ['#\n'],
      [],
      ['>data: b\r\n\r'],
      ['#\n'],
    ]);
  });
  test('a CR and an LF in two chunks are one line end, not a blank line', () => {
    assert.deepEqual(push('data: a\r', '\ndata: b\r', '\n', '\r\n'), [[], [], [], ['>data: a\r\ndata: b\r\n\r\n']]);
  });
  test('a keep-alive does not wait for a blank line', () => {
    assert.deepEqual(push(':\r\n', ': pi', 'ng\n', '\n', 'data: a\n\n'), [
      ['#:\r\n'],
      [],
      ['#: ping\n'],
      ['#\n'],
      ['>data: a\n\n'],
    ]);
  });
  test('an empty chunk changes nothing', () => {
    assert.deepEqual(push('', 'data: a\n', '', '\n', ''), [[], [], [], ['>data: a\n\n'], []]);
  });
});

describe('fields', () => {
  const table: readonly (readonly [string, object])[] = [
    ['data: a', { data: 'a' }],
    ['data:a', { data: 'a' }],
    ['data:  a', { data: ' a' }],
    ['data', { data: '' }],
    ['data:', { data: '' }],
    ['data: a\ndata: b', { data: 'a\nb' }],
    ['data\ndata', { data: '\n' }],
    ['data:\ndata: b\ndata:', { data: '\nb\n' }],
    ['data: a: b', { data: 'a: b' }],
    ['DATA: a', { data: undefined }],
    [' data: a', { data: undefined }],
    ['dat: a', { data: undefined }],
    ['datax: a', { data: undefined }],
    ['id: 1\ndata:', { id: '1', data: '' }],
    ['id\ndata: x', { id: '', data: 'x' }],
    ['id: 1\nid: 2', { id: '2', data: undefined }],
    ['id: 1\nid: a\u0000b', { id: '1', data: undefined }],
    ['event: message\ndata: x', { event: 'message', data: 'x' }],
    ['retry: 3000', { retry: 3000, data: undefined }],
    ['retry: 3000 ', { data: undefined }],
    ['retry: -1', { data: undefined }],
    ['retry:', { data: undefined }],
    [`retry: ${'9'.repeat(400)}`, { data: undefined }],
    ['data: a\n: c\nid: 7', { id: '7', data: 'a' }],
    [':x', {}],
  ];
  for (const [block, fields] of table) {
    for (const eol of ['\n', '\r\n', '\r']) {
      test(JSON.stringify(block + eol), () => {
        const stream = `${block}\n\n`.replaceAll('\n', eol);
        assert.deepEqual(fieldsOf(split([stream])), block.startsWith(':') ? [] : [fields]);
      });
    }
  }
  test('ids and types are UTF-8', () => {
    const [part] = split([Buffer.from('id: é😀\nevent: ü\n\n')]);
    assert.deepEqual([part?.id, part?.event], ['é😀', 'ü']);
  });
  test('a byte order mark counts at the start only', () => {
    assert.deepEqual(fieldsOf(split([Buffer.from('\xef\xbb\xbfdata: a\n\n\xef\xbb\xbfdata: b\n\n', 'latin1')])), [
      { data: 'a' },
      { data: undefined },
    ]);
  });
});

describe('the limit', () => {
  const tooLarge = (chunks: readonly string[], max: number) =>
    assert.throws(
      () => split(chunks, max),
      (error) =>
        error instanceof GatewayError && error.code === 'response_too_large' && error.fate === 'outcome_withheld',
    );
  test('counts an event with its blank line', () => {
    assert.equal(split(['data: abc\n\n'], 11).length, 1);
    tooLarge(['data: abc\n\n'], 10);
    tooLarge(['data: ', 'abc', '\n', '\n'], 10);
  });
  test('holds for a line without end and for many short lines', () => {
    tooLarge(['data: ', ...Array(5).fill('xxxxxxxxxx')], 50);
    tooLarge(Array(20).fill('data:\n'), 100);
    tooLarge([': ', 'comment without end'], 10);
  });
  test('does not count what was given out', () => {
    assert.equal(split(Array(50).fill('data: a\n\n'), 20).length, 50);
    assert.equal(split([': 1234567\n'.repeat(10), 'data: a\n\n'], 20).length, 2);
    assert.equal(split([`${': 1234567\n'.repeat(10)}: 12`, '\n'], 20).length, 2);
  });
  test('what failed once stays failed', () => {
    const splitter = createSseSplitter({ maxEventBytes: 4 });
    assert.throws(() => splitter.push(Buffer.from('data: abc')));
    assert.throws(() => splitter.push(Buffer.from('\n')));
    assert.throws(() => splitter.end());
  });
});

test('16 MB of one event in chunks of 16 bytes: every byte, in linear time', () => {
  const size = 16 << 20;
  const splitter = createSseSplitter({ maxEventBytes: size + 100 });
  const chunk = Buffer.from('0123456789abcdef');
  splitter.push(Buffer.from('data: '));
  for (let sent = 0; sent < size; sent += chunk.length) assert.equal(splitter.push(chunk).length, 0);
  const [part] = splitter.push(Buffer.from('\n\n'));
  assert.equal(part?.data?.length, size);
  assert.equal(part.bytes.length, size + 8);
  assert.ok(part.data.subarray(-32).equals(Buffer.concat([chunk, chunk])));
});

const stream = fc
  .array(
    fc.constantFrom(
      'data: x',
      'data:',
      'data',
      ': c',
      ':',
      'id: 7',
      'event: e',
      'retry: 5',
      'zz',
      '\n',
      '\r',
      '\r\n',
      '\n\n',
      '\r\r',
      '\r\n\r\n',
      'é',
      '\ufeff',
    ),
    { maxLength: 40 },
  )
  .map((pieces) => Buffer.from(pieces.join('')));
const cuts = fc.array(fc.nat(), { maxLength: 12 });

function cut(bytes: Buffer, at: readonly number[]): Buffer[] {
  const places = [...new Set(at.map((place) => place % (bytes.length + 1)))].sort((a, b) => a - b);
  return [0, ...places].map((from, index) => bytes.subarray(from, places[index] ?? bytes.length));
}

/** The WHATWG algorithm over the whole text, as its specification tells it. */
function reference(bytes: Buffer): object[] {
  const text = bytes.toString('latin1').replace(/^\xef\xbb\xbf/, '');
  const lines = text.split(/\r\n|\n|\r/);
  lines.pop();
  const events: object[] = [];
  let block: string[] = [];
  for (const line of lines) {
    if (line !== '') {
      block.push(line);
      continue;
    }
    const fields = block
      .filter((each) => !each.startsWith(':'))
      .map((each) => /^([^:]*)(?:: ?(.*))?$/s.exec(each) ?? []);
    block = [];
    if (fields.length === 0) continue;
    const last = (name: string) => fields.filter((field) => field[1] === name).at(-1);
    const data = fields.filter((field) => field[1] === 'data').map((field) => field[2] ?? '');
    const [id, event] = [last('id'), last('event')];
    // A retry that is no number is as if it were not there; an earlier one holds.
    const retry = fields.filter((field) => field[1] === 'retry' && /^\d+$/.test(field[2] ?? '')).at(-1);
    events.push({
      ...(id && { id: id[2] ?? '' }),
      ...(event && { event: event[2] ?? '' }),
      ...(retry && { retry: Number(retry[2]) }),
      data: data.length > 0 ? data.join('\n') : undefined,
    });
  }
  return events;
}

describe('for any stream and any chunks', () => {
  test('the parts are the stream, byte for byte, and the events those of WHATWG', () => {
    fc.assert(
      fc.property(stream, cuts, (bytes, at) => {
        const parts = split(cut(bytes, at));
        assert.ok(Buffer.concat(parts.map((part) => part.bytes)).equals(bytes));
        const latin1 = parts
          .filter((part) => !part.incomplete)
          .map((part) => ({
            ...part,
            ...(part.id !== undefined && { id: Buffer.from(part.id).toString('latin1') }),
            ...(part.event !== undefined && { event: Buffer.from(part.event).toString('latin1') }),
          }));
        assert.deepEqual(fieldsOf(latin1), reference(bytes));
      }),
      { numRuns: 3000 },
    );
  });
  test('an event is given out with the chunk that brings the line end of its blank line', () => {
    fc.assert(
      fc.property(stream, (bytes) => {
        const splitter = createSseSplitter({ maxEventBytes: LIMIT });
        for (let i = 0; i < bytes.length; i++) {
          const given = splitter.push(bytes.subarray(i, i + 1)).filter((part) => part.kind === 'event').length;
          assert.equal(given, reference(bytes.subarray(0, i + 1)).length - reference(bytes.subarray(0, i)).length);
        }
      }),
      { numRuns: 500 },
    );
  });
});

test('other data in the same event: every other line stays, and a reader reads the new data', () => {
  for (const [event, expected] of [
    ['event: endpoint\ndata: /old\n\n', 'event: endpoint\ndata: /new\n\n'],
    ['id: 1\r\ndata: a\r\ndata: b\r\nretry: 5\r\n\r\n', 'id: 1\r\ndata: /new\nretry: 5\r\n\r\n'],
    ['data\rid:2\r\r', 'data: /new\nid:2\r\r'],
    ['database: x\n: comment\ndata:a\n\n', 'database: x\n: comment\ndata: /new\n\n'],
  ] as const) {
    const changed = withData(Buffer.from(event), '/new');
    assert.equal(changed.toString(), expected);
    const [part] = createSseSplitter({ maxEventBytes: 1000 }).push(changed);
    assert.equal(part?.data?.toString(), '/new');
  }
});
