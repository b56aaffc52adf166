/**
 * Sends a webhook. Its address is a person's: it reaches public and private addresses, each looked up once and then
 * connected to, and this machine where it is written so; it follows nothing, reads next to nothing of the answer, and ends
 * in time whatever the other side does.
 */
import type { LookupAddress } from 'node:dns';
import { Client } from 'undici';
import { GatewayError } from './errors.ts';
import { type AllowableAddress, classifyHost, createPinnedLookup, mayConnect } from './proxy/address.ts';

/** Rejects with a `GatewayError` that holds no address: of chat rooms it is the secret. */
export type WebhookPost = (
  url: string,
  headers: Record<string, string>,
  body: string,
) => Promise<{ readonly status: number }>;

/** Milliseconds for all of it. */
const DEADLINE = 10_000;
const MOST_ANSWER_BYTES = 4096;

/** All of `network` is for tests. */
export function createWebhookPost(
  network: {
    readonly allow?: readonly AllowableAddress[];
    readonly resolve?: (hostname: string) => Promise<readonly LookupAddress[]>;
    readonly deadline?: number;
    readonly ca?: string;
  } = {},
): WebhookPost {
  const { resolve, deadline = DEADLINE, ca } = network;

  return async (url, headers, body) => {
    const allow = allowedFor(url, network.allow ?? []);
    const target = checkedTarget(url, allow);
    const signal = AbortSignal.timeout(deadline);
    // A client of its own: nothing of one receiver is shared with another, and no socket outlives the request.
    const client = new Client(target.origin, {
      allowH2: false,
      pipelining: 0,
      maxHeaderSize: 16 * 1024,
      connect: { signal, timeout: 0, lookup: createPinnedLookup(allow, resolve), ...(ca === undefined ? {} : { ca }) },
    });
    try {
      const request = client.request({
        method: 'POST',
        path: target.pathname + target.search,
        headers: { ...headers, 'accept-encoding': 'identity', 'user-agent': 'verbatim' },
        body,
        signal,
      });
      const answer = await within(signal, request);
      // What it says is nothing to us, and how long it says it is not to matter.
      await within(signal, answer.body.dump({ limit: MOST_ANSWER_BYTES })).catch(() => {});
      return { status: answer.statusCode };
    } catch (error) {
      throw wordless(error, signal);
    } finally {
      await client.destroy();
    }
  };
}

/** Who writes this machine's own address means it; a name that resolves to it is somebody else's word. */
function allowedFor(url: string, allow: readonly AllowableAddress[]): readonly AllowableAddress[] {
  const isHere = URL.canParse(url) && classifyHost(new URL(url).hostname) === 'loopback';
  return isHere ? [...allow, 'loopback'] : allow;
}

function checkedTarget(url: string, allow: readonly AllowableAddress[]): URL {
  const target = URL.canParse(url) ? new URL(url) : undefined;
  if (target === undefined || target.username !== '' || target.password !== '') {
    throw new GatewayError('upstream_address_refused');
  }
  const kind = classifyHost(target.hostname);
  // Node looks no literal up, so it is checked here.
  if (kind !== undefined && !mayConnect(kind, allow)) throw new GatewayError('upstream_address_refused');
  if (target.protocol !== 'https:' && !(target.protocol === 'http:' && kind === 'loopback')) {
    throw new GatewayError('upstream_address_refused');
  }
  return target;
}

/** A resolver heeds no signal. */
function within<T>(signal: AbortSignal, work: Promise<T>): Promise<T> {
  return new Promise((done, failed) => {
    const late = () => failed(new GatewayError('upstream_timeout'));
    if (signal.aborted) late();
    signal.addEventListener('abort', late, { once: true });
    work.then(done, failed).finally(() => signal.removeEventListener('abort', late));
  });
}

/** undici's words name host and port. */
function wordless(error: unknown, signal: AbortSignal): GatewayError {
  if (signal.aborted) return new GatewayError('upstream_timeout');
  if (error instanceof GatewayError) return error;
  return new GatewayError('upstream_unreachable');
}
