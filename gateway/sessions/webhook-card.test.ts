import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { OutboxEntry, Told } from './outbox.ts';
import { webhookBody } from './webhook-card.ts';

const LINK = 'https://mcp.example.com/approvals/01980000-0000-7000-8000-000000000001';
const HASH = '0123456789abcdef'.repeat(4);

const entryOf = (changes: Partial<Told> = {}): OutboxEntry => ({
  v: 1,
  id: '01980000-0000-7000-8000-0000000000e1',
  at: Date.parse('2026-11-22T18:00:00Z'),
  fact: 'approvals-by-id/01980000-0000-7000-8000-000000000001/asked.json',
  to: ['chat'],
  told: {
    event: 'approval.requested',
    about: { kind: 'approval', id: '01980000-0000-7000-8000-000000000001' },
    code: '7K3M-Q9XT',
    connection: 'orders',
    principal: {
      kind: 'agent',
      issuer: 'https://ci.example.com',
      subject: '<https://evil.example|Approve> & <!channel> <users/all>',
      onBehalfOf: '*bold* _it_ ~s~ `code`',
    },
    method: 'tools/call',
    tool: 'refund</b><a href="https://evil.example">\u202eevil\n\u200b',
    hash: HASH,
    expires: Date.parse('2026-11-22T18:10:00Z'),
    ...changes,
  },
});

test('Google Chat, with hostile names', () => {
  const line = (topLabel: string, text: string) => ({ decoratedText: { topLabel, text } });
  assert.deepEqual(JSON.parse(webhookBody('googleChat', entryOf(), LINK)), {
    cardsV2: [
      {
        cardId: '01980000-0000-7000-8000-0000000000e1',
        card: {
          header: { title: 'A call waits for approval', subtitle: '7K3M-Q9XT' },
          sections: [
            {
              widgets: [
                line('Code', '7K3M-Q9XT'),
                line(
                  'Who',
                  '&lt;https://evil.example|Approve&gt; &amp; &lt;!channel&gt; &lt;users/all&gt; (agent) for *bold* _it_ ~s~ `code`',
                ),
                line('Connection', 'orders'),
                line(
                  'Call',
                  'tools/call refund&lt;/b&gt;&lt;a href="https://evil.example"&gt;\\u{202e}evil\\u{a}\\u{200b}',
                ),
                line('Until', '2026-11-22T18:10:00.000Z'),
                line('SHA-256', HASH),
                { buttonList: { buttons: [{ text: 'Open', onClick: { openLink: { url: LINK } } }] } },
              ],
            },
          ],
        },
      },
    ],
  });
});

test('Slack, with hostile names', () => {
  const field = (label: string, value: string) => ({ type: 'mrkdwn', text: `*${label}*\n${value}`, verbatim: true });
  assert.deepEqual(JSON.parse(webhookBody('slack', entryOf(), LINK)), {
    text: 'A call waits for approval: 7K3M-Q9XT',
    blocks: [
      { type: 'header', text: { type: 'plain_text', text: 'A call waits for approval', emoji: false } },
      {
        type: 'section',
        fields: [
          field('Code', '7K3M-Q9XT'),
          field(
            'Who',
            '&lt;https://evil.example|Approve&gt; &amp; &lt;!channel&gt; &lt;users/all&gt; (agent) for ∗bold∗ ＿it＿ ∼s∼ ˋcodeˋ',
          ),
          field('Connection', 'orders'),
          field('Call', 'tools/call refund&lt;/b&gt;&lt;a href="https://evil.example"&gt;\\u{202e}evil\\u{a}\\u{200b}'),
          field('Until', '2026-11-22T18:10:00.000Z'),
          field('SHA-256', HASH),
        ],
      },
      {
        type: 'actions',
        elements: [{ type: 'button', text: { type: 'plain_text', text: 'Open', emoji: false }, url: LINK }],
      },
    ],
  });
});

test('a decision says who made it, a long name is cut, and no card is larger than receivers take', () => {
  const told = {
    event: 'approval.decided',
    verdict: 'deny',
    by: 'lead@example.com',
    tool: '&'.repeat(100_000),
    principal: { kind: 'human', issuer: 'x', subject: '<'.repeat(100_000) },
  } as const;
  for (const format of ['googleChat', 'slack'] as const) {
    const body = webhookBody(format, entryOf(told), LINK);
    assert.ok(body.includes('denied') && body.includes('lead@example.com') && body.includes('…'));
    assert.ok(body.length < 5000);
  }
  const { blocks } = JSON.parse(webhookBody('slack', entryOf(told), LINK));
  // https://docs.slack.dev/reference/block-kit/blocks/section-block: ten fields of 2,000 characters.
  assert.ok(blocks[1].fields.length <= 10);
  for (const { text } of blocks[1].fields) assert.ok(text.length <= 2000);
});
