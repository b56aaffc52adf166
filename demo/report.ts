/** What `npm start` tells: ana's conversation as the recording has it, and how to go on from there. */
import { createTerminal, cut, escapeForTerminal } from '../gateway/cli/terminal.ts';
import { createExchangeGrouping, type Exchange, releasedBytes, requestBytes } from '../gateway/recording/exchange.ts';
import { openRecordings, type Recordings } from '../gateway/recording/read.ts';
import { openStore } from '../gateway/store/open.ts';
import type { Demo, Yours } from './demo.ts';

const WIDTH = 76;

export async function demoReport(demo: Demo, once: boolean): Promise<string> {
  const terminal = createTerminal(process.stdout, process.env);
  const recordings = openRecordings(openStore(demo.store), { audit: openStore(`${demo.store}-audit`) });
  const calls = await readBack(recordings, demo.session);
  const { exchanges = 0, messages = 0 } = (await recordings.session(demo.session)) ?? {};
  const proof = await recordings.verifyAll({ verifierKeys: [demo.key], now: Date.now() });
  const line = (label: string, text: string): string => terminal.paint('bold', label.padEnd(10)) + text;
  const query = calls.find((call) => call.name === 'query');
  // The reading commands find the demo's store by themselves where it lies at its usual place.
  const where = demo.store === `file://${process.cwd()}/.verbatim/demo/store` ? '' : ` --store ${demo.store}`;
  const holds = proof.ok
    ? `${proof.segments} segments, ${proof.leaves} leaves: hashes, sequence, tree and signatures hold`
    : 'NO: what is stored does not hold';
  const lines = [
    line(
      'Ana made',
      `${calls.length} tool calls on the sample server "orders", through the gateway. She asked, for one: ${quote(query?.asked)}`,
    ),
    line('and got', quote(query?.got)),
    line(
      'Recorded',
      `${exchanges} exchanges with ${messages} messages byte for byte, each before it passed: npx verbatim show ${demo.session}${where}`,
    ),
    line('Verified', `${holds}: npx verbatim verify --all${where}`),
    line('Claude', `${addTo('orders', demo.mcp)}, then /mcp in it: your browser opens to log in`),
    line('Others', `${demo.mcp} is all that a client needs; ${demo.connect} has what to type for each`),
    line('Scripts', `a token, in this folder: ${tokenCommand('VERBATIM_TOKEN', demo.mcp)}`),
    line('People', `${demo.people}: take analysts out of ana’s groups there, and her sessions end within seconds`),
    ...(demo.yours === undefined
      ? [
          line(
            'Yours',
            'npm start -- --upstream http://127.0.0.1:9000/mcp puts your own MCP server behind the gateway as well; for a stdio server: --stdio "npx -y my-mcp-server"',
          ),
        ]
      : yourLines(demo.yours).map(([label, text]) => line(label, text))),
    line('Live', `npx verbatim tail${where}, in another terminal, while a client works`),
    line('Not yet', 'policies, masks and approvals are not built: every well-formed call is allowed'),
    once
      ? line('Done', `the gateway has stopped; the recording stays in ${demo.store}`)
      : line('Stop', `Ctrl-C; the recording stays in ${demo.store}`),
  ];
  return `${lines.join('\n')}\n`;
}

function yourLines({ reached, words, mcp, log }: Yours): [label: string, text: string][] {
  const said = cut(escapeForTerminal(words), WIDTH * 2);
  return [
    ['Yours', reached ? `reached: ${said}` : `does not answer: ${said}; it may start later`],
    ['', `${addTo('yours', mcp)}, and for scripts: ${tokenCommand('YOURS_TOKEN', mcp)}`],
    ...(log === undefined ? [] : [['', `its log, with what it writes to stderr: ${log}`] as [string, string]]),
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

interface ToolCall {
  readonly name: string;
  readonly asked: string;
  readonly got: string;
}

/** Everything here comes from stored, checked segments; nothing was remembered from the conversation itself. */
async function readBack(recordings: Recordings, session: string): Promise<ToolCall[]> {
  const grouping = createExchangeGrouping();
  const calls: ToolCall[] = [];
  for await (const item of recordings.frames(session)) {
    if (item.kind !== 'frame') continue;
    const exchange = grouping.add(item.frame);
    const call = exchange === undefined ? undefined : toolCall(exchange);
    if (call !== undefined) calls.push(call);
  }
  return calls;
}

function toolCall(exchange: Exchange): ToolCall | undefined {
  const message = exchange.request?.messages.find(({ method }) => method === 'tools/call');
  if (message === undefined) return undefined;
  const asked = JSON.parse(requestBytes(exchange).toString()) as { params?: { arguments?: Record<string, unknown> } };
  const input = asked.params?.arguments ?? {};
  return {
    name: message.name ?? '',
    asked: typeof input.sql === 'string' ? input.sql : JSON.stringify(input),
    got: firstText(releasedBytes(exchange).toString()),
  };
}

/** The first text of the answer, from a JSON body or the event that holds it. */
function firstText(body: string): string {
  const match = /"text":("(?:[^"\\]|\\.)*")/.exec(body);
  return match?.[1] === undefined ? cut(body, WIDTH) : (JSON.parse(match[1]) as string);
}

function quote(text: string | undefined): string {
  return cut(escapeForTerminal((text ?? 'nothing').replaceAll(/\s*\n\s*/g, ' / ')), WIDTH * 2);
}
