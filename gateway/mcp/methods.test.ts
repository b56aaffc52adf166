import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { BASE_METHODS, KNOWN_METHODS, nameOf } from './methods.ts';

describe('nameOf', () => {
  const table: readonly (readonly [string, unknown, string | undefined])[] = [
    ['tools/call', { name: 'query', arguments: { name: 'no' } }, 'query'],
    ['prompts/get', { name: 'summary' }, 'summary'],
    ['resources/read', { uri: 'file:///a', name: 'no' }, 'file:///a'],
    ['resources/subscribe', { uri: 'file:///a' }, 'file:///a'],
    ['resources/unsubscribe', { uri: 'file:///a' }, 'file:///a'],
    ['completion/complete', { ref: { type: 'ref/prompt', name: 'p' } }, 'p'],
    ['completion/complete', { ref: { type: 'ref/resource', uri: 'db://{t}' } }, 'db://{t}'],
    ['completion/complete', { name: 'no' }, undefined],
    ['tasks/get', { taskId: 't1' }, 't1'],
    ['tasks/result', { taskId: 't1' }, 't1'],
    ['tasks/update', { taskId: 't1' }, 't1'],
    ['tasks/cancel', { taskId: 't1' }, 't1'],
    ['tasks/list', { taskId: 't1' }, undefined],
    ['tools/list', { name: 'no' }, undefined],
    ['x/unknown', { name: 'no' }, undefined],
    ['constructor', { name: 'no' }, undefined],
    ['tools/call', { name: 1 }, undefined],
    ['tools/call', {}, undefined],
    ['tools/call', undefined, undefined],
    ['tools/call', null, undefined],
    ['tools/call', 'name', undefined],
    ['tools/call', JSON.parse('{"__proto__":{"name":"inherited"}}'), undefined],
    ['tools/call', Object.create({ name: 'inherited' }), undefined],
  ];
  for (const [method, params, name] of table) {
    test(`${method} ${JSON.stringify(params)}: ${name}`, () => assert.equal(nameOf(method, params), name));
  }
});

test('the base protocol reads and runs nothing', () => {
  for (const method of BASE_METHODS) {
    assert.ok(KNOWN_METHODS.has(method));
    assert.doesNotMatch(
      method,
      /^(tools|resources|prompts|completion|sampling|elicitation|tasks|roots|subscriptions)\//,
    );
  }
  for (const method of ['initialize', 'ping', 'server/discover', 'notifications/cancelled']) {
    assert.ok(BASE_METHODS.has(method));
  }
  for (const method of ['notifications/unheard/of', 'notifications/tasks', 'notifications/tasks/status']) {
    assert.ok(!BASE_METHODS.has(method));
  }
});
