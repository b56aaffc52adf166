import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Frame, FrameBody } from './frame.ts';
import { emptySummary, foldFrame } from './summary.ts';

function folded(...bodies: readonly FrameBody[]) {
  const summary = emptySummary({ session: 's1', ledger: 'disk1', connection: 'orders', at: '2026-11-22T18:00:00Z' });
  for (const body of bodies) foldFrame(summary, body as Frame);
  return summary;
}

const mask = { at: 0, length: 16, detector: 'email', hmac: 'hmac-sha256:00' };
const approval = (state: 'pending' | 'approved' | 'denied' | 'void'): FrameBody => ({
  type: 'approval',
  exchange: 'e1',
  approval: { id: 'a1', state },
});

test('values that masks took out count in both directions', () => {
  const request: FrameBody = {
    type: 'request',
    exchange: 'e1',
    method: 'POST',
    path: '/',
    headers: [],
    bytes: 0,
    messages: [],
    masks: [mask],
  };
  const answer: FrameBody = { type: 'data', exchange: 'e1', from: 'upstream', text: '', masks: [mask, mask] };
  assert.equal(folded(request, answer).masked, 3);
});

test('each time that a call is made to wait for a person counts, and no other state does', () => {
  const all = folded(
    approval('pending'),
    approval('approved'),
    approval('pending'),
    approval('denied'),
    approval('void'),
  );
  assert.equal(all.approvals, 2);
});

test('where nothing was masked and nobody asked, neither is there', () => {
  const nothing: FrameBody = { type: 'data', exchange: 'e1', from: 'upstream', text: '' };
  assert.deepEqual(
    Object.keys(folded(nothing, approval('approved'))).filter((key) => /approvals|masked/.test(key)),
    [],
  );
});
