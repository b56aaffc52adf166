/** What `npm start` tells: ana's conversation as the recording has it, and how to go on from there. */
import { relative } from 'node:path';
import { createTerminal, cut, escapeForTerminal } from '../gateway/cli/terminal.ts';
import { openRecordings } from '../gateway/recording/read.ts';
import { openStore } from '../gateway/store/open.ts';
import type { Demo, Yours } from './demo.ts';
import { LEADS } from './lead.ts';
import { type ReadBack, readBack, type ToolCall } from './read-back.ts';

const WIDTH = 76;

type Line = readonly [label: string, text: string];

export async function demoReport(demo: Demo, once: boolean): Promise<string> {
  const terminal = createTerminal(process.stdout, process.env);
  const recordings = openRecordings(openStore(demo.store), { audit: openStore(`${demo.store}-audit`) });
  const { offered, calls } = await readBack(recordings, demo.session);
  const { exchanges = 0, messages = 0 } = (await recordings.session(demo.session)) ?? {};
  const proof = await recordings.verifyAll({ verifierKeys: [demo.key], now: Date.now() });
  // The reading commands find the demo's store by themselves where it lies at its usual place.
  const where = demo.store === `file://${process.cwd()}/.verbatim/demo/store` ? '' : ` --store ${demo.store}`;
  const holds = proof.ok
    ? `${proof.segments} segments, ${proof.leaves} leaves: hashes, sequence, tree and signatures hold`
    : 'NO: what is stored does not hold';
  const query = calls.find(({ name }) => name === 'query');
  const lines: readonly Line[] = [
    ['Ana made', `${calls.length} tool calls on the sample server "orders", through the gateway. ${shown(offered)}`],
    ['She asked', quote(query?.asked)],
    ['and got', quote(query?.got)],
    deniedLine(calls),
    refundLine(calls, demo),
    [
      'Recorded',
      `${exchanges} exchanges with ${messages} messages byte for byte, each before it passed: npx verbatim show ${demo.session}${where}`,
    ],
    ['Verified', `${holds}: npx verbatim verify --all${where}`],
    ...ruleLines(demo),
    ['Claude', `${addTo('orders', demo.mcp)}, then /mcp in it: your browser opens to log in`],
    ['Others', `${demo.mcp} is all that a client needs; ${demo.connect} has what to type for each`],
    ['Scripts', `a token, in this folder: ${tokenCommand('VERBATIM_TOKEN', demo.mcp)}`],
    ['People', `${demo.people}: take analysts out of ana’s groups there, and her sessions end within seconds`],
    ...(demo.yours === undefined
      ? [
          [
            'Yours',
            'npm start -- --upstream http://127.0.0.1:9000/mcp puts your own MCP server behind the gateway as well; for a stdio server: --stdio "npx -y my-mcp-server"',
          ] as const,
        ]
      : yourLines(demo.yours)),
    ['Live', `npx verbatim tail${where}, in another terminal, while a client works`],
    once
      ? ['Done', `the gateway has stopped; the recording stays in ${demo.store}`]
      : ['Stop', `Ctrl-C; the recording stays in ${demo.store}`],
  ];
  return lines.map(([label, text]) => `${terminal.paint('bold', label.padEnd(10))}${text}\n`).join('');
}

function shown(offered: ReadBack['offered']): string {
  if (offered === undefined) return 'The rules showed her no tools.';
  const { names, hidden } = offered;
  return `Of its ${names.length + hidden} tools the rules showed her ${names.length}: ${quote(names.join(', '))}`;
}

function deniedLine(calls: readonly ToolCall[]): Line {
  const drop = calls.find(({ asked }) => asked.startsWith('DROP '));
  if (drop === undefined) return ['Denied', 'nothing: no table was to be dropped'];
  if (drop.result !== 'denied') return ['Denied', `NOT: your rules let her ask ${quote(drop.asked)}`];
  const { rules } = drop.decision;
  const by = rules.length === 0 ? 'since no rule allows it' : `by the rule ${quote(rules.join(', '))}`;
  const reached = drop.isForwarded ? 'it REACHED the server' : 'it never reached the server';
  return ['Denied', `${quote(drop.asked)}, ${by}: ${reached}`];
}

function refundLine(calls: readonly ToolCall[], { lead, people }: Demo): Line {
  const refund = calls.find(({ name }) => name === 'refund_order');
  if (refund === undefined) {
    const add = `{ name: dana, fullName: Dana Petrova, email: dana@example.com, groups: [${LEADS}], work: approves refunds }`;
    return [
      'Refund',
      `not asked for: nobody but ana in ${people} is of the group ${LEADS}. Add this line and start again: - ${add}`,
    ];
  }
  const [by] = refund.approvedBy;
  if (by !== undefined) {
    return ['Approved', `${quote(refund.asked)} waited for a lead. ${quote(by)} approved it: ${quote(refund.got)}`];
  }
  if (refund.result === 'complete') return ['Refund', `NOT approved: your rules let it pass. ${quote(refund.got)}`];
  const why = lead?.failed === undefined ? '' : ` ${quote(lead.name)} could not approve it: ${quote(lead.failed)}`;
  return ['Refund', `not made (${quote(refund.result)}).${why}`];
}

/** What to try with the rules, each as it is typed in this folder. */
function ruleLines({ gateway, policies, configuration, lead }: Demo): Line[] {
  const here = (path: string): string => {
    const short = relative(process.cwd(), path);
    return short.startsWith('..') ? path : short;
  };
  const folder = here(policies);
  const drop = '{"method":"tools/call","params":{"name":"query","arguments":{"sql":"DROP TABLE customers"}}}';
  const ana = '{"kind":"human","groups":["analysts"]}';
  return [
    [
      'Rules',
      `${folder}/access/orders.yaml: edit it, and it is in force within seconds; npx verbatim policy test ${folder}`,
    ],
    [
      'Why',
      `npx verbatim policy explain ${folder} --config ${here(configuration)} --connection orders --principal '${ana}' --message '${drop}'`,
    ],
    ...(lead === undefined
      ? []
      : [
          [
            'Refunds',
            `let a client ask for one; its link is for ${lead.name}, or: npx verbatim approvals list --gateway ${gateway} --as ${lead.name}`,
          ] as const,
        ]),
  ];
}

function yourLines({ reached, words, mcp, log }: Yours): Line[] {
  const said = cut(escapeForTerminal(words), WIDTH * 2);
  return [
    ['Yours', reached ? `reached: ${said}` : `does not answer: ${said}; it may start later`],
    ['', `${addTo('yours', mcp)}, and for scripts: ${tokenCommand('YOURS_TOKEN', mcp)}`],
    ...(log === undefined ? [] : [['', `its log, with what it writes to stderr: ${log}`] as const]),
  ];
}

/** The client finds out by itself that and where to log in. */
function addTo(name: string, mcp: string): string {
  return `claude mcp add --scope user --transport http ${name} ${mcp}`;
}

/** A variable for each connection: a token opens the one that it was got for. */
function tokenCommand(variable: string, mcp: string): string {
  return `export ${variable}="$(npx verbatim login ${mcp} --as ana)"`;
}

function quote(text: string | undefined): string {
  return cut(escapeForTerminal((text ?? 'nothing').replaceAll(/\s*\n\s*/g, ' / ')), WIDTH * 2);
}
