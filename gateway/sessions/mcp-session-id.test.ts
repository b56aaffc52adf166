import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { test } from 'node:test';
import { sealMcpSessionId, unsealMcpSessionId } from './mcp-session-id.ts';

const [one, two] = [randomBytes(32), randomBytes(32)];
const UPSTREAM = 'an id of the upstream, grüezi';

test('an id opens in its own session to what it was; the same id is the same text, always', () => {
  const sealed = sealMcpSessionId([one], 's1', UPSTREAM);
  assert.match(sealed, /^v1\.[A-Za-z0-9_-]+$/);
  assert.equal(sealMcpSessionId([one], 's1', UPSTREAM), sealed);
  assert.notEqual(sealMcpSessionId([one], 's2', UPSTREAM), sealed);
  assert.deepEqual(unsealMcpSessionId([one], 's1', sealed), { kind: 'ours', upstream: UPSTREAM });
  assert.deepEqual(unsealMcpSessionId([one], 's2', sealed), { kind: 'foreign', session: 's1' });
});

test('the first key seals, each of them opens', () => {
  const old = sealMcpSessionId([one, two], 's1', UPSTREAM);
  assert.equal(old, sealMcpSessionId([one], 's1', UPSTREAM));
  for (const keys of [[one], [one, two], [two, one]]) {
    assert.deepEqual(unsealMcpSessionId(keys, 's1', old), { kind: 'ours', upstream: UPSTREAM });
    assert.deepEqual(unsealMcpSessionId(keys, 's2', old), { kind: 'foreign', session: 's1' });
  }
  assert.notEqual(sealMcpSessionId([two, one], 's1', UPSTREAM), old);
  for (const keys of [[two], []]) assert.deepEqual(unsealMcpSessionId(keys, 's1', old), { kind: 'unknown' });
  assert.throws(() => sealMcpSessionId([], 's1', UPSTREAM));
});

test('what was sealed for one purpose, changed, or never sealed at all, is unknown', () => {
  const sealed = sealMcpSessionId([one], 's1', UPSTREAM);
  const unknown = { kind: 'unknown' };
  assert.deepEqual(unsealMcpSessionId([one], 's1', sealed, 'sse-endpoint'), unknown);
  assert.deepEqual(unsealMcpSessionId([one], 's1', sealMcpSessionId([one], 's1', UPSTREAM, 'sse-endpoint')), unknown);
  const bytes = Buffer.from(sealed.slice(3), 'base64url');
  bytes.writeUInt8(bytes.readUInt8(20) ^ 1, 20);
  for (const bad of ['', 'v1.', 'v2.x', sealed.slice(3), sealed.slice(0, -4), `v1.${bytes.toString('base64url')}`]) {
    assert.deepEqual(unsealMcpSessionId([one], 's1', bad), unknown, bad);
  }
  assert.deepEqual(unsealMcpSessionId([one], 's1', `v1.${'A'.repeat(10_000)}`), unknown);
});
