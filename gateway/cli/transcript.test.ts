import assert from 'node:assert/strict';
import { Writable } from 'node:stream';
import { test } from 'node:test';
import type { FrameBody, RecordedDecision } from '../recording/frame.ts';
import { readLine } from '../recording/read-strand.ts';
import { createTerminal } from './terminal.ts';
import { createTranscript } from './transcript.ts';

/** The transcript of these frames, read as from a store. */
function shown(...frames: readonly FrameBody[]): string {
  const terminal = createTerminal(new Writable({ write: (_chunk, _encoding, done) => done() }), {});
  const transcript = createTranscript(terminal, { session: 's1', full: true });
  const lines = frames.flatMap((body, seq) => {
    const frame = { v: 1, session: 's1', strand: 's1.disk1', seq, at: '2026-11-22T18:00:00.000000Z', ...body };
    const item = readLine(JSON.stringify(frame), 's1.disk1', 'segment');
    assert.equal(item.kind, 'frame', JSON.stringify(item));
    return transcript.add(item);
  });
  return lines.map((line) => line.slice('18:00:00.000 '.length)).join('\n');
}

const CALL = { kind: 'request', id: 1, method: 'tools/call', name: 'query' } as const;
const EVIL = 'x\u001b[2J\u202e';

function request(decision: Partial<RecordedDecision>, more: Partial<Extract<FrameBody, { type: 'request' }>> = {}) {
  return {
    type: 'request',
    exchange: 'e1',
    method: 'POST',
    path: '/orders/mcp',
    headers: [],
    bytes: 0,
    messages: [{ ...CALL, decision: { effect: 'allow', rules: ['reads'], decision_id: 'd1', ...decision } }],
    ...more,
  } as const satisfies FrameBody;
}

function data(more: Partial<Extract<FrameBody, { type: 'data' }>>): FrameBody {
  return { type: 'data', exchange: 'e1', from: 'upstream', text: '', ...more } as FrameBody;
}

const mask = (detector: string) => ({ at: 0, length: 1, detector, hmac: 'hmac-sha256:00' });

const TABLE: readonly (readonly [string, readonly FrameBody[], string])[] = [
  ['allowed by a rule', [request({})], '→ tools/call query id 1  allow (reads)'],
  [
    'denied by rules',
    [request({ effect: 'deny', rules: ['no-drop', 'no-night'] }, { refused: 'denied' })],
    '→ refused: denied\n→ tools/call query id 1  deny (no-drop, no-night)',
  ],
  [
    'denied since nothing allows it',
    [request({ effect: 'deny', rules: [] })],
    '→ tools/call query id 1  deny (no rule)',
  ],
  ['waits', [request({ effect: 'approve' })], '→ tools/call query id 1  approve (reads)'],
  [
    'rules in shadow',
    [request({ shadow: { effect: 'deny', rules: ['soon'] } })],
    '→ tools/call query id 1  allow (reads)  shadow: deny (soon)',
  ],
  [
    'values taken out of a request, counted',
    [request({}, { masks: [mask('email'), mask('card'), mask('email')] })],
    '→ tools/call query id 1  allow (reads)\n▪ 3 masked: email×2, card',
  ],
  [
    'values taken out of an answer',
    [request({}), data({ messages: [{ kind: 'response', id: 1 }], masks: [mask('card')] })],
    '→ tools/call query id 1  allow (reads)\n← answer to tools/call query id 1  ok\n▪ 1 masked: card',
  ],
  ['values taken out of what is no message', [data({ masks: [mask('ip')] })], '▪ 1 masked: ip'],
  [
    'what a screening said of a request, once',
    [
      request({
        screened: [
          { rule: 'reads', part: 'requests', verdict: 'match', details: ['pi_and_jailbreak', 'sdp'] },
          { rule: 'reads', part: 'requests', verdict: 'match', details: ['pi_and_jailbreak', 'sdp'] },
        ],
      }),
    ],
    '→ tools/call query id 1  allow (reads)\n▪ screened requests  match: pi_and_jailbreak, sdp (reads)',
  ],
  [
    'what a screening said of an answer, and that there is no verdict',
    [
      data({
        screened: [
          { rule: 'reads', part: 'results', verdict: 'clean' },
          { rule: 'writes', part: 'results', verdict: 'none', details: ['timeout'] },
        ],
      }),
    ],
    '▪ screened results  clean (reads)\n▪ screened results  no verdict: timeout (writes)',
  ],
  [
    'an approval that waits',
    [{ type: 'approval', exchange: 'e1', approval: { id: 'a1', state: 'pending' } }],
    '• approval pending  a1',
  ],
  [
    'an approval with who gave it',
    [
      {
        type: 'approval',
        exchange: 'e1',
        approval: { id: 'a1', state: 'approved', by: [{ rule: 'refunds', subject: 'bob' }] },
      },
    ],
    '• approval approved by bob (refunds)  a1',
  ],
  [
    'a server’s request that was denied',
    [
      data({
        released: false,
        messages: [
          {
            kind: 'request',
            id: 7,
            method: 'sampling/createMessage',
            decision: { effect: 'deny', rules: [], decision_id: 'd2' },
          },
        ],
      }),
    ],
    '← sampling/createMessage id 7  deny (no rule)  recorded, not released: denied',
  ],
  [
    'what nobody was there for',
    [data({ released: false, messages: [{ kind: 'notification', method: 'notifications/progress' }] })],
    '← notifications/progress  recorded, not released: the client was gone',
  ],
  [
    'that the protocol passes is nothing to say',
    [
      data({
        messages: [
          {
            kind: 'notification',
            method: 'notifications/message',
            decision: { effect: 'allow', rules: ['base-protocol'], decision_id: 'd2' },
          },
        ],
      }),
    ],
    '← notifications/message',
  ],
  [
    'a server’s request that a rule lets pass',
    [
      data({
        messages: [
          {
            kind: 'request',
            id: 7,
            method: 'roots/list',
            decision: { effect: 'allow', rules: ['roots'], decision_id: 'd' },
          },
        ],
      }),
    ],
    '← roots/list id 7  allow (roots)',
  ],
  [
    'what the gateway answers in its client’s place',
    [
      {
        ...request({}),
        from: 'gateway',
        messages: [
          { kind: 'response', id: 7, decision: { effect: 'deny', rules: ['no-sampling'], decision_id: 'd2' } },
        ],
      },
    ],
    '→ gateway declines response id 7  deny (no-sampling)',
  ],
];

for (const [name, frames, expected] of TABLE) {
  test(`shown: ${name}`, () => assert.equal(shown(...frames), expected));
}

test('no name in a decision, a mask, a verdict or an approval drives a terminal', () => {
  const text = shown(
    request({
      rules: [EVIL],
      shadow: { effect: 'deny', rules: [EVIL] },
      screened: [{ rule: EVIL, part: EVIL, verdict: EVIL as 'clean', details: [EVIL] }],
    }),
    data({
      messages: [
        { kind: 'request', method: EVIL, decision: { effect: EVIL as 'deny', rules: [EVIL], decision_id: 'd' } },
      ],
      masks: [mask(EVIL), mask(EVIL)],
      screened: [{ rule: EVIL, part: EVIL, verdict: 'none', details: [EVIL] }],
    }),
    {
      type: 'approval',
      exchange: 'e1',
      approval: { id: EVIL, state: EVIL as 'pending', by: [{ rule: EVIL, subject: EVIL }] },
    },
  );
  assert.equal(/[\u001b\u202e]/.test(text), false, text);
  assert.ok(text.split('x\\u{1b}[2J\\u{202e}').length > 15, text);
});
