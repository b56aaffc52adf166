/** What policy did, as operators see it afterwards: `verbatim show` and `sessions` of the recording, and the metrics. */
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { after, before, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { type Policed, startPoliced } from './policed.ts';
import { exchangesOnce } from './recorded.ts';

const RULES = `
rules:
  - name: notes
    principals: { groups: [analysts] }
    connections: [fixture]
    tools: [note]
    effect: allow
    masks: [email, card]
    maskRequests: [email]
  - name: refunds
    principals: { groups: [analysts] }
    connections: [fixture]
    tools: [refund]
    effect: approve
    approval: { approvers: [leads] }
  - name: no-drop
    principals: any
    connections: ["*"]
    tools: [drop]
    effect: deny
  - name: soon
    principals: any
    connections: ["*"]
    tools: [note]
    effect: deny
    mode: shadow
`;
const BIN = fileURLToPath(new URL('../gateway/cli/bin.js', import.meta.url));

let policed: Policed;
let shown: string;

before(async () => {
  policed = await startPoliced(RULES, { approvalHold: 1 });
  const call = (name: string, args: object = {}) => policed.send('tools/call', { name, arguments: args });
  policed.answer(({ id }) => {
    const asks = { jsonrpc: '2.0', id: 'ask-1', method: 'sampling/createMessage', params: { messages: [] } };
    const text = 'ann@example.org, bob@example.org, 4242 4242 4242 4242';
    const result = { jsonrpc: '2.0', id, result: { content: [{ type: 'text', text }] } };
    return `data: ${JSON.stringify(asks)}\n\ndata: ${JSON.stringify(result)}\n\n`;
  });
  await call('note', { to: 'cid@example.org' });
  await call('drop');
  await call('refund');
  policed.answer(() => ({
    tools: ['note', 'drop', 'other'].map((name) => ({ name, inputSchema: { type: 'object' } })),
  }));
  await policed.send('tools/list');
  // Three calls, the answer to the server, and a list.
  await exchangesOnce(policed.gateway, 5);
  shown = await verbatim('show', 'latest');
});
after(() => policed.close());

async function verbatim(...args: string[]): Promise<string> {
  const { stdout } = await promisify(execFile)(process.execPath, [BIN, ...args, '--store', policed.gateway.storeUrl]);
  return stdout;
}

for (const line of [
  '→ tools/call note id 1  allow (notes)  shadow: deny (soon)',
  '▪ 1 masked: email',
  '← sampling/createMessage id "ask-1"  deny (no rule)  recorded, not released: denied',
  '→ gateway declines response id "ask-1"  deny (no rule)',
  '▪ 3 masked: email×2, card',
  '→ refused: denied',
  '→ tools/call drop id 1  deny (no-drop)',
  '→ tools/call refund id 1  approve (refunds)',
  '• approval pending',
  '▪ 2 entries that the rules do not allow were taken out of the list that follows (list.filtered',
  '1 held for approval, 4 masked values',
]) {
  test(`show says ${line}`, () => assert.ok(shown.includes(line), shown));
}

test('sessions counts them', async () => {
  assert.match(await verbatim('sessions'), / {2}live, 1 held for approval, 4 masked\n$/);
  const [session] = JSON.parse(await verbatim('sessions', '--json')) as { approvals: number; masked: number }[];
  assert.deepEqual([session?.approvals, session?.masked], [1, 4]);
});

test('metrics count decisions, masked values and approvals, with configured names alone', async () => {
  const text = await (await fetch(`${policed.gateway.gateway.metricsUrl}/metrics`)).text();
  const counted = text.split('\n').filter((line) => /^verbatim_(decisions|masked|approvals)/.test(line));
  assert.deepEqual(counted.toSorted(), [
    'verbatim_approvals_total{connection="fixture",state="pending"} 1',
    'verbatim_decisions_total{connection="fixture",effect="allow"} 2',
    'verbatim_decisions_total{connection="fixture",effect="approve"} 1',
    'verbatim_decisions_total{connection="fixture",effect="deny"} 2',
    'verbatim_masked_values_total{connection="fixture",detector="card"} 1',
    'verbatim_masked_values_total{connection="fixture",detector="email"} 3',
  ]);
});
