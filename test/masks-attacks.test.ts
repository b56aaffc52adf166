/**
 * Where a mask applies, a value reaches neither client nor store nor log, wherever in an answer it stands: searched for
 * in all bytes that a client gets, and at the end in everything that the gateway has left behind.
 */
import assert from 'node:assert/strict';
import { mkdir, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import type { Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { gunzipSync, gzipSync } from 'node:zlib';
import { type GatewayUnderTest, startGatewayInFrontOf } from './gateway-under-test.ts';
import { openRaw, type RawUpstream, requestOf, startRawUpstream } from './raw-socket.ts';

const RULES = `
rules:
  - name: masked
    principals: { groups: [analysts] }
    connections: ["*"]
    methods: [tools/call, tools/list, prompts/*, resources/*, completion/complete, sampling/createMessage, elicitation/create]
    condition: method != "tools/call" || name != "plain"
    effect: allow
    masks: [email, card]
    maskRequests: [email, card]
  - name: later
    principals: { groups: [analysts] }
    connections: ["*"]
    methods: ["tasks/*", subscriptions/listen, "notifications/*"]
    effect: allow
  - name: plain
    principals: { groups: [analysts] }
    connections: ["*"]
    methods: [tools/call]
    condition: name == "plain"
    effect: allow
`;
const EMAIL = 'maya.okonkwo@example.com';
const CARD = '4242 4242 4242 4242';
/** Of calls without a mask: it passes, and is recorded. */
const OPEN = 'kofi.mensah@example.com';
/** In any part of it, and as a careless encoder writes it. */
const VALUE = /maya|okonkwo|4242|m\0a\0y\0a|m\\u0061ya/i;

type Pieces = readonly (string | Buffer)[];
interface Answer {
  readonly pieces: Pieces;
  /** The socket is cut afterwards, however much was announced. */
  readonly cut?: true;
}

const result = (value: unknown): string => JSON.stringify({ jsonrpc: '2.0', id: 1, result: value });
const error = (value: object): string =>
  JSON.stringify({ jsonrpc: '2.0', id: 1, error: { code: 1, message: 'no', ...value } });
const told = (method: string, params: unknown, more: object = {}): string =>
  JSON.stringify({ jsonrpc: '2.0', method, params, ...more });
const text = (value: string): object => ({ content: [{ type: 'text', text: value }] });
const answered = (body: string | Buffer, headers: Record<string, string> = {}, status = '200 OK'): Answer => {
  const all = { 'content-type': 'application/json', 'content-length': String(Buffer.byteLength(body)), ...headers };
  const lines = Object.entries(all).flatMap(([name, value]) => (value === '' ? [] : [`${name}: ${value}`]));
  return { pieces: [`HTTP/1.1 ${[status, ...lines].join('\r\n')}\r\n\r\n`, body] };
};
const STREAM = 'HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\nconnection: close\r\n\r\n';
const streamed = (...pieces: Pieces): Answer => ({ pieces: [STREAM, ...pieces], cut: true });
const event = (data: string): string => `event: message\ndata: ${data}\n\n`;
const DONE = event(result({}));
const escaped = (value: string): string =>
  [...value].map((one) => `\\u${one.charCodeAt(0).toString(16).padStart(4, '0')}`).join('');

/** What an upstream answers a call with. Each of them holds the values, or half of one. */
const ANSWERS: Record<string, Answer> = {
  text: answered(result(text(`mail ${EMAIL} card ${CARD}`))),
  'a key': answered(result({ structuredContent: { [EMAIL]: 1, [CARD]: { [EMAIL]: 2 } } })),
  structuredContent: answered(result({ structuredContent: { a: [{ b: [EMAIL, CARD] }] } })),
  'JSON in text': answered(result(text(JSON.stringify({ a: JSON.stringify({ b: EMAIL, c: CARD }) })))),
  'escaped letters': answered(`{"jsonrpc":"2.0","id":1,"result":{"a":"${escaped(EMAIL)}","b":"${escaped(CARD)}"}}`),
  'escaped in JSON in text': answered(result(text(`{"a":"${escaped(EMAIL)}"}`))),
  'doubled keys': answered(`{"jsonrpc":"2.0","id":1,"result":{"a":"${EMAIL}","a":"x"},"result":{"b":"${CARD}"}}`),
  'an error': answered(error({ message: EMAIL, data: { who: [CARD] } })),
  'an unknown member': answered(`{"jsonrpc":"2.0","id":1,"result":{},"extra":{"who":"${EMAIL}"},"${EMAIL}":"${CARD}"}`),
  _meta: answered(result({ _meta: { 'example.com/who': EMAIL, deep: { card: CARD } }, content: [] })),
  'a link': answered(result({ content: [{ type: 'resource_link', uri: `crm://${EMAIL}`, name: CARD }] })),
  'an embedded resource': answered(
    result({ content: [{ type: 'resource', resource: { uri: 'r://1', text: EMAIL } }] }),
  ),
  'a blob that is text': answered(result({ contents: [{ uri: 'r://1', blob: EMAIL }] })),
  'a type that is none': answered(result({ content: [{ type: ['text', EMAIL], text: CARD }] })),
  'a batch': answered(`[${result(text(EMAIL))},${error({ message: CARD })}]`),
  'input requests': answered(
    result({
      resultType: 'input_required',
      inputRequests: { [EMAIL]: { method: 'sampling/createMessage', params: { systemPrompt: CARD } } },
    }),
  ),
  '404 with JSON': answered(error({ message: EMAIL }), {}, '404 Not Found'),
  '500 with JSON': answered(JSON.stringify({ error: EMAIL, card: CARD }), {}, '500 Internal Server Error'),
  '400 with text': answered(`no such user ${EMAIL}`, { 'content-type': 'text/plain' }, '400 Bad Request'),
  '502 with HTML': answered(
    `<p>${EMAIL}</p><a href="mailto:${EMAIL}">${CARD}</a>`,
    { 'content-type': 'text/html' },
    '502 Bad Gateway',
  ),
  '401 with text': answered(EMAIL, { 'content-type': 'text/plain' }, '401 Unauthorized'),
  '302 to it': answered('', { location: `/${EMAIL}` }, '302 Found'),
  'no content type': answered(result(text(EMAIL)), { 'content-type': '' }),
  'no content type, escaped': answered(`{"jsonrpc":"2.0","id":1,"result":{"a":"${escaped(EMAIL)}"}}`, {
    'content-type': '',
  }),
  'another content type': answered(result(text(EMAIL)), { 'content-type': 'application/octet-stream' }),
  'JSON that says UTF-16': answered(Buffer.from(result(text(EMAIL)), 'utf16le'), {
    'content-type': 'application/json; charset=utf-16',
  }),
  'JSON in UTF-16 that says nothing': answered(Buffer.from(result(text(EMAIL)), 'utf16le')),
  'text that is UTF-16': answered(Buffer.from(`mail ${EMAIL}`, 'utf16le'), {
    'content-type': 'text/plain; charset=utf-16le',
  }),
  'text in UTF-16 that says nothing': answered(Buffer.from(`mail ${EMAIL}`, 'utf16le'), {
    'content-type': 'text/plain',
  }),
  'text in UTF-16BE': answered(Buffer.from(`mail ${EMAIL}`, 'utf16le').swap16(), { 'content-type': 'text/plain' }),
  'text in UTF-7': answered(`mail maya.okonkwo+AEA-example.com`, { 'content-type': 'text/plain; charset=utf-7' }),
  'text in EBCDIC': answered(Buffer.from('94818881', 'hex'), { 'content-type': 'text/plain; charset=ibm037' }),
  'bytes that are no UTF-8': answered(Buffer.concat([Buffer.from(`${EMAIL} `), Buffer.from([0xff])]), {
    'content-type': 'text/plain',
  }),
  gzip: answered(gzipSync(result(text(EMAIL))), { 'content-encoding': 'gzip' }),
  'gzip that says identity': answered(result(text(EMAIL)), { 'content-encoding': 'identity' }),
  chunked: {
    pieces: [
      'HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ntransfer-encoding: chunked\r\ntrailer: x-who\r\n\r\n',
      ...[...result(text(EMAIL))].map((one) => `1\r\n${one}\r\n`),
      `0\r\nx-who: ${EMAIL}\r\nmcp-who: ${EMAIL}\r\n\r\n`,
    ],
  },
  'a header that passes': answered(result({}), { 'mcp-who': EMAIL }),
  'a header that passes, encoded': answered(result({}), {
    'mcp-who': `=?base64?${Buffer.from(EMAIL).toString('base64')}?=`,
  }),
  'a header that does not': answered(result({}), {
    'x-who': EMAIL,
    'set-cookie': `who=${EMAIL}`,
    link: `<mailto:${EMAIL}>`,
  }),
  'Content-Language': answered(result({}), { 'content-language': EMAIL }),
  'Content-Type': answered(result({}), { 'content-type': `application/json; x="${EMAIL}"` }),
  'Mcp-Session-Id': answered(result({}), { 'mcp-session-id': EMAIL }),
  'a reason': answered(result({}), {}, `200 ${EMAIL}`),
  'a hint': { pieces: [`HTTP/1.1 103 Early Hints\r\nlink: <${EMAIL}>\r\n\r\n`, ...answered(result({})).pieces] },
  'text that broke off': {
    pieces: ['HTTP/1.1 200 OK\r\ncontent-type: text/plain\r\ncontent-length: 900\r\n\r\n', `id 7 maya.okonkwo@exam`],
    cut: true,
  },
  'a card that broke off': {
    pieces: ['HTTP/1.1 200 OK\r\ncontent-type: text/plain\r\ncontent-length: 900\r\n\r\n', `card 4242 4242 4242 4`],
    cut: true,
  },
  'JSON that broke off': {
    pieces: [
      'HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 900\r\n\r\n',
      `{"jsonrpc":"2.0","id":1,"result":{"a":"maya.okonkwo@exam`,
    ],
    cut: true,
  },
  'chunks that broke off': {
    pieces: [
      'HTTP/1.1 200 OK\r\ncontent-type: text/html\r\ntransfer-encoding: chunked\r\n\r\n',
      `16\r\nid 7 maya.okonkwo@exam\r\n`,
    ],
    cut: true,
  },

  'an event': streamed(event(result(text(`${EMAIL} ${CARD}`)))),
  progress: streamed(event(told('notifications/progress', { progressToken: 1, progress: 1, message: EMAIL })), DONE),
  logging: streamed(event(told('notifications/message', { level: 'info', logger: CARD, data: { who: EMAIL } })), DONE),
  'an update': streamed(event(told('notifications/resources/updated', { uri: `r://${EMAIL}`, title: CARD })), DONE),
  sampling: streamed(
    event(
      told(
        'sampling/createMessage',
        { messages: [{ role: 'user', content: { type: 'text', text: EMAIL } }], systemPrompt: CARD },
        { id: 'a' },
      ),
    ),
    DONE,
  ),
  elicitation: streamed(
    event(
      told(
        'elicitation/create',
        { mode: 'form', message: EMAIL, requestedSchema: { properties: { [CARD]: {} } } },
        { id: 'b' },
      ),
    ),
    DONE,
  ),
  'what is denied': streamed(event(told('roots/list', { who: EMAIL }, { id: 'c' })), DONE),
  'an unknown notification': streamed(event(told('notifications/who', { who: EMAIL })), DONE),
  comments: streamed(`: ${EMAIL}\n\n: ${CARD}\n`, `:${EMAIL}\nevent: message\ndata: ${result({})}\n: ${CARD}\n\n`),
  'a comment that broke off': streamed(DONE, `: maya.okonkwo@exam`),
  'an id': streamed(`id: ${EMAIL}\ndata: ${result({})}\n\n`),
  'a name': streamed(`event: ${EMAIL}\ndata: ${result({})}\n\n`),
  'an unknown field': streamed(`who: ${EMAIL}\ndata: ${result({})}\n\n`, `${EMAIL}: x\ndata: {}\n\n`, `${EMAIL}\n\n`),
  'a retry': streamed(`retry: 4242424242424242\ndata: ${result({})}\n\n`),
  'several data lines': streamed(
    `data: {"jsonrpc":"2.0",\ndata: "id":1,"result":{"a":"${EMAIL}",\ndata:"b":"${CARD}"}}\n\n`,
  ),
  'data lines in text': streamed(`data: mail ${EMAIL}\ndata: ${CARD}\ndata:${EMAIL}\n\n`, DONE),
  'data lines with others between': streamed(
    `data: {"jsonrpc":"2.0","id":1,\nid: 7\ndata: "result":{"a":"${EMAIL}"}}\n\n`,
    DONE,
  ),
  CR: streamed(`event: message\rdata: ${result(text(EMAIL))}\r\r`),
  'CR LF': streamed(`event: message\r\ndata: ${result(text(EMAIL))}\r\n\r\n`),
  'mixed ends': streamed(`: ${EMAIL}\r\n\rdata: ${result(text(EMAIL))}\n\r`),
  'a mark': streamed(`\ufeffdata: ${result(text(EMAIL))}\n\n`),
  'a mark before data': streamed(`data: \ufeff${result(text(EMAIL))}\n\n`),
  'an event that broke off': streamed(`data: {"jsonrpc":"2.0","id":1,"result":{"a":"maya.okonkwo@exam`),
  'an event without its end': streamed(`data: ${result(text(EMAIL))}\n`),
  'an event that is text': streamed(`data: ${EMAIL}\n\n`, DONE),
  'an event that is nearly JSON': streamed(`data: {"jsonrpc":"2.0","id":1,"result":{"a":"${EMAIL}",}}\n\n`),
  'an event in UTF-16': streamed(Buffer.from(`data: ${result(text(EMAIL))}\n\n`, 'utf16le')),
  'an event of text in UTF-16': streamed('data: ', Buffer.from(EMAIL, 'utf16le'), '\n\n', DONE),
  'an endpoint': streamed(`: ${EMAIL}\nevent: endpoint\ndata: /messages?who=${EMAIL}\n\n`),
  'events in another type': answered(event(result(text(escaped(EMAIL).replaceAll('\\\\', '\\')))), {
    'content-type': 'text/plain',
  }),
};

describe('masks, attacked', () => {
  let gateway: GatewayUnderTest;
  let upstream: RawUpstream;
  let folder = '';
  let answer: (request: string, socket: Socket) => void = () => {};
  before(async () => {
    folder = await mkdtemp(join(tmpdir(), 'verbatim-masks-'));
    const policies = join(folder, 'policies');
    await mkdir(join(policies, 'access'), { recursive: true });
    await writeFile(join(policies, 'access', 'rules.yaml'), RULES);
    upstream = await startRawUpstream((request, socket) => answer(request, socket));
    gateway = await startGatewayInFrontOf(upstream.url, {
      config: { policies },
      connection: { query: ['who'] },
      connections: { old: { sse: { path: '/sse', messages: '/messages' } } },
    });
  });
  after(async () => {
    await gateway.close();
    await upstream.close();
    await rm(folder, { recursive: true, force: true });
  });

  function answering({ pieces, cut }: Answer): void {
    answer = (_, socket) => {
      socket.write(Buffer.concat(pieces.map((piece) => Buffer.from(piece as string))));
      if (cut === true) socket.end();
    };
  }

  /** Everything that the client gets until its connection ends. */
  async function send(
    message: object | string | undefined,
    options: { headers?: string[]; method?: string; target?: string; token?: string } = {},
  ): Promise<string> {
    const body = message === undefined ? '' : typeof message === 'string' ? message : JSON.stringify(message);
    const raw = await openRaw(gateway.port);
    const { token = gateway.token, headers = [], ...more } = options;
    raw.send(
      requestOf({
        ...more,
        token,
        body,
        headers: ['Accept: application/json, text/event-stream', ...headers, 'Connection: close'],
      }),
    );
    return raw.closed();
  }
  const call = (name: string, input: object = {}, more: object = {}) => ({
    jsonrpc: '2.0',
    id: 1,
    method: 'tools/call',
    params: { name, arguments: input, ...more },
  });

  for (const [name, one] of Object.entries(ANSWERS)) {
    test(`an answer: ${name}`, async () => {
      answering(one);
      const got = await send(call('masked'));
      assert.match(got, /^HTTP\/1\.1 \d{3}/);
      assert.doesNotMatch(got, VALUE);
    });
  }

  test('of every kind that passes the rest comes through: a mask is no wall', async () => {
    for (const name of [
      'text',
      'structuredContent',
      'an event',
      'comments',
      'an error',
      '400 with text',
      'CR',
      'chunked',
      'sampling',
    ]) {
      answering(ANSWERS[name] as Answer);
      assert.match(await send(call('masked')), /\[(?:email|card):[0-9a-f]{8}\]/, name);
    }
    answering(answered(result(text(OPEN))));
    assert.ok((await send(call('plain'))).includes(OPEN), 'without a mask it passes');
  });

  test('the other methods', async () => {
    for (const [method, params, said] of [
      [
        'tools/list',
        {},
        { tools: [{ name: 'masked', title: EMAIL, description: CARD, inputSchema: { default: EMAIL } }] },
      ],
      ['prompts/list', {}, { prompts: [{ name: 'p', description: EMAIL, arguments: [{ name: CARD }] }] }],
      [
        'prompts/get',
        { name: 'p' },
        { description: CARD, messages: [{ role: 'user', content: { type: 'text', text: EMAIL } }] },
      ],
      ['resources/list', {}, { resources: [{ uri: 'r://1', name: EMAIL, description: CARD }] }],
      ['resources/templates/list', {}, { resourceTemplates: [{ uriTemplate: 'r://{x}', name: EMAIL }] }],
      ['resources/read', { uri: 'r://1' }, { contents: [{ uri: `r://${EMAIL}`, text: CARD }] }],
      ['completion/complete', { ref: { type: 'ref/prompt', name: 'p' } }, { completion: { values: [EMAIL, CARD] } }],
    ] as const) {
      answering(answered(result(said)));
      const got = await send({ jsonrpc: '2.0', id: 1, method, params });
      assert.match(got, /\[(?:email|card):/, `${method}: ${got}`);
      assert.doesNotMatch(got, VALUE, method);
    }
  });

  test('wherever chunks part a value, and however the event ends', async () => {
    const body = event(result(text(EMAIL)));
    const at = body.indexOf(EMAIL);
    const turn = () => new Promise((done) => setImmediate(done));
    await Promise.all(
      Array.from({ length: EMAIL.length + 1 }, async (_, split) => {
        const cases = [
          [STREAM, body],
          ['HTTP/1.1 200 OK\r\ncontent-type: text/plain\r\nconnection: close\r\n\r\n', body],
        ] as const;
        for (const [head, all] of cases) {
          answer = (_request, socket) => {
            socket.write(head + all.slice(0, at + split));
            void turn()
              .then(turn)
              .then(() => socket.end(all.slice(at + split)));
          };
          assert.doesNotMatch(await send(call('masked')), VALUE, `${split}`);
        }
      }),
    );
  });

  test('in a stream that the client opens, and in one that it resumes', async () => {
    for (const headers of [[], ['Last-Event-ID: 77']]) {
      // The first stream gives the id.
      answering(streamed(`id: 77\ndata: ${told('notifications/message', { level: 'info', data: EMAIL })}\n\n`));
      const got = await send(undefined, { method: 'GET', headers });
      assert.match(got, /\[email:/);
      assert.doesNotMatch(got, VALUE);
    }
  });

  test('an event id that two streams share is resumed with the masks of both', async () => {
    for (const [first, second] of [
      ['masked', 'plain'],
      ['plain', 'masked'],
    ] as const) {
      const id = `${first}-1`;
      for (const name of [first, second]) {
        answering(streamed(`id: ${id}\ndata: ${result({})}\n\n`));
        await send(call(name));
      }
      answering(streamed(`data: ${result(text(EMAIL))}\n\n`));
      const got = await send(undefined, { method: 'GET', headers: [`Last-Event-ID: ${id}`] });
      assert.doesNotMatch(got, VALUE, `${first}, then ${second}`);
    }
  });

  test('results of tasks, one by one, together, in a list and in notices', async () => {
    for (const name of ['plain', 'masked']) {
      answering(answered(result({ task: { taskId: `task-${name}`, status: 'working' } })));
      assert.match(await send(call(name, {}, { task: {} })), /working/);
    }
    const ask = (method: string, taskId: string, id = 1) => ({ jsonrpc: '2.0', id, method, params: { taskId } });
    for (const method of ['tasks/result', 'tasks/get']) {
      answering(answered(result(text(EMAIL))));
      assert.doesNotMatch(await send(ask(method, 'task-masked')), VALUE, method);
      answering(answered(result(text(OPEN))));
      assert.ok((await send(ask(method, 'task-plain'))).includes(OPEN), method);
    }
    answering(answered(`[${result({})},${JSON.stringify({ jsonrpc: '2.0', id: 2, result: text(EMAIL) })}]`));
    const together = [ask('tasks/result', 'task-plain'), ask('tasks/result', 'task-masked', 2)];
    assert.doesNotMatch(await send(JSON.stringify(together)), VALUE, 'together');
    assert.doesNotMatch(
      await send(JSON.stringify([{ jsonrpc: '2.0', id: 3, method: 'ping' }, together[1]])),
      VALUE,
      'with a ping',
    );
    answering(answered(result({ tasks: [{ taskId: 'task-masked', statusMessage: EMAIL }] })));
    assert.doesNotMatch(await send({ jsonrpc: '2.0', id: 1, method: 'tasks/list' }), VALUE, 'in a list');
    // A subscription is told how each task of the session ends: that of the masked call too.
    const notice = told('notifications/tasks', { taskId: 'task-masked', status: 'completed', result: text(EMAIL) });
    answering(streamed(event(notice), DONE));
    const listen = {
      jsonrpc: '2.0',
      id: 1,
      method: 'subscriptions/listen',
      params: { notifications: { taskIds: ['task-masked'] } },
    };
    const heard = await send(listen);
    assert.doesNotMatch(heard, VALUE, 'in a notice');
    assert.match(heard, /completed/);
  });

  test('the stream of a 2024-11-05 server', async () => {
    answering(streamed(`: ${EMAIL}\nevent: endpoint\ndata: /messages?a=1\n: ${CARD}\n\n`, event(result(text(EMAIL)))));
    const got = await send(undefined, { method: 'GET', target: '/old/sse', token: await gateway.tokenFor({}, 'old') });
    assert.doesNotMatch(got, VALUE);
  });

  test('requests: in arguments, headers, queries, and in what is refused, nothing goes out', async () => {
    answering(answered(result({})));
    const base64 = `=?base64?${Buffer.from(EMAIL).toString('base64')}?=`;
    const before = upstream.received().length;
    for (const [message, headers] of [
      [call('masked', { text: EMAIL, [CARD]: [{ deep: EMAIL }] }), []],
      [call('masked', {}, { _meta: { who: EMAIL } }), []],
      [call('masked', { text: EMAIL }), [`Mcp-Param-Text: ${EMAIL}`]],
      [call('masked'), [`Mcp-Param-Text: ${EMAIL}`]],
      [call('masked'), [`Mcp-Param-Text: ${base64}`]],
      [call('masked'), [`Mcp-Who: ${EMAIL}`]],
      [call('masked'), [`Tracestate: who=${EMAIL}`]],
      [call('masked'), [`User-Agent: ${EMAIL}`]],
      [call('masked'), [`Accept-Language: ${CARD}`]],
      [call('masked'), [`X-Who: ${EMAIL}`, `Cookie: who=${EMAIL}`]],
      [{ ...call('masked'), extra: EMAIL }, []],
      [{ jsonrpc: '2.0', id: 1, method: 'nothing/allowed', params: { who: EMAIL } }, [`Mcp-Who: ${CARD}`]],
      [`{"jsonrpc":"2.0","id":1,"method":"ping","params":{"who":"${EMAIL}","who":"${CARD}"}}`, []],
      [`{"jsonrpc":"2.0","id":1,"method":"ping","params":{"${EMAIL}":1,"${EMAIL}":2}}`, []],
      [`{"jsonrpc":"2.0","id":1,"method":"ping","params":{"who":"${EMAIL}"`, []],
      [`no JSON but ${EMAIL}`, []],
    ] as const) {
      const got = await send(message, { headers: [...headers] });
      assert.doesNotMatch(got, VALUE, JSON.stringify(message));
    }
    for (const who of [EMAIL, encodeURIComponent(EMAIL), encodeURIComponent(CARD)]) {
      assert.doesNotMatch(await send(call('masked'), { target: `/fixture/mcp?who=${who}` }), VALUE);
    }
    const sent = upstream.received().slice(before);
    assert.doesNotMatch(sent, VALUE);
    assert.ok(!sent.includes(Buffer.from(EMAIL).toString('base64')));
    assert.match(sent, /\[email:/);
  });

  test('one value has one tag in a session, and another in another', async () => {
    answering(ANSWERS.text as Answer);
    const tags = async (token: string): Promise<string[]> =>
      (await send(call('masked'), { token })).match(/\[email:[0-9a-f]{8}\]/g) ?? [];
    const other = await gateway.tokenFor({ sub: 'other', email: 'other@example.org' });
    const [one, again, others] = [await tags(gateway.token), await tags(gateway.token), await tags(other)];
    assert.deepEqual(one, again);
    assert.equal(one.length, 1);
    assert.notDeepEqual(one, others);
  });

  test('no store, no disk and no log holds any of it', async () => {
    await gateway.gateway.seal();
    const whole = /maya|okonkwo|4242 4242|m\0a\0y\0a/i;
    const base64 = Buffer.from(EMAIL).toString('base64');
    for (const entry of await readdir(gateway.folder, { recursive: true, withFileTypes: true })) {
      if (!entry.isFile()) continue;
      const bytes = await readFile(join(entry.parentPath, entry.name));
      const plain = (entry.name.endsWith('.gz') ? gunzipSync(bytes) : bytes).toString('latin1');
      const found = whole.exec(plain);
      // The call without a mask, and no other.
      const around = found === null ? '' : plain.slice(Math.max(0, found.index - 300), found.index + 200);
      if (found !== null) assert.fail(`${entry.name}: ${around}`);
      assert.ok(!plain.includes(base64), entry.name);
    }
    assert.doesNotMatch(gateway.logged.join('\n'), whole);
  });
});
