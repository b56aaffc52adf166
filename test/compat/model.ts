/**
 * A model that stands on this host and has one idea: call the tool whose name ends in `query`, then repeat what came
 * back. With it an agent's command line makes a real tools/call, and nobody needs an account.
 *
 * It speaks as much of Anthropic's Messages API and of Google's Gemini API, both streamed, as the two agents need.
 */
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { json } from 'node:stream/consumers';

interface Asked {
  readonly model?: string;
  readonly tools?: readonly { readonly name?: string; readonly functionDeclarations?: readonly { name: string }[] }[];
  readonly messages?: readonly unknown[];
  readonly contents?: readonly unknown[];
}

export interface Model extends AsyncDisposable {
  readonly url: string;
}

export async function startModel(input: Record<string, unknown>): Promise<Model> {
  const server = createServer(async (request, response) => {
    const path = request.url ?? '';
    const asked = (await json(request).catch(() => ({}))) as Asked;
    const events = path.startsWith('/v1/messages?')
      ? anthropicTurn(asked, input)
      : path.includes(':streamGenerateContent')
        ? geminiTurn(asked, input)
        : undefined;
    if (events === undefined) return void response.writeHead(404, { 'content-type': 'application/json' }).end('{}');
    response.writeHead(200, { 'content-type': 'text/event-stream' }).end(events);
  });
  await new Promise<void>((done) => server.listen(0, '127.0.0.1', done));
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    async [Symbol.asyncDispose]() {
      server.closeAllConnections();
      await new Promise((done) => server.close(done));
    },
  };
}

const event = (data: { type?: string }): string =>
  `${data.type === undefined ? '' : `event: ${data.type}\n`}data: ${JSON.stringify(data)}\n\n`;

/** https://platform.claude.com/docs/en/build-with-claude/streaming */
function anthropicTurn({ model, tools = [], messages = [] }: Asked, input: object): string {
  const tool = tools.find(({ name }) => name?.endsWith('query'))?.name;
  const result = find(messages, 'tool_result');
  const calls = tool !== undefined && result === undefined;
  const usage = { input_tokens: 1, output_tokens: 1 };
  const message = { id: 'msg_1', type: 'message', role: 'assistant', model, content: [], usage };
  const content_block = calls ? { type: 'tool_use', id: 'toolu_1', name: tool, input: {} } : { type: 'text', text: '' };
  const delta = calls
    ? { type: 'input_json_delta', partial_json: JSON.stringify(input) }
    : { type: 'text_delta', text: textIn(result) };
  return [
    { type: 'message_start', message },
    { type: 'content_block_start', index: 0, content_block },
    { type: 'content_block_delta', index: 0, delta },
    { type: 'content_block_stop', index: 0 },
    { type: 'message_delta', delta: { stop_reason: calls ? 'tool_use' : 'end_turn', stop_sequence: null }, usage },
    { type: 'message_stop' },
  ]
    .map(event)
    .join('');
}

/** https://ai.google.dev/api/generate-content */
function geminiTurn({ tools = [], contents = [] }: Asked, input: object): string {
  const names = tools.flatMap(({ functionDeclarations = [] }) => functionDeclarations.map(({ name }) => name));
  const tool = names.find((name) => name.endsWith('query'));
  const result = find(contents, 'functionResponse');
  const calls = tool !== undefined && result === undefined;
  const part = calls ? { functionCall: { name: tool, args: input } } : { text: textIn(result) };
  const candidates = [{ content: { role: 'model', parts: [part] }, finishReason: 'STOP', index: 0 }];
  return event({ candidates, usageMetadata: { totalTokenCount: 1 } } as object);
}

/** The first object in the conversation that is a tool's result. */
function find(value: unknown, kind: string): unknown {
  if (typeof value !== 'object' || value === null) return undefined;
  if (kind in value || (value as { type?: unknown }).type === kind) return value;
  for (const child of Object.values(value)) {
    const found = find(child, kind);
    if (found !== undefined) return found;
  }
  return undefined;
}

/** What a person would read of a result; nothing, where there is none. */
const textIn = (result: unknown): string => (result === undefined ? 'There is no such tool.' : JSON.stringify(result));
