import assert from 'node:assert/strict';
import { test } from 'node:test';
import { cancelledLine, namesOf, renumber, renumberCancelled } from './client-message.ts';

const BODY = `{ "params" : {"z":1e2,"a":{"id":5,"progressToken":6},"_meta":{"progressToken":"p\\u0031","x":1}},
 "id": "0", "method":"tools/call"}`;

test('an id and its token get the number of the host; no other byte changes', () => {
  const body = Buffer.from(BODY);
  assert.equal(renumber(body, 17).toString(), BODY.replace('"0"', '17').replace('"p\\u0031"', '17'));
  const { id, token } = namesOf(body);
  assert.deepEqual([String(id), String(token)], ['"0"', '"p\\u0031"']);
});

test('a request without a token has none', () => {
  const body = Buffer.from('{"id":0,"method":"a","params":{"progressToken":3}}');
  assert.equal(renumber(body, 1).toString(), '{"id":1,"method":"a","params":{"progressToken":3}}');
  assert.equal(namesOf(body).token, undefined);
});

test('a token of more than 1 KiB is refused, however it is written', () => {
  const asking = (token: string): Buffer => Buffer.from(`{"id":1,"params":{"_meta":{"progressToken":${token}}}}`);
  for (const token of [`"${'t'.repeat(1022)}"`, '1'.repeat(1024)]) {
    assert.equal(String(namesOf(asking(token)).token), token);
  }
  for (const token of [
    `"${'t'.repeat(1023)}"`,
    `"${'\\u0074'.repeat(200)}"`,
    '1'.repeat(1025),
    `[${' '.repeat(1023)}]`,
  ]) {
    assert.throws(() => namesOf(asking(token)), { code: 'message_refused', http: 400, message: /longer than 1 KiB/ });
  }
});

test('a cancellation names the number that the child knows', () => {
  const body = Buffer.from('{"method":"notifications/cancelled","params":{"reason":"requestId","requestId": "0"}}');
  assert.equal(String(renumberCancelled(body, 3)), String(body).replace('"0"', '3'));
  const meta = {
    'io.modelcontextprotocol/protocolVersion': '2026-07-28',
    'io.modelcontextprotocol/clientCapabilities': {},
    progressToken: 1,
  };
  const own = JSON.parse(String(cancelledLine({ kind: 'request', id: 0, params: { _meta: meta } }, 3)));
  assert.equal(own.params.requestId, 3);
  const { progressToken: _, ...kept } = meta;
  assert.deepEqual(own.params._meta, kept);
});
