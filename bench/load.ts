import { createHistogram } from 'node:perf_hooks';
import { createInterface } from 'node:readline';
import { type Dispatcher, Pool } from 'undici';
import * as z from 'zod';

import { path, requestBody, requestHeaders, responseBody } from './call.ts';

// The load generator, its own process: for each order on stdin it keeps all connections busy for that long (a closed loop:
// a connection's next call starts when its last has ended) and answers with one line on stdout: a report or an error.

const connections = 16;
const order = z.object({
  origin: z.string(),
  prefix: z.string(),
  headers: z.record(z.string(), z.string()),
  ms: z.number(),
});

export type LoadOrder = z.infer<typeof order>;
/** `seconds` the slice took; latencies in ms. */
export interface LoadReport {
  calls: number;
  seconds: number;
  p50: number;
  p99: number;
}

const pools = new Map<string, Pool>();

function poolOf(origin: string): Pool {
  const pool = pools.get(origin) ?? new Pool(origin, { connections, pipelining: 1 });
  pools.set(origin, pool);
  return pool;
}

/** One call; rejects unless it is answered with the very bytes that the upstream sends to it. */
function call(pool: Pool, request: Dispatcher.DispatchOptions, expected: string): Promise<void> {
  return new Promise((resolve, reject) => {
    let status = 0;
    let body = '';
    pool.dispatch(request, {
      onRequestStart: () => undefined,
      onResponseStart(_controller, code) {
        status = code;
      },
      onResponseData(_controller, chunk) {
        body += chunk.toString('latin1');
      },
      onResponseEnd() {
        if (status === 200 && body === expected) resolve();
        else reject(new Error(`a call was answered with status ${status} and ${body.length} bytes`));
      },
      onResponseError: (_controller, error) => reject(error),
    });
  });
}

async function run({ origin, prefix, headers, ms }: LoadOrder): Promise<LoadReport> {
  const pool = poolOf(origin);
  const latencies = createHistogram();
  const start = performance.now();
  let calls = 0;

  async function keepBusy(id: number): Promise<void> {
    const allHeaders = { ...requestHeaders, ...headers };
    const request = { method: 'POST' as const, path: prefix + path, headers: allHeaders, body: requestBody(id) };
    const expected = responseBody(id);
    for (let now = performance.now(); now - start < ms; ) {
      await call(pool, request, expected);
      const done = performance.now();
      latencies.record(Math.max(1, Math.round((done - now) * 1e3)));
      calls += 1;
      now = done;
    }
  }
  await Promise.all(Array.from({ length: connections }, (_, connection) => keepBusy(10 + connection)));
  return {
    calls,
    seconds: (performance.now() - start) / 1e3,
    p50: latencies.percentile(50) / 1e3,
    p99: latencies.percentile(99) / 1e3,
  };
}

for await (const line of createInterface({ input: process.stdin })) {
  const report = await run(order.parse(JSON.parse(line))).catch((error: Error) => ({ error: error.message }));
  console.log(JSON.stringify(report));
}
