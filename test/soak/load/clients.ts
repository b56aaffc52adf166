/** Honest clients of a gateway under load, a process of its own: streams that listen, and callers that never rest. */
import { type ClientRequest, request } from 'node:http';
import { createHistogram } from 'node:perf_hooks';
import { Pool } from 'undici';
import { answerOrders } from './peer.ts';

export interface Lap {
  readonly calls: number;
  readonly seconds: number;
  /** Milliseconds. */
  readonly p50: number;
  readonly p99: number;
  readonly max: number;
  /** What failed, at most ten of them, and how many failed. */
  readonly errors: readonly string[];
  readonly failed: number;
}

const VERSION = { 'mcp-protocol-version': '2025-06-18' };
const MOST_ERRORS = 10;

// Streams.

interface Stream {
  readonly outgoing: ClientRequest;
  tail: string;
  bytes: number;
}

const streams = new Set<Stream>();
const broken: string[] = [];
let closing = false;

function openStream(url: string, token: string): Promise<void> {
  return new Promise((done, fail) => {
    const headers = { authorization: `Bearer ${token}`, accept: 'text/event-stream', ...VERSION };
    const outgoing = request(url, { method: 'GET', agent: false, headers });
    outgoing.on('error', fail);
    outgoing.on('response', (response) => {
      if (response.statusCode !== 200) return fail(new Error(`A stream was answered with ${response.statusCode}.`));
      const stream: Stream = { outgoing, tail: '', bytes: 0 };
      streams.add(stream);
      response.on('data', (chunk: Buffer) => {
        stream.bytes += chunk.length;
        stream.tail = (stream.tail + chunk.toString()).slice(-512);
      });
      const over = (): void => {
        if (!closing) broken.push('A stream ended.');
        streams.delete(stream);
      };
      response.on('close', over);
      response.on('error', () => {});
      done();
    });
    outgoing.end();
  });
}

async function inParallel<T>(items: readonly T[], most: number, work: (item: T) => Promise<void>): Promise<void> {
  const queue = [...items];
  const worker = async (): Promise<void> => {
    for (let item = queue.shift(); item !== undefined; item = queue.shift()) await work(item);
  };
  await Promise.all(Array.from({ length: Math.min(most, items.length) }, worker));
}

// Callers.

let stop = false;
let callers: Promise<unknown> = Promise.resolve();
let latencies = createHistogram();
let calls = 0;
let failed = 0;
let errors: string[] = [];
let since = performance.now();

function fail(words: string): void {
  failed++;
  if (errors.length < MOST_ERRORS) errors.push(words);
}

/** One in eight is answered as a stream, one in 64 with 64 KiB. */
function toolOf(serial: number): string {
  if (serial % 64 === 7) return 'large';
  return serial % 8 === 3 ? 'sse' : 'json';
}

async function callOnce(pool: Pool, path: string, token: string, id: number): Promise<void> {
  const name = toolOf(id);
  const started = performance.now();
  try {
    const { statusCode, body } = await pool.request({
      method: 'POST',
      path,
      headers: {
        authorization: `Bearer ${token}`,
        'content-type': 'application/json',
        accept: 'application/json, text/event-stream',
        ...VERSION,
      },
      body: JSON.stringify({
        jsonrpc: '2.0',
        id,
        method: 'tools/call',
        params: { name, arguments: { sql: 'x'.repeat(80) } },
      }),
    });
    const text = await body.text();
    const said =
      name === 'large' ? `"id":${id},"result":{"content":[{"type":"text","text":"xx` : `"text":"answer ${id}"`;
    if (statusCode !== 200 || !text.includes(said))
      fail(`${name} was answered with ${statusCode}: ${text.slice(0, 200)}`);
  } catch (error) {
    fail(`${name} failed: ${error instanceof Error ? error.message : String(error)}`);
  }
  calls++;
  latencies.record(Math.max(1, Math.round((performance.now() - started) * 1000)));
}

function lap(): Lap {
  const now = performance.now();
  const milliseconds = (microseconds: number): number => Math.round(microseconds) / 1000;
  const said: Lap = {
    calls,
    seconds: (now - since) / 1000,
    p50: milliseconds(latencies.percentile(50)),
    p99: milliseconds(latencies.percentile(99)),
    max: calls === 0 ? 0 : milliseconds(latencies.max),
    errors,
    failed,
  };
  latencies = createHistogram();
  calls = 0;
  failed = 0;
  errors = [];
  since = now;
  return said;
}

answerOrders({
  async openStreams({ url, tokens }: { url: string; tokens: readonly string[] }) {
    await inParallel(tokens, 32, (token) => openStream(url, token));
    return streams.size;
  },
  /** How many streams do not end with this word within the time. */
  async heard({ word, within }: { word: string; within: number }) {
    const until = performance.now() + within;
    const deaf = (): number => [...streams].filter(({ tail }) => !tail.includes(`"${word}"`)).length;
    while (deaf() > 0 && performance.now() < until) await new Promise((done) => setTimeout(done, 20));
    return { open: streams.size, deaf: deaf(), broken: broken.length };
  },
  closeStreams() {
    closing = true;
    for (const { outgoing } of streams) outgoing.destroy();
  },
  call({ origin, path, tokens }: { origin: string; path: string; tokens: readonly string[] }) {
    const pool = new Pool(origin, { connections: tokens.length, pipelining: 1, headersTimeout: 60_000 });
    stop = false;
    let serial = 0;
    const caller = async (token: string): Promise<void> => {
      while (!stop) await callOnce(pool, path, token, ++serial);
    };
    lap();
    callers = Promise.all(tokens.map(caller)).finally(() => pool.close());
  },
  lap,
  async rest() {
    stop = true;
    await callers;
    return lap();
  },
});
