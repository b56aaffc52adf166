/** What `npm start` tells: ana's conversation as the recording has it, and how to go on from there. */
import { createTerminal, cut, escapeForTerminal } from '../gateway/cli/terminal.ts';
import { createExchangeGrouping, type Exchange, releasedBytes, requestBytes } from '../gateway/recording/exchange.ts';
import { openRecordings, type Recordings } from '../gateway/recording/read.ts';
import { openStore } from '../gateway/store/open.ts';
import type { Demo } from './demo.ts';

const WIDTH = 76;

export async function demoReport(demo: Demo, once: boolean): Promise<string> {
  const terminal = createTerminal(process.stdout, process.env);
  const recordings = openRecordings(openStore(demo.store), { audit: openStore(`${demo.store}-audit`) });
  const { calls, messages } = await readBack(recordings, demo.session);
  const proof = await recordings.verifyAll({ verifierKeys: [demo.key], now: Date.now() });
  const label = (text: string): string => terminal.paint('bold', text.padEnd(10));
  const query = calls.find((call) => call.name === 'query');
  // The reading commands find the demo's store by themselves where it lies at its usual place.
  const where = demo.store === `file://${process.cwd()}/.verbatim/demo/store` ? '' : ` --store ${demo.store}`;
  const lines = [
    `${label('Ana made')}${calls.length} tool calls on the sample server "orders", through the gateway. She asked, for one: ${quote(query?.asked)}`,
    `${label('and got')}${quote(query?.got)}`,
    `${label('Recorded')}${messages} messages byte for byte, each before it passed: npx verbatim show ${demo.session}${where}`,
    `${label('Verified')}${proof.ok ? `${proof.segments} segments, ${proof.leaves} leaves: hashes, sequence, tree and signatures hold` : 'NO: what is stored does not hold'}: npx verbatim verify --all${where}`,
    `${label('Claude')}claude mcp add --transport http orders ${demo.mcp} --header "Authorization: Bearer $(npx verbatim login ${demo.mcp} --as ana)"`,
    `${label('Others')}${demo.mcp} with the same header${demo.yours === undefined ? '' : `; your server: ${demo.yours}`}`,
    `${label('Yours')}npm start -- --upstream http://127.0.0.1:9000/mcp puts your own MCP server behind the gateway as well; for a stdio server: --stdio "npx -y my-mcp-server"`,
    `${label('Live')}npx verbatim tail${where}, in another terminal, while a client works`,
    `${label('Not yet')}login from inside the MCP client, policies, masks and approvals are not built: every well-formed call is allowed`,
    once
      ? `${label('Done')}the gateway has stopped; the recording stays in ${demo.store}`
      : `${label('Stop')}Ctrl-C; the recording stays in ${demo.store}`,
  ];
  return `${lines.join('\n')}\n`;
}

interface ToolCall {
  readonly name: string;
  readonly asked: string;
  readonly got: string;
}

/** Everything here comes from stored, checked segments; nothing was remembered from the conversation itself. */
async function readBack(recordings: Recordings, session: string): Promise<{ calls: ToolCall[]; messages: number }> {
  const grouping = createExchangeGrouping();
  const calls: ToolCall[] = [];
  let messages = 0;
  for await (const item of recordings.frames(session)) {
    if (item.kind !== 'frame') continue;
    if (item.frame.type === 'request') messages += item.frame.messages.length;
    if (item.frame.type === 'data') messages += item.frame.messages?.length ?? 0;
    const exchange = grouping.add(item.frame);
    const call = exchange === undefined ? undefined : toolCall(exchange);
    if (call !== undefined) calls.push(call);
  }
  return { calls, messages };
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
