/**
 * The gateway's own answers: a JSON-RPC error for each request that waits for one, under the HTTP status that keeps a
 * client working (a 404 drops its session, a 403 makes some register anew), else an HTTP error.
 */
import type { GatewayError } from '../errors.ts';

export interface Answer {
  readonly status: number;
  readonly headers: readonly (readonly [string, string])[];
  readonly body: Buffer;
  /** What it answers, for the recording's outcome. */
  readonly outcomes: readonly { id?: string | number; error?: number }[];
}

export interface Asked {
  readonly ids: readonly (string | number)[];
  readonly batch: boolean;
  /** Answers to these go out on another stream: here a client looks at the status alone. */
  readonly elsewhere?: boolean;
}

export function errorAnswer(
  error: GatewayError,
  asked: Asked,
  extra: readonly (readonly [string, string])[] = [],
): Answer {
  const { entry } = error;
  const rpc = error.toJsonRpc();
  const status = statusOf(error, asked);
  const errors = asked.ids.map((id) => answerTo(id, error));
  const content = asked.batch && errors.length > 0 ? errors : (errors[0] ?? { jsonrpc: '2.0', id: null, error: rpc });
  const outcomes = asked.ids.length > 0 ? asked.ids.map((id) => outcomeOf(id, error)) : [{ error: entry.rpc }];
  const retry: (readonly [string, string])[] = status === 429 || status === 503 ? [['retry-after', '1']] : [];
  return {
    status,
    headers: [['content-type', 'application/json'], ['cache-control', 'no-store, no-transform'], ...retry, ...extra],
    body: Buffer.from(JSON.stringify(content)),
    outcomes,
  };
}

function statusOf({ entry }: GatewayError, { ids, elsewhere }: Asked): number {
  if (elsewhere === true) return Math.max(entry.http, 400);
  return ids.length > 0 && entry.httpAlways !== true ? 200 : entry.http;
}

function answerTo(id: string | number, error: GatewayError): Record<string, unknown> {
  const said = error.result === undefined ? { error: error.toJsonRpc() } : { result: error.result };
  return { jsonrpc: '2.0', id, ...said };
}

/** What an answer of the gateway's own is to the recording. */
export function outcomeOf(id: string | number, error: GatewayError): { id: string | number; error?: number } {
  return error.result === undefined ? { id, error: error.entry.rpc } : { id };
}

/** The same error as one last SSE event of a stream that is already under way. */
export function errorEvent(error: GatewayError, ids: readonly (string | number)[]): Buffer {
  return Buffer.from(ids.map((id) => `event: message\ndata: ${JSON.stringify(answerTo(id, error))}\n\n`).join(''));
}
