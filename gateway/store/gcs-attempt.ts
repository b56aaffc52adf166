/**
 * One attempt at a request of Google's library, with an end.
 *
 * The library's HTTP has neither a time limit nor a way to end a request (teeny-request passes `timeout` to node-fetch,
 * which has none since version 3): a bucket that stalls would keep a socket and a buffer for each attempt, for ever.
 * Node tells of each request as it is made, in the async context that made it; so the attempt finds its own and ends
 * them. A request that is made after the attempt is over (its token came late) is ended before it begins.
 */
import { AsyncLocalStorage } from 'node:async_hooks';
import diagnostics from 'node:diagnostics_channel';
import type { ClientRequest } from 'node:http';

/** There was no answer. */
export class NoAnswer extends Error {
  override readonly name = 'NoAnswer';
  /** `ECONNREFUSED`, `deadline`, …: from a fixed list of words or Node's codes, never the library's own text. */
  readonly reason: string;

  constructor(reason: string) {
    super(`no answer (${reason})`);
    this.reason = reason;
  }
}

/** There is more than was asked for. */
export class TooLarge extends Error {
  override readonly name = 'TooLarge';
}

interface Attempt {
  over: boolean;
  readonly requests: Set<ClientRequest>;
}

const attempts = new AsyncLocalStorage<Attempt>();
let following = false;

function follow(): void {
  if (following) return;
  following = true;
  diagnostics.subscribe('http.client.request.created', (message) => {
    const attempt = attempts.getStore();
    if (attempt === undefined) return;
    const { request } = message as { request: ClientRequest };
    if (attempt.over) request.destroy();
    else attempt.requests.add(request);
  });
}

/**
 * Runs `work`, and ends its requests when nothing has moved for `within` milliseconds; `work` is given what says that
 * something has. Rejects with `NoAnswer` where it fails.
 */
export async function attempt<T>(within: number, work: (moved: () => void) => Promise<T>): Promise<T> {
  follow();
  const mine: Attempt = { over: false, requests: new Set() };
  const { promise: ended, reject } = Promise.withResolvers<never>();
  const timer = setTimeout(() => reject(new NoAnswer('deadline')), within);
  try {
    return await Promise.race([attempts.run(mine, () => work(() => timer.refresh())), ended]);
  } catch (error) {
    // What is under way goes on otherwise, and keeps its socket.
    for (const request of mine.requests) request.destroy();
    if (error instanceof NoAnswer || error instanceof TooLarge) throw error;
    throw new NoAnswer(codeOf(error));
  } finally {
    mine.over = true;
    clearTimeout(timer);
  }
}

/** Node's code of a failure, if it has one. */
export function codeOf(error: unknown): string {
  for (let one: unknown = error, depth = 0; one instanceof Error && depth < 5; one = one.cause, depth++) {
    if ('code' in one && typeof one.code === 'string' && /^[A-Z][A-Z0-9_]{2,40}$/.test(one.code)) return one.code;
  }
  return 'broken off';
}
