import assert from 'node:assert/strict';
import { test } from 'node:test';
import { handlesSaid, handlesUsed, keepTasks, mayHoldHandles, type Named, tasksListed } from './handles.ts';
import type { ClientMessage } from './message.ts';

const RELATED = 'io.modelcontextprotocol/related-task';
const request = (method: string, params: unknown): ClientMessage => ({ kind: 'request', id: 1, method, params });
const values = (handles: readonly Named[]) =>
  handles.map(({ kind, value }) => (value === undefined ? `no ${kind}` : `${kind} ${value}`));

test('what a client wants to use, by the places of both eras', () => {
  for (const [message, expected] of [
    [request('tasks/get', { taskId: 'a' }), ['task a']],
    [request('tasks/update', { taskId: 'a' }), ['task a']],
    [request('tasks/list', {}), []],
    [request('tools/call', { name: 'x', requestState: 's' }), ['requestState s']],
    [request('tools/call', { name: 'x', arguments: { taskId: 'JIRA-1', requestState: 'mine' } }), []],
    [request('tools/call', { taskId: 'not a task method' }), []],
    [request('tools/call', { _meta: { [RELATED]: { taskId: 'a' } } }), ['task a']],
    [request('subscriptions/listen', { notifications: { taskIds: ['a', 'b', 3] } }), ['task a', 'task b', 'no task']],
    [request('subscriptions/listen', { notifications: { taskIds: 'a' } }), ['task a']],
    [request('x/any', { elicitationId: 'e' }), ['elicitation e']],
    [{ kind: 'notification', method: 'notifications/tasks/status', params: { taskId: 'own' } }, []],
    [{ kind: 'response', id: 1 }, []],
    [request('tasks/get', { taskId: 7 }), ['no task']],
    [request('tasks/get', { taskId: ['a'] }), ['no task']],
    [request('tasks/get', { taskId: null }), ['no task']],
    [request('tools/call', { requestState: 'x'.repeat(256 * 1024 + 1) }), ['no requestState']],
    [request('tasks/get', undefined), []],
  ] as const) {
    assert.deepEqual(values(handlesUsed(message)), expected, JSON.stringify(message));
  }
});

test('what a server gives, and whom its notices are for', () => {
  for (const [message, given, about, related] of [
    [{ id: 1, result: { task: { taskId: 'a' } } }, ['task a'], [], []],
    [{ id: 1, result: { resultType: 'task', taskId: 'a' } }, ['task a'], [], []],
    [
      { id: 1, result: { requestState: 's', inputRequests: { k: { params: { elicitationId: 'e' } } } } },
      ['requestState s', 'elicitation e'],
      [],
      [],
    ],
    [
      { id: 1, error: { data: { elicitations: [{ elicitationId: 'e' }, { elicitationId: 'f' }] } } },
      ['elicitation e', 'elicitation f'],
      [],
      [],
    ],
    [
      { id: 1, method: 'elicitation/create', params: { elicitationId: 'e', _meta: { [RELATED]: { taskId: 'a' } } } },
      ['elicitation e'],
      [],
      ['task a'],
    ],
    [{ method: 'notifications/tasks/status', params: { taskId: 'a' } }, [], ['task a'], []],
    [{ method: 'notifications/elicitation/complete', params: { elicitationId: 'e' } }, [], ['elicitation e'], []],
    [{ id: 1, result: { structuredContent: { taskId: 'JIRA-1' }, content: [{ requestState: 'x' }] } }, [], [], []],
    [{ id: 1, result: null }, [], [], []],
    [null, [], [], []],
    ['text', [], [], []],
  ] as const) {
    const said = handlesSaid(message);
    assert.deepEqual(
      [values(said.given), values(said.about), values(said.related)],
      [given, about, related],
      JSON.stringify(message),
    );
  }
});

test('members that are inherited in JavaScript are in no message', () => {
  const message = JSON.parse('{"id":1,"result":{"__proto__":{"taskId":"a"}}}');
  assert.deepEqual(handlesSaid(message).given, []);
});

test('a task list keeps what is kept, and everything else of the answer', () => {
  const answer = { id: 1, result: { tasks: [{ taskId: 'a', x: 1 }, { taskId: 'b' }, {}], nextCursor: 'c' }, more: 2 };
  assert.deepEqual(values(tasksListed(answer)), ['task a', 'task b', 'no task']);
  assert.deepEqual(keepTasks(answer, new Set(['a'])), {
    id: 1,
    result: { tasks: [{ taskId: 'a', x: 1 }], nextCursor: 'c' },
    more: 2,
  });
});

test('the quick look misses nothing that is spelt plainly', () => {
  for (const text of ['{"taskId":1}', '"elicitationId"', 'x"requestState" :'])
    assert.ok(mayHoldHandles(Buffer.from(text)));
  assert.ok(!mayHoldHandles(Buffer.from('{"result":{"content":[]}}')));
});
