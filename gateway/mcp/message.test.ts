import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { readMessages } from './message.ts';

const request = { jsonrpc: '2.0', id: 0, method: 'tools/call', params: { name: 'query', arguments: { sql: 'x' } } };
const single = { batch: false };
const batch = { batch: true };

describe('messages that are read', () => {
  const table: readonly (readonly [string, unknown, object])[] = [
    ['request', request, { kind: 'request', id: 0, method: 'tools/call', name: 'query', params: request.params }],
    ['text id', { ...request, id: '1', params: {} }, { kind: 'request', id: '1', method: 'tools/call', params: {} }],
    ['empty id', { jsonrpc: '2.0', id: '', method: 'ping' }, { kind: 'request', id: '', method: 'ping' }],
    ['negative id', { jsonrpc: '2.0', id: -7, method: 'ping' }, { kind: 'request', id: -7, method: 'ping' }],
    [
      'longest id',
      { jsonrpc: '2.0', id: 'é'.repeat(512), method: 'a' },
      { kind: 'request', id: 'é'.repeat(512), method: 'a' },
    ],
    [
      'notification',
      { jsonrpc: '2.0', method: 'notifications/x' },
      { kind: 'notification', method: 'notifications/x' },
    ],
    ['longest method', { jsonrpc: '2.0', method: 'm'.repeat(256) }, { kind: 'notification', method: 'm'.repeat(256) }],
    ['result', { jsonrpc: '2.0', id: 0, result: {} }, { kind: 'response', id: 0 }],
    ['null result', { jsonrpc: '2.0', id: 'a', result: null }, { kind: 'response', id: 'a' }],
    ['error', { jsonrpc: '2.0', id: 1, error: { code: -1, message: '' } }, { kind: 'response', id: 1 }],
    ['more members', { jsonrpc: '2.0', id: 1, method: 'ping', trace: [1] }, { kind: 'request', id: 1, method: 'ping' }],
  ];
  for (const [name, value, message] of table) {
    test(name, () => {
      assert.deepEqual(readMessages(value, single), { ok: true, messages: [message], batch: false });
      assert.deepEqual(readMessages([value], batch), { ok: true, messages: [message], batch: true });
    });
  }
});

describe('messages that are refused', () => {
  const table: readonly (readonly [string, unknown])[] = [
    ['null', null],
    ['text', 'ping'],
    ['number', 1],
    ['no version', { id: 1, method: 'ping' }],
    ['version 1.0', { jsonrpc: '1.0', id: 1, method: 'ping' }],
    ['numeric version', { jsonrpc: 2, id: 1, method: 'ping' }],
    ['inherited version', Object.assign(Object.create({ jsonrpc: '2.0' }), { id: 1, method: 'ping' })],
    ['null id', { jsonrpc: '2.0', id: null, method: 'ping' }],
    ['fractional id', { jsonrpc: '2.0', id: 1.5, method: 'ping' }],
    ['id true', { jsonrpc: '2.0', id: true, method: 'ping' }],
    ['id object', { jsonrpc: '2.0', id: {}, method: 'ping' }],
    ['long id', { jsonrpc: '2.0', id: 'é'.repeat(513), method: 'ping' }],
    ['empty method', { jsonrpc: '2.0', id: 1, method: '' }],
    ['method number', { jsonrpc: '2.0', id: 1, method: 1 }],
    ['method null', { jsonrpc: '2.0', id: 1, method: null }],
    ['long method', { jsonrpc: '2.0', id: 1, method: 'm'.repeat(257) }],
    ['method with LF', { jsonrpc: '2.0', id: 1, method: 'tools/call\n' }],
    ['method with NUL', { jsonrpc: '2.0', id: 1, method: 'tools\u0000/call' }],
    ['method with C1', { jsonrpc: '2.0', id: 1, method: 'tools\u0085' }],
    ['params null', { jsonrpc: '2.0', id: 1, method: 'ping', params: null }],
    ['params array', { jsonrpc: '2.0', id: 1, method: 'ping', params: [] }],
    ['params text', { jsonrpc: '2.0', id: 1, method: 'ping', params: 'x' }],
    ['method and result', { jsonrpc: '2.0', id: 1, method: 'ping', result: {} }],
    ['method and error', { jsonrpc: '2.0', id: 1, method: 'ping', error: { code: 1, message: '' } }],
    ['nothing', { jsonrpc: '2.0', id: 1 }],
    ['result and error', { jsonrpc: '2.0', id: 1, result: {}, error: { code: 1, message: '' } }],
    ['result without id', { jsonrpc: '2.0', result: {} }],
    ['error null', { jsonrpc: '2.0', id: 1, error: null }],
    ['error without code', { jsonrpc: '2.0', id: 1, error: { message: '' } }],
    ['error without message', { jsonrpc: '2.0', id: 1, error: { code: 1 } }],
  ];
  for (const [name, value] of table) {
    test(name, () => {
      assert.equal(readMessages(value, single).ok, false);
      assert.equal(readMessages([{ jsonrpc: '2.0', method: 'notifications/x' }, value], batch).ok, false);
    });
  }

  test('the id is there for the answer where it can be read', () => {
    const idOf = (value: unknown) => {
      const read = readMessages(value, single);
      return read.ok ? 'read' : read.id;
    };
    assert.equal(idOf({ jsonrpc: '1.0', id: 0 }), 0);
    assert.equal(idOf({ jsonrpc: '2.0', id: 'a', method: '' }), 'a');
    assert.equal(idOf({ jsonrpc: '2.0', id: 1.5, method: '' }), undefined);
    assert.equal(idOf(null), undefined);
    assert.equal(idOf([request]), undefined);
  });
});

describe('batches', () => {
  const note = { jsonrpc: '2.0', method: 'notifications/x' };
  test('only where the version has them', () => {
    assert.equal(readMessages([request], single).ok, false);
    assert.equal(readMessages([], single).ok, false);
  });
  test('an empty one and a very long one are refused', () => {
    assert.equal(readMessages([], batch).ok, false);
    assert.equal(readMessages(Array(100).fill(note), batch).ok, true);
    assert.equal(readMessages(Array(101).fill(note), batch).ok, false);
  });
  test('two requests of one id are refused; 1 and "1" are two ids, a response has an id of the other side', () => {
    const ping = (id: unknown) => ({ jsonrpc: '2.0', id, method: 'ping' });
    assert.equal(readMessages([ping(1), note, ping(1)], batch).ok, false);
    assert.equal(readMessages([ping('0'), ping('0')], batch).ok, false);
    const read = readMessages([ping(1), ping('1'), { jsonrpc: '2.0', id: 1, result: {} }], batch);
    assert.deepEqual(read.ok && read.messages.map(({ kind, id }) => [kind, id]), [
      ['request', 1],
      ['request', '1'],
      ['response', 1],
    ]);
  });
  test('initialize, an array and per-request metadata have no place in one', () => {
    assert.equal(readMessages([{ jsonrpc: '2.0', id: 1, method: 'initialize', params: {} }], batch).ok, false);
    assert.equal(readMessages([[request]], batch).ok, false);
    const _meta = { 'io.modelcontextprotocol/protocolVersion': '2025-03-26' };
    assert.equal(readMessages([{ ...note, params: { _meta } }], batch).ok, false);
  });
});

test('words repeat nothing of the message', () => {
  const read = readMessages({ jsonrpc: 'hunter2', id: 'hunter2', method: 'hunter2' }, single);
  assert.ok(!read.ok);
  assert.doesNotMatch(read.words, /hunter2/);
});
