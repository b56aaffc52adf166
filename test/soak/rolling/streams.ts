/** Clients that keep a stream open all the time: where it is cut they resume it, and no number may be missing or early. */
import { Pool } from 'undici';
import { BALANCER } from '../../balancer.ts';
import type { Fleet } from './fleet.ts';
import type { Ledger } from './ledger.ts';

export interface StreamingOptions {
  readonly url: string;
  readonly clients: number;
  readonly token: () => string;
  readonly ledger: Ledger;
  readonly fleet: Pick<Fleet, 'departures'>;
  /** How long a replica that leaves lets streams go on, from when it was told. */
  readonly leaveMs: number;
  readonly stopped: () => boolean;
}

/** A timer may fire so much early, and the signal comes after the note that it was sent. */
const TOLERANCE_MS = 20;

export async function streamAllTheTime(options: StreamingOptions): Promise<void> {
  await Promise.all(Array.from({ length: options.clients }, (_, at) => keepOpen(at, options)));
}

async function keepOpen(client: number, options: StreamingOptions): Promise<void> {
  const { ledger, fleet } = options;
  const { origin, pathname } = new URL(options.url);
  const pool = new Pool(origin, { connections: 4, pipelining: 1 });
  const authorization = `Bearer ${options.token()}`;
  let session: string | undefined;
  let last = 0;

  async function initialize(): Promise<string | undefined> {
    const params = { protocolVersion: '2025-06-18', capabilities: {}, clientInfo: { name: 'soak', version: '1' } };
    const answer = await pool.request({
      path: pathname,
      method: 'POST',
      headers: {
        authorization,
        'content-type': 'application/json',
        accept: 'application/json, text/event-stream',
        'x-soak': `initialize-${client}`,
      },
      body: JSON.stringify({ jsonrpc: '2.0', id: 0, method: 'initialize', params }),
    });
    await answer.body.text();
    const id = answer.headers['mcp-session-id'];
    return typeof id === 'string' ? id : undefined;
  }

  /** One stream, from where the last one ended. */
  async function listen(mcpSession: string, serial: number): Promise<void> {
    const since = performance.now();
    const mark = `stream-${client}-${serial}`;
    const over = new AbortController();
    let at: string | undefined;
    let received = '';
    let taken = 0;
    try {
      const { headers, body, statusCode } = await pool.request({
        path: pathname,
        method: 'GET',
        headersTimeout: 30_000,
        bodyTimeout: 30_000,
        signal: over.signal,
        headers: {
          authorization,
          accept: 'text/event-stream',
          'mcp-session-id': mcpSession,
          'mcp-protocol-version': '2025-06-18',
          'x-soak': mark,
          ...(last > 0 ? { 'last-event-id': String(last) } : {}),
        },
      });
      at = String(headers[BALANCER]);
      if (statusCode !== 200) {
        ledger.failed(`${mark}: ${statusCode} ${(await body.text()).slice(0, 200)}`, { origin: at, since });
        return;
      }
      ledger.count(last > 0 ? 'resumed' : 'streams');
      body.setEncoding('utf8');
      for await (const chunk of body) {
        received += chunk;
        taken += take(received.slice(taken), mark, { origin: at, since });
        if (options.stopped()) over.abort();
      }
    } catch {
      // Cut, or left by this client.
    }
    ledger.note({ mark, received: Buffer.from(received), state: 'cut' });
    if (options.stopped()) return;
    const gone = performance.now();
    const left = fleet.departures.findLast((one) => one.origin === at && (one.until ?? Infinity) > since);
    if (at === undefined || left === undefined || gone - left.at < options.leaveMs - TOLERANCE_MS) {
      ledger.failed(`${mark} was cut ${left === undefined ? 'by nobody' : `after ${Math.round(gone - left.at)} ms`}`, {
        origin: at,
        since,
      });
    }
  }

  /** Takes whole events of a text; how much of it they are. */
  function take(text: string, mark: string, at: { origin: string; since: number }): number {
    const end = text.lastIndexOf('\n\n') + 1;
    for (const [, id = ''] of text.slice(0, end).matchAll(/^id: (\d+)$/gm)) {
      if (Number(id) !== last + 1) ledger.failed(`${mark}: ${id} came after ${last}`, at);
      last = Number(id);
      ledger.count('events');
    }
    return end;
  }

  for (let serial = 0; !options.stopped(); serial++) {
    const since = performance.now();
    try {
      session ??= await initialize();
      if (session === undefined) ledger.failed('initialize gave no session', { origin: undefined, since });
      else await listen(session, serial);
    } catch (error) {
      ledger.failed(`initialize: ${error}`, { origin: undefined, since });
    }
  }
  await pool.destroy();
}
