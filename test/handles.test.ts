/** Task ids, elicitation ids, request states and event ids: they work in the session that was given them, in no other. */
import assert from 'node:assert/strict';
import { readdir, rename, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { after, before, beforeEach, test } from 'node:test';
import { releasedBytes } from '../gateway/recording/exchange.ts';
import { type GatewayUnderTest, startGatewayInFrontOf } from './gateway-under-test.ts';
import { answerOf, ask, type RawAnswer, type RawUpstream, requestOf, startRawUpstream } from './raw-socket.ts';
import { exchangesOf, framesOf } from './recorded.ts';

let upstream: RawUpstream;
let gateway: GatewayUnderTest;
/** What the upstream answers next: a JSON-RPC message, or SSE text. */
let next: (message: { id: number; method: string }) => unknown;
let ana = '';
let ben = '';
let people = 0;

before(async () => {
  upstream = await startRawUpstream((request, socket) => {
    const body = request.slice(request.indexOf('\r\n\r\n') + 4);
    const answer = next(JSON.parse(body || '{}'));
    if (answer === undefined) socket.write(answerOf('202 Accepted', {}, ''));
    else if (typeof answer === 'object' && answer !== null && 'raw' in answer) {
      socket.write(Buffer.from(String(answer.raw), 'latin1'));
    } else if (typeof answer === 'string') {
      socket.write(answerOf('200 OK', { 'content-type': 'text/event-stream' }, answer));
    } else socket.write(answerOf('200 OK', { 'content-type': 'application/json' }, JSON.stringify(answer)));
  });
  gateway = await startGatewayInFrontOf(upstream.url, { connections: { other: {} } });
});
after(async () => {
  await gateway.close();
  await upstream.close();
});
beforeEach(async () => {
  people++;
  ana = await gateway.tokenFor({ sub: `ana ${people}` });
  ben = await gateway.tokenFor({ sub: `ben ${people}` });
});

function send(token: string, method: string, params: object = {}, headers: string[] = []): Promise<RawAnswer> {
  const body = JSON.stringify({ jsonrpc: '2.0', id: 1, method, params });
  return ask(gateway.port, requestOf({ token, body, headers }));
}

const result = (value: object) => (next = ({ id }) => ({ jsonrpc: '2.0', id, result: value }));
const codeOf = ({ body }: RawAnswer): string | undefined => JSON.parse(body).error?.data?.code;
const task = (taskId: string) => ({ taskId, status: 'working', createdAt: '', lastUpdatedAt: '', ttl: 1 });

/** Makes a task in ana's session. */
async function makeTask(taskId: string, shape: object = { task: task(taskId) }): Promise<void> {
  result(shape);
  assert.equal(codeOf(await send(ana, 'tools/call', { name: 'slow', task: {} })), undefined);
}

for (const [era, shape] of [
  ['2025-11-25', (id: string) => ({ task: task(id) })],
  ['the extension', (id: string) => ({ resultType: 'task', ...task(id) })],
] as const) {
  test(`a task of ${era} is its session's: others are refused before the upstream hears of it`, async () => {
    const id = `task-${people}`;
    await makeTask(id, shape(id));
    result({ ...task(id) });
    for (const method of ['tasks/get', 'tasks/result', 'tasks/cancel', 'tasks/update']) {
      assert.equal(codeOf(await send(ana, method, { taskId: id })), undefined, method);
      const seen = upstream.requests().length;
      const refused = await send(ben, method, { taskId: id });
      assert.deepEqual([refused.status, codeOf(refused)], [200, 'handle_unknown'], method);
      assert.equal(upstream.requests().length, seen, method);
    }
    const listening = await send(ben, 'subscriptions/listen', { notifications: { taskIds: ['x', id] } });
    assert.equal(codeOf(listening), 'handle_unknown');
    const related = { name: 'x', _meta: { 'io.modelcontextprotocol/related-task': { taskId: id } } };
    assert.equal(codeOf(await send(ben, 'tools/call', related)), 'handle_unknown');
    assert.ok(gateway.logged.some((line) => line.includes('"foreign_handle"') && line.includes(`ben ${people}`)));
    const events = (await framesOf(gateway, 'system')).filter((frame) => frame.type === 'event');
    assert.ok(events.some(({ event }) => event.name === 'foreign_handle' && event.subject === `ben ${people}`));
    const refusals = (await exchangesOf(gateway)).filter(({ request }) => request?.refused === 'handle_unknown');
    assert.ok(refusals.length >= 6);
    assert.ok(!gateway.logged.join('').includes(id), 'the id is in no log');
  });
}

test('what a careless server would take for an id is none: a number, a list, an object, a text beyond all measure', async () => {
  await makeTask('7');
  const state = 's'.repeat(256 * 1024 + 1);
  result({ resultType: 'input_required', requestState: state });
  await send(ana, 'tools/call', { name: 'x' });
  result({});
  const seen = upstream.requests().length;
  for (const token of [ana, ben]) {
    for (const taskId of [7, ['7'], { a: 1 }, null, true]) {
      assert.equal(codeOf(await send(token, 'tasks/get', { taskId })), 'handle_unknown', JSON.stringify(taskId));
    }
    for (const taskIds of [[['7']], [7], 7, { 0: '7' }]) {
      assert.equal(codeOf(await send(token, 'subscriptions/listen', { notifications: { taskIds } })), 'handle_unknown');
    }
    assert.equal(codeOf(await send(token, 'tools/call', { name: 'x', requestState: state })), 'handle_unknown');
  }
  assert.equal(upstream.requests().length, seen);
  result({ tasks: [{ taskId: 7, statusMessage: 'anas' }, { taskId: 8 }, {}] });
  for (const token of [ana, ben]) {
    assert.deepEqual(JSON.parse((await send(token, 'tasks/list')).body).result, { tasks: [] });
  }
  next = () => `data: ${JSON.stringify({ jsonrpc: '2.0', method: 'notifications/tasks', params: { taskId: 7 } })}\n\n`;
  assert.ok(!(await send(ben, 'tools/call', { name: 'x' })).body.includes('taskId'));
});

test('a byte order mark, a key spelt otherwise and what is not JSON hide no task of others', async () => {
  await makeTask(`hidden-${people}`);
  const list = (key: string) => `{"jsonrpc":"2.0","id":1,"result":{"tasks":[{"${key}":"hidden-${people}"}]}}`;
  const mark = '\u00ef\u00bb\u00bf';
  for (const [type, body] of [
    ['application/json', mark + list('taskId')],
    ['application/json', list('task\\u0049d')],
    ['application/json', `${list('taskId')} trailing`],
    ['text/event-stream', `${mark}data: ${list('taskId')}\n\n`],
    ['text/event-stream', `data: ${mark}${list('taskId')}\n\n`],
  ] as const) {
    next = () => ({ raw: answerOf('200 OK', { 'content-type': type }, body) });
    const answer = await send(ben, 'tasks/list');
    assert.ok(!answer.body.includes(`hidden-${people}`), `${type} ${JSON.stringify(body)}: ${answer.body}`);
  }
});

test('an answer that gives handles by the hundred is withheld, and nothing is written for it', async () => {
  const elicitations = Array.from({ length: 200 }, (_, index) => ({ elicitationId: `flood-${people}-${index}` }));
  next = ({ id }) => ({ jsonrpc: '2.0', id, error: { code: -32042, message: 'm', data: { elicitations } } });
  const folder = join(gateway.folder, 'store-state', 'handles');
  const before = (await readdir(folder)).length;
  assert.equal(codeOf(await send(ana, 'tools/call', { name: 'x' })), 'upstream_handle_refused');
  assert.equal((await readdir(folder)).length, before);
});

test('an id that nobody was given works for nobody', async () => {
  result({});
  for (const params of [{ taskId: 'never-seen' }]) {
    assert.equal(codeOf(await send(ana, 'tasks/get', params)), 'handle_unknown');
  }
  assert.equal(codeOf(await send(ana, 'tools/call', { name: 'x', requestState: 'never-seen' })), 'handle_unknown');
  assert.equal(codeOf(await send(ana, 'tools/call', { name: 'x', elicitationId: 'never-seen' })), 'handle_unknown');
});

test('another connection with the same upstream has other handles', async () => {
  await makeTask(`elsewhere-${people}`);
  const other = await gateway.tokenFor({ sub: `ana ${people}` }, 'other');
  const body = JSON.stringify({
    jsonrpc: '2.0',
    id: 1,
    method: 'tasks/get',
    params: { taskId: `elsewhere-${people}` },
  });
  assert.equal(
    codeOf(await ask(gateway.port, requestOf({ token: other, body, target: '/other/mcp' }))),
    'handle_unknown',
  );
});

test('a task that the upstream gives to a second session is withheld from it', async () => {
  await makeTask(`twice-${people}`);
  const refused = await send(ben, 'tools/call', { name: 'slow' });
  assert.deepEqual([refused.status, codeOf(refused)], [200, 'upstream_handle_refused']);
  assert.ok(!refused.body.includes(`twice-${people}`));
  assert.match(refused.body, /"outcome_withheld"/);
});

for (const kind of ['JSON', 'SSE'] as const) {
  test(`tasks/list (${kind}) shows a session its own tasks, and the rest of the answer`, async () => {
    const mine = `mine-${people}`;
    await makeTask(mine);
    result({ task: task(`bens-${people}`) });
    await send(ben, 'tools/call', { name: 'slow' });
    const listed = { tasks: [task(`bens-${people}`), task(mine), task('nobodys')], nextCursor: 'more', other: 1 };
    next = ({ id }) => {
      const answer = { jsonrpc: '2.0', id, result: listed };
      return kind === 'JSON' ? answer : `id: 5\nevent: message\ndata: ${JSON.stringify(answer)}\n\n`;
    };
    const answer = await send(ana, 'tasks/list');
    const body = kind === 'JSON' ? answer.body : (/^data: (.*)$/m.exec(answer.body)?.[1] ?? '');
    assert.deepEqual(JSON.parse(body).result, { tasks: [task(mine)], nextCursor: 'more', other: 1 });
    if (kind === 'SSE') assert.match(answer.body, /id: 5\nevent: message\ndata: /);
    // Listing gives nothing: the task of nobody is still nobody's.
    result(task('nobodys'));
    assert.equal(codeOf(await send(ana, 'tasks/get', { taskId: 'nobodys' })), 'handle_unknown');
    const released = (await exchangesOf(gateway)).map((exchange) => releasedBytes(exchange).toString()).join();
    assert.ok(released.includes(mine) && !released.includes('nobodys'), 'the recording holds what was released');
  });
}

test('an answer of tasks/list that needs no change passes byte for byte', async () => {
  const mine = `exact-${people}`;
  await makeTask(mine);
  const text = `{"jsonrpc": "2.0",  "id": 1, "result": {"tasks": [{"taskId": "${mine}", "ttl": 12345678901234567890}]}}`;
  next = () => `data: ${text}\n\n`;
  assert.match((await send(ana, 'tasks/list')).body, new RegExp(`data: ${text.replaceAll(/[{}[\]]/g, '\\$&')}\n`));
});

test('notices about a task reach its session alone', async () => {
  const mine = `notice-${people}`;
  await makeTask(mine);
  const notice = (method: string, params: object) => `data: ${JSON.stringify({ jsonrpc: '2.0', method, params })}\n\n`;
  const done = 'data: {"jsonrpc":"2.0","id":1,"result":{}}\n\n';
  const about = [
    notice('notifications/tasks/status', task(mine)),
    notice('notifications/tasks', task(mine)),
    notice('notifications/message', { _meta: { 'io.modelcontextprotocol/related-task': { taskId: mine } }, data: 'x' }),
  ];
  next = () => [...about, done].join('');
  const own = await send(ana, 'tools/call', { name: 'x' });
  for (const text of about) assert.ok(own.body.includes(text), text);
  const foreign = await send(ben, 'tools/call', { name: 'x' });
  assert.ok(!foreign.body.includes(mine) && foreign.body.includes(done));
  const frames = await framesOf(gateway);
  const mineOnly = frames.find((frame) => JSON.stringify(frame).includes(`"ben ${people}"`))?.session;
  const withheld = frames.filter(
    ({ session, ...frame }) => session === mineOnly && frame.type === 'event' && frame.event.name === 'handle.withheld',
  );
  assert.equal(withheld.length, 3);
});

test('an elicitation by URL is its session’s, and so is the notice that it is complete', async () => {
  const id = `elicitation-${people}`;
  const asked = { mode: 'url', elicitationId: id, url: 'https://example.com', message: 'm' };
  const request = `data: ${JSON.stringify({ jsonrpc: '2.0', id: 9, method: 'elicitation/create', params: asked })}\n\n`;
  next = () => request;
  assert.ok((await send(ana, 'tools/call', { name: 'x' })).body.includes(request));
  const again = await send(ben, 'tools/call', { name: 'x' });
  assert.ok(!again.body.includes(id) && again.body.includes('upstream_handle_refused'), again.body);
  const complete = { jsonrpc: '2.0', method: 'notifications/elicitation/complete', params: { elicitationId: id } };
  next = () => `data: ${JSON.stringify(complete)}\n\ndata: {"jsonrpc":"2.0","id":1,"result":{}}\n\n`;
  assert.ok((await send(ana, 'tools/call', { name: 'x' })).body.includes(id));
  assert.ok(!(await send(ben, 'tools/call', { name: 'x' })).body.includes(id));
  next = ({ id: asking }) => ({
    jsonrpc: '2.0',
    id: asking,
    error: { code: -32042, message: 'm', data: { elicitations: [{ ...asked, elicitationId: `required-${people}` }] } },
  });
  assert.ok((await send(ana, 'tools/call', { name: 'x' })).body.includes(`required-${people}`));
  assert.equal(codeOf(await send(ben, 'tools/call', { name: 'x' })), 'upstream_handle_refused');
});

test('a request state works where it was given; the same words may be given to several', async () => {
  const state = `round-${people}`;
  result({ resultType: 'input_required', requestState: state });
  await send(ana, 'tools/call', { name: 'x' });
  result({});
  assert.equal(codeOf(await send(ana, 'tools/call', { name: 'x', requestState: state })), undefined);
  assert.equal(codeOf(await send(ben, 'tools/call', { name: 'x', requestState: state })), 'handle_unknown');
  result({ resultType: 'input_required', requestState: state });
  await send(ben, 'tools/call', { name: 'x' });
  assert.equal(codeOf(await send(ben, 'tools/call', { name: 'x', requestState: state })), undefined);
});

test('a taskId in a tool’s own data is the tool’s', async () => {
  result({ content: [], structuredContent: { taskId: 'JIRA-1', tasks: [{ taskId: 'JIRA-2' }] } });
  for (const token of [ana, ben]) assert.match((await send(token, 'tools/call', { name: 'jira' })).body, /JIRA-2/);
});

test('event ids: with the own Mcp-Session-Id, or of a stream that this replica sent; never those of another', async () => {
  const event = (id: string) => `id: ${id}\ndata: {"jsonrpc":"2.0","id":1,"result":{}}\n\n`;
  next = () => event(`e-${people}`);
  await send(ana, 'tools/call', { name: 'x' });
  const resume = (token: string, id: string, headers: string[] = []) =>
    ask(gateway.port, requestOf({ token, method: 'GET', body: '', headers: [`Last-Event-ID: ${id}`, ...headers] }));
  next = () => event('e2');
  assert.equal((await resume(ana, `e-${people}`)).status, 200);
  const seen = upstream.requests().length;
  const foreign = await resume(ben, `e-${people}`);
  assert.deepEqual([foreign.status, codeOf(foreign)], [400, 'event_id_unknown']);
  assert.deepEqual([(await resume(ana, 'never-seen')).status], [400]);
  assert.equal(upstream.requests().length, seen);
});

test('a state that can not be written withholds the answer', async () => {
  await using stack = new AsyncDisposableStack();
  const behind = stack.adopt(await startGatewayInFrontOf(upstream.url), (one) => one.close());
  const one = (method: string, params: object) =>
    ask(
      behind.port,
      requestOf({ token: behind.token, body: JSON.stringify({ jsonrpc: '2.0', id: 1, method, params }) }),
    );
  result({ task: task('kept') });
  assert.equal(codeOf(await one('tools/call', { name: 'x' })), undefined);
  assert.equal((await readdir(join(behind.folder, 'store-state', 'handles'))).length, 1);
  await rename(join(behind.folder, 'store-state'), join(behind.folder, 'away'));
  await writeFile(join(behind.folder, 'store-state'), 'not a folder');
  result({ task: task('lost') });
  const withheld = await one('tools/call', { name: 'x' });
  assert.equal(codeOf(withheld), 'state_unavailable');
  assert.ok(!withheld.body.includes('lost'));
});
