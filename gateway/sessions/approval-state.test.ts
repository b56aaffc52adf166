import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Asked, Decision } from './approval-objects.ts';
import { approvalState } from './approval-state.ts';
import { ANA, callOf, LEAD, person, rule } from './approvals-fixture.ts';

const { params: _, ...call } = callOf({ rules: [rule('r', ['leads', 'everybody'])] });
const ASKED: Asked = { v: 1, id: 'x', code: 'c', event: 'e', hash: 'h', number: 1, at: 1000, expires: 2000, call };

const by = (who: typeof ANA, verdict: Decision['verdict'] = 'approve', at = 1500): Decision => ({
  v: 1,
  verdict,
  by: who,
  authenticated: 1,
  at,
});

for (const [what, decisions, expected] of [
  ['nobody', [], 'pending'],
  ['one of the approvers', [by(LEAD)], 'approved'],
  ['one of them, at the last millisecond', [by(LEAD, 'approve', 1999)], 'approved'],
  ['one of them, too late', [by(LEAD, 'approve', 2000)], 'pending'],
  ['one of them, who denies too late', [by(LEAD, 'deny', 2000)], 'denied'],
  ['who asked', [by({ ...ANA, groups: ['everybody'] })], 'pending'],
  ['who asked, and denies', [by({ ...ANA, groups: ['everybody'] }, 'deny')], 'pending'],
  ['who asked, under another issuer', [by(person('a7', ['leads'], { email: 'Ana@Example.com' }))], 'pending'],
  ['an agent', [by({ ...LEAD, kind: 'agent' })], 'pending'],
  ['somebody of no such group', [by(person('bob', ['others']))], 'pending'],
  ['one who denies between two who approve', [by(LEAD), by(person('a', ['leads']), 'deny'), by(LEAD)], 'denied'],
] as const) {
  test(`decided by ${what}: ${expected}`, () => {
    const beside = { announced: true, decisions, used: false, unreadable: false };
    assert.equal(approvalState(ASKED, beside, 1999).state, expected);
  });
}
