/** A server that wants past the rules: what it may not ask or show, in every form that some client would read. */
import assert from 'node:assert/strict';
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { type GatewayUnderTest, startGatewayInFrontOf } from './gateway-under-test.ts';
import { openRaw, type RawUpstream, requestOf, startRawUpstream } from './raw-socket.ts';

const RULES = `
rules:
  - { name: one-tool, principals: any, connections: [fixture], tools: [shown], effect: allow }
`;
const ASK = { jsonrpc: '2.0', id: 'x', method: 'sampling/createMessage', params: { messages: [] } };
const asked = JSON.stringify(ASK);
const result = (value: unknown, id: unknown = 1): string => JSON.stringify({ jsonrpc: '2.0', id, result: value });
const LIST = {
  tools: [
    { name: 'hidden', description: 'hidden', inputSchema: {} },
    { name: 'shown', inputSchema: {} },
  ],
};
const event = (data: string): string => `data: ${data}\n\n`;

/** Content type (empty: none) and body. Each holds a request for the client's model. */
const ASKS: Record<string, readonly [string, string]> = {
  JSON: ['application/json', asked],
  'an event': ['text/event-stream', event(asked)],
  text: ['text/plain', asked],
  'no type': ['', asked],
  'a type that begins alike': ['application/jsonx', asked],
  'JSON as a parameter': ['text/plain; x=application/json', asked],
  'events as a parameter': ['text/plain; x=text/event-stream', event(asked)],
  'events in another case': ['Text/Event-Stream;charset=utf-8', event(asked)],
  'JSON as events': ['application/json; x=text/event-stream', event(asked)],
  'a mark': ['application/json', `\ufeff${asked}`],
  NaN: ['application/json', asked.replace('"messages":[]', '"messages":[],"temperature":NaN')],
  'NaN in an event': [
    'text/event-stream',
    event(asked.replace('"messages":[]', '"messages":[],"temperature":-Infinity')),
  ],
  'a comma too many': ['application/json', asked.replace('[]', '[],')],
  'a comment': ['text/event-stream', event(asked.replace('{', '{/**/'))],
  'in a batch': ['application/json', `[${result({})},${asked}]`],
  doubled: ['application/json', asked.replace('"method"', '"method":"ping","method"')],
  'a result as well': [
    'application/json',
    result({}).replace('{"jsonrpc"', '{"METHOD":"sampling/createMessage","jsonrpc"'),
  ],
  'a result as well, in an event': [
    'text/event-stream',
    event(result({}).replace('{"jsonrpc"', '{"Method":"sampling/createMessage","jsonrpc"')),
  ],
  'an escaped key': [
    'application/json',
    result({}).replace('{"jsonrpc"', '{"\\u004dethod":"sampling/createMessage","jsonrpc"'),
  ],
  'an id of null': ['text/event-stream', event(asked.replace('"x"', 'null'))],
  'data lines': [
    'text/event-stream',
    `data: {"jsonrpc":"2.0","id":"x",\ndata: "method":"sampling/createMessage","params":{}}\n\n`,
  ],
  'an answer that asks': [
    'application/json',
    result({ resultType: 'input_required', inputRequests: { a: { method: 'sampling/createMessage', params: {} } } }),
  ],
  'an answer that asks, in another case': [
    'application/json',
    result({ InputRequests: { a: { method: 'sampling/createMessage', params: {} } } }),
  ],
};

/** Each holds a tool that may not be called. */
const LISTS: Record<string, readonly [string, string]> = {
  JSON: ['application/json', result(LIST)],
  'an event': ['text/event-stream', event(result(LIST))],
  'an id that is text': ['application/json', result(LIST, '1')],
  'an id that is nearly a number': ['application/json', result(LIST, ' 1 ')],
  'an id of 1.0': ['application/json', result(LIST).replace('"id":1', '"id":1.0')],
  'no id': ['application/json', JSON.stringify({ jsonrpc: '2.0', result: LIST })],
  text: ['text/plain', result(LIST)],
  'no type': ['', result(LIST)],
  'events as a parameter': ['text/plain; x=text/event-stream', event(result(LIST))],
  'a batch': ['application/json', `[${result(LIST)}]`],
  'another case': ['application/json', result({ Tools: LIST.tools })],
  'a mark': ['application/json', `\ufeff${result(LIST)}`],
  NaN: ['application/json', result({ ...LIST, x: 0 }).replace('"x":0', '"x":NaN')],
  'a doubled result': ['application/json', result({}).replace('"result"', `"result":${JSON.stringify(LIST)},"result"`)],
};

describe('a server that wants past the rules', () => {
  let gateway: GatewayUnderTest;
  let upstream: RawUpstream;
  let folder = '';
  let answer: readonly [string, string] = ['', ''];
  before(async () => {
    folder = await mkdtemp(join(tmpdir(), 'verbatim-hostile-'));
    const policies = join(folder, 'policies');
    await mkdir(join(policies, 'access'), { recursive: true });
    await writeFile(join(policies, 'access', 'rules.yaml'), RULES);
    upstream = await startRawUpstream((_, socket) => {
      const [type, body] = answer;
      const head = type === '' ? '' : `content-type: ${type}\r\n`;
      socket.end(`HTTP/1.1 200 OK\r\n${head}connection: close\r\n\r\n${body}`);
    });
    gateway = await startGatewayInFrontOf(upstream.url, { config: { policies } });
  });
  after(async () => {
    await gateway.close();
    await upstream.close();
    await rm(folder, { recursive: true, force: true });
  });

  async function send(method: string, params: object): Promise<string> {
    const raw = await openRaw(gateway.port);
    const body = JSON.stringify({ jsonrpc: '2.0', id: 1, method, params });
    const headers = ['Accept: application/json, text/event-stream', 'Connection: close'];
    raw.send(requestOf({ token: gateway.token, body, headers }));
    return raw.closed();
  }

  for (const [name, one] of Object.entries(ASKS)) {
    test(`asks for the client’s model: ${name}`, async () => {
      answer = one;
      const got = await send('tools/call', { name: 'shown' });
      assert.match(got, /^HTTP\/1\.1 /);
      assert.doesNotMatch(got, /sampling/);
    });
  }
  for (const [name, one] of Object.entries(LISTS)) {
    test(`shows a tool: ${name}`, async () => {
      answer = one;
      const got = await send('tools/list', {});
      assert.match(got, /^HTTP\/1\.1 /);
      assert.doesNotMatch(got, /hidden/);
    });
  }
  test('what it may say passes', async () => {
    answer = ['application/json', result({ content: [{ type: 'text', text: 'a "method" and sampling' }] })];
    assert.match(await send('tools/call', { name: 'shown' }), /and sampling/);
    answer = ['text/plain', 'plain words'];
    assert.match(await send('tools/call', { name: 'shown' }), /plain words/);
    answer = ['application/json', result(LIST)];
    assert.match(await send('tools/list', {}), /shown/);
  });
});
