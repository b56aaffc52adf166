/** Clients that call, each call once, with a body that no other has, and answer what the server asks meanwhile. */
import { Pool } from 'undici';
import { BALANCER } from '../../balancer.ts';
import type { Ledger } from './ledger.ts';
import { resultOf } from './upstream.ts';

const KINDS = ['json', 'json', 'json', 'sse', 'ask', 'slow'];
const ASKS = '"method":"sampling/createMessage"';
const LONGEST_PADDING = 20_000;
const LONGEST_MS = 30_000;

interface Sent {
  readonly said: string;
  readonly origin: string | undefined;
  readonly since: number;
}

export interface CallingOptions {
  readonly url: string;
  readonly clients: number;
  readonly token: () => string;
  readonly random: () => number;
  readonly ledger: Ledger;
  readonly stopped: () => boolean;
}

export async function callAllTheTime(options: CallingOptions): Promise<void> {
  const { origin, pathname } = new URL(options.url);
  // What is answered meanwhile has a connection beside that of the call that waits for it.
  const pool = new Pool(origin, { connections: 2 * options.clients, pipelining: 1 });
  let serial = 0;

  async function send(token: string, body: string, onData?: (text: string) => void): Promise<Sent> {
    const since = performance.now();
    let origin: string | undefined;
    const chunks: Buffer[] = [];
    try {
      const answer = await pool.request({
        path: pathname,
        method: 'POST',
        headersTimeout: LONGEST_MS,
        bodyTimeout: LONGEST_MS,
        headers: {
          authorization: `Bearer ${token}`,
          'content-type': 'application/json',
          accept: 'application/json, text/event-stream',
          'mcp-protocol-version': '2025-06-18',
        },
        body,
      });
      origin = String(answer.headers[BALANCER]);
      for await (const chunk of answer.body) {
        chunks.push(chunk as Buffer);
        onData?.(Buffer.concat(chunks).toString());
      }
      const received = Buffer.concat(chunks);
      options.ledger.note({ mark: body, received, state: answer.statusCode === 502 ? 'cut' : 'whole' });
      return { said: `${answer.statusCode} ${received}`, origin, since };
    } catch (error) {
      options.ledger.note({ mark: body, received: Buffer.concat(chunks), state: 'cut' });
      return { said: `cut: ${error instanceof Error ? error.message : error}`, origin, since };
    }
  }

  async function expect(what: string, sending: Promise<Sent>, fits: (said: string) => boolean): Promise<void> {
    const { said, ...at } = await sending;
    if (fits(said)) options.ledger.count('acknowledged');
    else options.ledger.failed(`${what}: ${said.slice(0, 300)}`, at);
  }

  async function call(): Promise<void> {
    const id = ++serial;
    const kind = KINDS[Math.floor(options.random() * KINDS.length)] ?? 'json';
    const padding = 'é'.repeat(Math.floor(options.random() ** 12 * LONGEST_PADDING));
    const params = `{"name":"${kind}","arguments":{"p":"${padding}"}}`;
    const token = options.token();
    let answering: Promise<void> | undefined;
    const answer = (): Promise<void> => {
      const body = `{"jsonrpc":"2.0","id":"s${id}","result":{"role":"assistant","model":"m"}}`;
      return expect(`answer ${id}`, send(token, body), (said) => said === '202 ');
    };
    const sent = `{"jsonrpc":"2.0","id":${id},"method":"tools/call","params":${params}}`;
    await expect(
      `${kind} ${id}`,
      send(token, sent, (text) => {
        if (kind === 'ask' && text.includes(ASKS)) answering ??= answer();
      }),
      (said) => said.startsWith('200 ') && said.includes(resultOf(id)),
    );
    await answering;
  }

  const client = async (): Promise<void> => {
    while (!options.stopped()) await call();
  };
  await Promise.all(Array.from({ length: options.clients }, client));
  await pool.close();
}
