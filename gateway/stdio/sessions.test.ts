/** How many children a caller gets, and who makes room when there are no more. */
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { call } from '../../test/raw-client.ts';
import { type SigningGateway, startSigningGateway } from '../../test/signing-gateway.ts';
import { callOf, INITIALIZE, type LogLine, type Reply, startTestHost, type TestHost } from './scripted-host.ts';

const LIMIT = { timeout: 20_000 };
let gateway: SigningGateway;
before(async () => {
  gateway = await startSigningGateway();
});
after(() => gateway.close());

const start = (behaviour: string, children: number) =>
  startTestHost(behaviour, { children }, { gateway: { url: gateway.url, connection: 'orders' } });
const as = async (session: string): Promise<Record<string, string>> => ({
  'x-verbatim-identity': await gateway.sign({ session }),
});
const initialize = async (host: TestHost, session: string) => host.send(INITIALIZE, await as(session));
const idOf = ({ headers }: Reply) => ({ 'mcp-session-id': headers.get('mcp-session-id') ?? '' });
const codes = (replies: readonly Reply[]) => replies.map(({ messages }) => messages[0]?.error?.data?.code ?? 'opened');
const eventsOf = (host: TestHost, event: string): LogLine[] => host.logged.filter((line) => line.event === event);

const VERSION = '2026-07-28';
const _meta = {
  'io.modelcontextprotocol/protocolVersion': VERSION,
  'io.modelcontextprotocol/clientCapabilities': {},
};
async function stateless(host: TestHost, session: string): Promise<Reply> {
  const headers = { 'mcp-protocol-version': VERSION, 'mcp-method': 'tools/list', ...(await as(session)) };
  return host.send({ jsonrpc: '2.0', id: 1, method: 'tools/list', params: { _meta } }, headers);
}

test('one session gets a quarter of the children, others get theirs', LIMIT, async () => {
  await using host = await start('echo', 8);
  const burst = await Promise.all(Array.from({ length: 6 }, () => initialize(host, 'a')));
  const opened = burst.filter(({ status }) => status === 200);
  const refused = burst.filter(({ status }) => status === 503);
  assert.deepEqual([opened.length, refused.length], [2, 4]);
  assert.deepEqual(new Set(codes(refused)), new Set(['too_many_children']));
  assert.match(refused[0]?.text ?? '', /One session may have 2 of them/);
  assert.equal(refused[0]?.headers.get('retry-after'), '1');
  assert.deepEqual(codes([await stateless(host, 'a')]), ['too_many_children']);
  const others = [await initialize(host, 'b'), await stateless(host, 'b'), await initialize(host, 'c')];
  assert.deepEqual(codes(others), ['opened', 'opened', 'opened']);
  assert.equal(eventsOf(host, 'stdio_child_ended').length, 0);
  const own = { ...idOf(opened[0] ?? assert.fail()), ...(await as('a')) };
  await fetch(host.url, { method: 'DELETE', headers: own });
  while ((await initialize(host, 'a')).status === 503);
});

test('without a gateway all callers together are one', LIMIT, async () => {
  await using host = await startTestHost('echo', { children: 8 });
  const replies = [await host.send(INITIALIZE), await host.send(INITIALIZE), await host.send(INITIALIZE)];
  assert.deepEqual(codes(replies), ['opened', 'opened', 'too_many_children']);
  assert.match(replies[2]?.text ?? '', /All callers without --gateway may have 2 of them/);
});

test('a quarter is at least one', LIMIT, async () => {
  await using host = await start('echo', 2);
  const replies = [await initialize(host, 'a'), await initialize(host, 'a'), await initialize(host, 'b')];
  assert.deepEqual(codes(replies), ['opened', 'too_many_children', 'opened']);
});

test('a newcomer takes the place of the child that is idle for longest, once that is gone', LIMIT, async () => {
  await using host = await start('told', 4);
  const ids: Record<string, Record<string, string>> = {};
  for (const session of ['busy', 'stays', 'longest', 'last']) ids[session] = idOf(await initialize(host, session));
  const note = { jsonrpc: '2.0', method: 'notifications/initialized' };
  assert.equal((await host.send(note, { ...ids.stays, ...(await as('stays')) })).status, 202);
  const busy = { ...ids.busy, ...(await as('busy')) };
  const waiting = call(host.url, { token: '', headers: busy, body: JSON.stringify(callOf(1)) });
  const list = { jsonrpc: '2.0', id: 2, method: 'tools/list' };
  const told = async () =>
    (await host.send(list, { ...ids.busy, ...(await as('busy')) })).messages[0]?.result?.told as unknown[];
  while ((await told()).length < 1);

  // All of one newcomer, so that they share its child: one makes room, and no second one.
  const replies = await Promise.all(Array.from({ length: 5 }, () => stateless(host, 'new')));
  assert.deepEqual(new Set(codes(replies)), new Set(['opened']));
  const ended = eventsOf(host, 'stdio_child_ended').map(({ session, reason }) => [session, reason]);
  assert.deepEqual(ended, [['longest', 'displaced']]);
  const isExit = ({ event, session }: LogLine): boolean => event === 'stdio_child_exited' && session === 'longest';
  const isStart = ({ event, session }: LogLine): boolean => event === 'stdio_child_started' && session === 'new';
  assert.ok(host.logged.findIndex(isExit) < host.logged.findIndex(isStart), 'never more than --children');
  assert.ok(host.logged.some(isExit));
  assert.equal((await host.send(list, { ...ids.longest, ...(await as('longest')) })).status, 404);
  for (const session of ['busy', 'stays', 'last']) {
    assert.equal((await host.send(list, { ...ids[session], ...(await as(session)) })).status, 200);
  }
  waiting.abort();
});

test('a burst of one newcomer displaces no more than its share', LIMIT, async () => {
  await using host = await start('echo', 4);
  for (const session of ['a', 'b', 'c', 'd']) await initialize(host, session);
  const burst = await Promise.all([initialize(host, 'new'), initialize(host, 'new'), initialize(host, 'new')]);
  assert.deepEqual(codes(burst).toSorted(), ['opened', 'too_many_children', 'too_many_children']);
  assert.deepEqual(
    eventsOf(host, 'stdio_child_ended').map(({ session }) => session),
    ['a'],
  );
});

test('where none is idle a newcomer is refused, also when nobody waits for what is done', LIMIT, async () => {
  await using host = await start('told', 1);
  const id = idOf(await initialize(host, 'a'));
  const waiting = call(host.url, {
    token: '',
    headers: { ...id, ...(await as('a')) },
    body: JSON.stringify(callOf(1)),
  });
  const list = { jsonrpc: '2.0', id: 2, method: 'tools/list' };
  const told = async () =>
    (await host.send(list, { ...id, ...(await as('a')) })).messages[0]?.result?.told as unknown[];
  while ((await told()).length < 1);
  const refused = await initialize(host, 'b');
  assert.deepEqual([refused.status, ...codes([refused])], [503, 'too_many_children']);
  assert.doesNotMatch(refused.text, /may have/);
  waiting.abort();
  assert.deepEqual(codes([await stateless(host, 'b')]), ['too_many_children']);
  // The call is answered to nobody, and over.
  const cancel = { jsonrpc: '2.0', method: 'notifications/cancelled', params: { requestId: 1 } };
  assert.equal((await host.send(cancel, { ...id, ...(await as('a')) })).status, 202);
  assert.deepEqual(codes([await initialize(host, 'b')]), ['opened']);
});

test('a host that stops starts nothing for those who wait for a place', LIMIT, async () => {
  const host = await start('stubborn', 1);
  await initialize(host, 'a');
  const waiting = initialize(host, 'b');
  await host.line('stdio_child_ended', ({ reason }) => reason === 'displaced');
  const [reply] = await Promise.all([waiting, host.close()]);
  assert.deepEqual([reply.status, ...codes([reply])], [503, 'shutting_down']);
  assert.equal(eventsOf(host, 'stdio_child_started').length, 1);
});
