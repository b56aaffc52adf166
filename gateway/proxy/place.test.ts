import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Session } from '../sessions/sessions.ts';
import { takePlace } from './place.ts';
import type { Runtime } from './runtime.ts';
import type { Target } from './target.ts';

test('a session is idle from the end of its last call on, however long that took', () => {
  let now = 1000;
  const session = { exchanges: new Set(), lastUsed: now } as unknown as Session;
  const runtime = {
    clock: { millis: () => now },
    refusing: () => undefined,
    sessions: { busy: () => session.exchanges.size },
  } as unknown as Runtime;
  const target = { connection: { limits: { exchangesPerPrincipal: 1 } } } as unknown as Target;
  const place = takePlace(runtime, session, target);
  assert.equal(takePlace(runtime, session, target).refused?.code, 'too_many_exchanges');
  now = 900_000;
  let turns = 0;
  place.endTurn = () => turns++;
  place.leave();
  assert.equal(session.lastUsed, 900_000);
  assert.equal(turns, 1, 'a call that fails before it is recorded gives back its turn');
});
