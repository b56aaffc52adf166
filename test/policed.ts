/** A gateway with rules, in front of an upstream that answers what a test says. */
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type GatewayUnderTest, startGatewayInFrontOf, type UnderTestOptions } from './gateway-under-test.ts';
import { answerOf, ask, type RawAnswer, requestOf, startRawUpstream } from './raw-socket.ts';

export interface Said {
  readonly jsonrpc: string;
  readonly id?: number | string;
  readonly method?: string;
  readonly params?: Record<string, unknown>;
  readonly result?: unknown;
  readonly error?: { code: number; message: string; data?: { code?: string; url?: string } };
}

export interface Policed {
  readonly gateway: GatewayUnderTest;
  /** What has reached the upstream: messages, in their order. */
  readonly reached: Said[];
  /** The same as they came, with their heads. */
  readonly requests: string[];
  readonly policies: string;
  /** Its address. */
  readonly upstream: string;
  /** What the upstream answers from now on: a result, a whole message, or (text) an event stream. A GET's stays open. */
  answer(next: (message: Said) => unknown): void;
  /** Sends a request of ana's, or of whose token this is. */
  send(
    method: string,
    params?: object,
    options?: { token?: string; id?: number | string; headers?: string[] },
  ): Promise<Reply>;
  /** Writes rules anew and waits until they are in force. */
  rules(yaml: string, file?: string): Promise<void>;
  close(): Promise<void>;
}

export interface Reply extends RawAnswer {
  readonly said: Said;
  /** The gateway's own code, where it refused. */
  readonly code: string | undefined;
}

export async function startPoliced(rules: string, options: UnderTestOptions = {}): Promise<Policed> {
  const reached: Said[] = [];
  const requests: string[] = [];
  let next: (message: Said) => unknown = () => ({ ok: true });
  const upstream = await startRawUpstream((request, socket) => {
    const message = JSON.parse(request.slice(request.indexOf('\r\n\r\n') + 4) || '{}') as Said;
    if (request.startsWith('GET '))
      return void socket.write(
        `HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n\r\n${next({ jsonrpc: '2.0', method: 'GET' })}`,
      );
    reached.push(message);
    requests.push(request);
    if (message.id === undefined || message.method === undefined)
      return void socket.write(answerOf('202 Accepted', {}, ''));
    const made = next(message);
    if (typeof made === 'string')
      return void socket.write(answerOf('200 OK', { 'content-type': 'text/event-stream' }, made));
    const whole = isMessage(made) ? made : { jsonrpc: '2.0', id: message.id, result: made };
    socket.write(answerOf('200 OK', { 'content-type': 'application/json' }, JSON.stringify(whole)));
  });
  const folder = await mkdtemp(join(tmpdir(), 'verbatim-policed-'));
  const policies = join(folder, 'policies');
  await mkdir(join(policies, 'access'), { recursive: true });
  await mkdir(join(policies, 'tools'));
  await writeFile(join(policies, 'access', 'rules.yaml'), rules);
  const gateway = await startGatewayInFrontOf(upstream.url, { ...options, config: { policies, ...options.config } });
  return {
    gateway,
    reached,
    requests,
    policies,
    upstream: upstream.url,
    answer(made) {
      next = made;
    },
    async send(method, params = {}, { token = gateway.token, id = 1, headers = [] } = {}) {
      const body = JSON.stringify({ jsonrpc: '2.0', id, method, params });
      const reply = await ask(gateway.port, requestOf({ token, body, headers }));
      const said = saidIn(reply.body);
      return { ...reply, said, code: said.error?.data?.code };
    },
    async rules(yaml, file = 'rules.yaml') {
      await writeFile(join(policies, 'access', file), yaml);
      await gateway.gateway.reload();
    },
    async close() {
      await gateway.close();
      await upstream.close();
      await rm(folder, { recursive: true, force: true });
    },
  };
}

function isMessage(value: unknown): boolean {
  return typeof value === 'object' && value !== null && 'jsonrpc' in value;
}

/** Of an event stream, its last message. */
function saidIn(body: string): Said {
  const data = body.startsWith('{')
    ? body
    : (body.split('\n').findLast((line) => line.startsWith('data: ')) ?? '').slice(6);
  return JSON.parse(data || '{}') as Said;
}
