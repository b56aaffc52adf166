import assert from 'node:assert/strict';
import { test } from 'node:test';
import { readServerMessage } from './server-message.ts';

/** What was read, with references as the text in their place. */
function read(line: string | Buffer): Record<string, unknown> | undefined {
  const bytes = Buffer.from(line);
  const message = readServerMessage(bytes);
  if (message === undefined) return undefined;
  return Object.fromEntries(
    Object.entries(message).map(([name, value]) => {
      if (typeof value !== 'object') return [name, value];
      assert.equal(value.key, JSON.stringify(JSON.parse(bytes.toString('utf8', value.at.start, value.at.end))));
      return [name, bytes.toString('utf8', value.at.start, value.at.end)];
    }),
  );
}

const SUBSCRIPTION = '"_meta":{"io.modelcontextprotocol/subscriptionId":4}';

const messages: [string, Record<string, unknown>][] = [
  ['{"id":0,"result":{"big":9007199254740993}}', { kind: 'response', id: '0' }],
  ['{"id":"0","error":{"code":-32601,"message":""}}', { kind: 'response', id: '"0"', error: -32601 }],
  [`{"id":4,"result":{${SUBSCRIPTION}}}`, { kind: 'response', id: '4', subscription: '4' }],
  ['{"id":1,"method":"roots/list"}', { kind: 'request', method: 'roots/list', id: '1' }],
  ['{"method":"a","params":{"progressToken":1,"requestId":1}}', { kind: 'notification', method: 'a' }],
  [
    '{"method":"notifications/progress","params":{"progressToken":"t"}}',
    { kind: 'notification', method: 'notifications/progress', token: '"t"' },
  ],
  [
    `{"method":"notifications/cancelled","params":{"requestId":4,${SUBSCRIPTION}}}`,
    { kind: 'notification', method: 'notifications/cancelled', cancels: '4', subscription: '4' },
  ],
];

test('reads which message a line is and what it names', () => {
  for (const [line, expected] of messages) assert.deepEqual(read(line), expected, line);
});

test('a line that readers could read unlike is no message', () => {
  const lines = [
    'Server listening',
    '',
    '1',
    'null',
    '[{"id":1,"result":{}}]',
    '{"id":1}',
    '{"id":null,"error":{"code":1,"message":""}}',
    '{"result":{}}',
    '{"id":1,"result":{},"error":{"code":1,"message":""}}',
    '{"id":1,"method":"a","result":{}}',
    '{"id":null,"method":"a"}',
    '{"id":{},"method":"a"}',
    '{"method":1}',
    '{"id":1,"id":2,"result":{}}',
    '{"method":"notifications/progress","params":{"progressToken":1,"progressToken":2}}',
    '{"id":1,"result":{"_meta":{},"_meta":{}}}',
    '\ufeff{"id":1,"result":{}}',
  ];
  for (const line of lines) assert.equal(read(line), undefined, line);
  assert.equal(read(Buffer.from('{"id":1,"result":"\xff"}', 'latin1')), undefined);
});
