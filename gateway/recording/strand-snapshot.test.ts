import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Frame } from './frame.ts';
import { foldIntoState, newStrandState, type StrandState } from './strand.ts';
import { snapshotOf, textOf } from './strand-snapshot.ts';
import { LEDGER, requestFrame, START } from './test-recorder.ts';

const at = '2026-11-22T10:00:00.000000Z';

function createState(): StrandState {
  const state = newStrandState({ session: 's', ledger: LEDGER, day: '2026-11-22', start: START, at });
  fold(state, 0, { type: 'session.start', start: START });
  return state;
}

function fold(state: StrandState, seq: number, body: object): void {
  foldIntoState(state, { v: 1, session: 's', strand: 's', seq, at, ...body } as Frame);
}

test('a snapshot stays what it was: frames that come later are not in it', () => {
  const state = createState();
  const snapshot = snapshotOf(state);
  const before = JSON.stringify(snapshot);
  fold(state, 1, requestFrame('x'));
  assert.equal(JSON.stringify(snapshot), before);
  assert.deepEqual(snapshotOf(state), state);
});

test('a strand that has not changed is copied once, and its text made once', () => {
  const state = createState();
  const snapshot = snapshotOf(state);
  assert.equal(snapshotOf(state), snapshot);
  assert.deepEqual(JSON.parse(textOf(snapshot)), state);
  const moved = (to: Partial<StrandState>) => () => void Object.assign(state, to);
  for (const change of [
    () => fold(state, 1, requestFrame('x')),
    moved({ nextSegment: 1 }),
    moved({ sealedThrough: 1 }),
    moved({ carried: { lines: ['a'], since: 1 } }),
    moved({ carried: { lines: ['a', 'b'], since: 1 } }),
    () => void delete state.carried,
  ]) {
    const earlier = snapshotOf(state);
    change();
    assert.notEqual(snapshotOf(state), earlier);
    assert.deepEqual(JSON.parse(textOf(snapshotOf(state))), state);
  }
});

test('the text of what is no snapshot is what it says now', () => {
  const state = createState();
  textOf(state);
  state.nextSegment = 7;
  assert.deepEqual(JSON.parse(textOf(state)), state);
});
