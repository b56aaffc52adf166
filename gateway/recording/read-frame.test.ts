import assert from 'node:assert/strict';
import { test } from 'node:test';
import { readFrame } from './read-frame.ts';

const PLACE = { v: 1, session: 's1', strand: 's1.disk1', seq: 0, at: '2026-11-22T18:00:00.000000Z' };
const decision = { effect: 'allow', rules: ['reads'], decision_id: 'd1' };
const mask = { at: 0, length: 4, detector: 'email', hmac: 'hmac-sha256:00' };
const verdict = { rule: 'reads', part: 'results', verdict: 'match', details: ['sdp'] };

function request(more: object, said: object = decision): string {
  const messages = [{ kind: 'request', id: 1, decision: said }];
  const facts = { exchange: 'e1', method: 'POST', path: '/', headers: [], bytes: 0, messages };
  return JSON.stringify({ ...PLACE, type: 'request', ...facts, ...more });
}

function data(more: object): string {
  return JSON.stringify({ ...PLACE, type: 'data', exchange: 'e1', from: 'upstream', text: '', ...more });
}

test('what policy left in a frame is read', () => {
  const shadow = { effect: 'deny', rules: ['soon'] };
  const said = { ...decision, masks: ['email'], shadow, screened: [verdict] };
  assert.equal(readFrame(request({ from: 'gateway', masks: [mask] }, said)).kind, 'frame');
  const messages = [{ kind: 'request', method: 'roots/list', decision }];
  assert.equal(readFrame(data({ masks: [mask], screened: [verdict], messages })).kind, 'frame');
});

// Readers count and print these: what is not as the format says must end there, not in them.
for (const [name, line] of [
  ['masks that are no list', request({ masks: 7 })],
  ['a mask without a detector', data({ masks: [{ ...mask, detector: undefined }] })],
  ['a mask at no place', data({ masks: [{ ...mask, at: -1 }] })],
  ['another sender of a request', request({ from: 'upstream' })],
  ['a shadow without rules', request({}, { ...decision, shadow: { effect: 'deny' } })],
  ['a verdict that is none', request({}, { ...decision, screened: ['match'] })],
  ['details that are no texts', data({ screened: [{ ...verdict, details: [7] }] })],
  [
    'a decision on what a server says without rules',
    data({ messages: [{ kind: 'request', decision: { effect: 'deny' } }] }),
  ],
] as const) {
  test(`unreadable: ${name}`, () => assert.equal(readFrame(line).kind, 'unreadable'));
}
