/** A working day on a clock that is moved: one login carries a client that never refreshes, and no longer than it may. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { createLoginStorage, loginWithSdk } from './login-storage.ts';
import { startLoginWorld } from './login-world.ts';
import { call } from './raw-client.ts';

const HOUR = 3_600_000;
const INITIALIZE = JSON.stringify({
  jsonrpc: '2.0',
  id: 1,
  method: 'initialize',
  params: { protocolVersion: '2025-11-25', capabilities: {}, clientInfo: { name: 'never-refreshes', version: '1' } },
});

test('a client that never refreshes logs in once in a working day of 12 h', async (t) => {
  const began = Date.now();
  t.mock.timers.enable({ apis: ['Date'], now: began });
  await using world = await startLoginWorld({ login: { recheckEvery: '5m' } });
  const storage = createLoginStorage('ana');
  await loginWithSdk(world.mcp, storage);
  const { accessToken: token } = storage.kept();

  /** Whether a call came through, once this replica has caught up with the clock: with its state, and with its store. */
  async function comesThrough(): Promise<boolean> {
    for (;;) {
      await world.gateway.gateway.seal();
      const answer = await call(world.mcp, { token, body: INITIALIZE }).answer;
      const body = (await answer.whole()).toString();
      if (answer.status === 200 && body.includes('"serverInfo"')) return true;
      if (answer.status === 401) return false;
      assert.match(body, /state_unavailable|recording_behind/);
      await new Promise((done) => setImmediate(done));
    }
  }

  assert.ok(await comesThrough());
  for (const after of [4 * HOUR, 8 * HOUR, 12 * HOUR - 60_000]) {
    t.mock.timers.setTime(began + after);
    assert.ok(await comesThrough(), `after ${after / HOUR} h`);
  }
  assert.equal(storage.logins(), 1);
  t.mock.timers.setTime(began + 12 * HOUR + 60_000);
  assert.equal(await comesThrough(), false);
});
