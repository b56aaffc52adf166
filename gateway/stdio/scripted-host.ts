/** A real stdio host in front of a scripted server, and calls to it on the wire. For tests. */
import { readFileSync } from 'node:fs';
import { createLog } from '../log.ts';
import { type StdioHostOptions, startStdioHost } from './host.ts';
import { SCRIPTED_SERVER } from './scripted-server.ts';
import type { SessionLimits } from './sessions.ts';

export interface Reply {
  readonly status: number;
  readonly headers: Headers;
  readonly text: string;
  /** The messages: of the events, or the body. */
  readonly messages: readonly Message[];
}

export interface Message {
  readonly id?: unknown;
  readonly method?: string;
  readonly params?: Record<string, unknown>;
  readonly result?: Record<string, unknown>;
  readonly error?: { readonly code: number; readonly data?: { readonly code: string; readonly fate: string } };
}

export interface LogLine {
  readonly event: string;
  readonly [key: string]: unknown;
}

export interface TestHost extends AsyncDisposable {
  readonly url: string;
  readonly logged: readonly LogLine[];
  /** Resolves with the first such line, be it written already or not. */
  line(event: string, condition?: (line: LogLine) => boolean): Promise<LogLine>;
  send(body: unknown, headers?: Record<string, string>, signal?: AbortSignal): Promise<Reply>;
  /** Initializes, and gives the header of the session and the child's answer. */
  open(headers?: Record<string, string>): Promise<{ headers: Record<string, string>; reply: Reply }>;
  close(): Promise<void>;
}

export async function startTestHost(
  behaviour: string,
  limits: Partial<SessionLimits> = {},
  options: Partial<StdioHostOptions> & { env?: Record<string, string>; grace?: number } = {},
): Promise<TestHost> {
  const logged: LogLine[] = [];
  const watchers = new Set<() => void>();
  const log = createLog({
    write(text) {
      logged.push(JSON.parse(text));
      for (const look of watchers) look();
    },
  });
  const { env = {}, grace = 300, ...rest } = options;
  const host = await startStdioHost({
    host: '127.0.0.1',
    port: 0,
    path: '/mcp',
    program: { command: process.execPath, args: [SCRIPTED_SERVER, behaviour], env, grace },
    limits: { children: 8, idle: 60_000, startLimit: 20_000, memory: 1024 ** 3, ...limits },
    identityHeader: 'X-Verbatim-Identity',
    log,
    ...rest,
  });
  const send: TestHost['send'] = async (body, headers = {}, signal) =>
    replyOf(
      await fetch(host.url, {
        method: 'POST',
        headers: { 'content-type': 'application/json', accept: 'application/json, text/event-stream', ...headers },
        body: typeof body === 'string' ? body : JSON.stringify(body),
        ...(signal === undefined ? {} : { signal }),
      }),
    );
  return {
    url: host.url,
    logged,
    line: (event, condition = () => true) =>
      new Promise((done) => {
        const look = (): void => {
          const found = logged.find((one) => one.event === event && condition(one));
          if (found === undefined) return;
          watchers.delete(look);
          done(found);
        };
        watchers.add(look);
        look();
      }),
    send,
    async open(headers = {}) {
      const reply = await send(INITIALIZE, headers);
      return { headers: { ...headers, 'mcp-session-id': reply.headers.get('mcp-session-id') ?? '' }, reply };
    },
    close: host.close,
    [Symbol.asyncDispose]: host.close,
  };
}

export const INITIALIZE = {
  ...{ jsonrpc: '2.0', id: 0, method: 'initialize' },
  params: { protocolVersion: '2025-11-25', capabilities: {}, clientInfo: { name: 'test', version: '1' } },
};

export function callOf(id: number | string, input: Record<string, string> = {}, token?: number | string): object {
  const meta = token === undefined ? {} : { _meta: { progressToken: token } };
  return { jsonrpc: '2.0', id, method: 'tools/call', params: { name: 'any', arguments: input, ...meta } };
}

async function replyOf(response: Response): Promise<Reply> {
  const text = await response.text();
  const isStream = response.headers.get('content-type') === 'text/event-stream';
  const messages = isStream ? messagesIn(text) : text.startsWith('{') ? [JSON.parse(text)] : [];
  return { status: response.status, headers: response.headers, text, messages };
}

/** The messages of the whole events so far. */
export function messagesIn(stream: string): Message[] {
  return stream
    .split('\n\n')
    .slice(0, -1)
    .map((event) => event.split('\n').flatMap((line) => (line.startsWith('data: ') ? [line.slice(6)] : [])))
    .flatMap((data) => (data.length === 0 ? [] : [JSON.parse(data.join('\n'))]));
}

/** Whether a process runs. A zombie does not: it has ended, and only nobody has asked how. */
export function runs(pid: number): boolean {
  try {
    process.kill(pid, 0);
    const stat = process.platform === 'linux' ? readFileSync(`/proc/${pid}/stat`, 'latin1') : '';
    return !stat.slice(stat.lastIndexOf(')') + 2).startsWith('Z');
  } catch {
    return false;
  }
}
