/** The requests that a child has not answered, by the ids that the child and the clients know. */
import type { ClientMessage } from '../mcp/message.ts';
import type { Names } from './client-message.ts';
import type { ClientStream } from './client-stream.ts';
import { StdioFailure } from './failure.ts';
import { keyOf } from './server-message.ts';

const MOST = 256;

export interface OpenRequest {
  readonly message: ClientMessage;
  readonly names: Names;
  /** The number under which the child knows it and its token; none where the child knows the client's own. */
  readonly serial: number | undefined;
  /** Gone when its client is. */
  stream: ClientStream | undefined;
}

export interface OpenRequests {
  nextSerial(): number;
  /** Throws `id_in_use` and `child_busy`. */
  add(one: OpenRequest): void;
  /** False where it is open no more. */
  remove(one: OpenRequest): boolean;
  has(one: OpenRequest): boolean;
  /** By the id that the child knows. */
  known(key: string | undefined): OpenRequest | undefined;
  /** By the id that its client knows; none where several clients use it. */
  named(key: string): OpenRequest | undefined;
  /** By the progress token that the child knows. */
  withToken(key: string): OpenRequest | undefined;
  /** The stream for a message that names no request: that of the only request, if there is only one. */
  only(): ClientStream | undefined;
  newest(): ClientStream | undefined;
  /** How many there are, and how many of them a client still waits for. */
  size(): number;
  attached(): number;
  takeAll(): OpenRequest[];
}

/** A handshake's stream takes nothing before its answer, and a subscription's nothing that is not of it. */
export function takesOthers({ message, stream }: OpenRequest): boolean {
  return stream?.many === true && message.method !== 'initialize' && message.method !== 'subscriptions/listen';
}

export function createOpenRequests(): OpenRequests {
  const open = new Map<string, OpenRequest>();
  // Read once a request: a server may say how far it is thousands of times.
  const tokens = new Map<OpenRequest, string>();
  let serial = 0;

  const keyFor = (one: OpenRequest): string => (one.serial === undefined ? clientKey(one) : String(one.serial));
  const all = (): OpenRequest[] => [...open.values()];
  const taking = (): ClientStream[] =>
    all().flatMap((one) => (one.stream?.isOpen && takesOthers(one) ? [one.stream] : []));
  const known = (key: string | undefined): OpenRequest | undefined => (key === undefined ? undefined : open.get(key));

  return {
    nextSerial: () => ++serial,
    add(one) {
      if (open.size >= MOST) throw new StdioFailure('child_busy');
      if (open.has(keyFor(one))) throw new StdioFailure('id_in_use');
      const token = tokenKey(one);
      if (token !== undefined) tokens.set(one, token);
      open.set(keyFor(one), one);
    },
    remove(one) {
      tokens.delete(one);
      return known(keyFor(one)) === one && open.delete(keyFor(one));
    },
    has: (one) => known(keyFor(one)) === one,
    known,
    named(key) {
      const found = all().filter((one) => clientKey(one) === key);
      return found.length === 1 ? found[0] : undefined;
    },
    withToken(key) {
      for (const [one, token] of tokens) if (token === key) return one;
      return undefined;
    },
    only() {
      const streams = taking();
      return streams.length === 1 ? streams[0] : undefined;
    },
    newest: () => taking().at(-1),
    size: () => open.size,
    attached: () => all().filter(({ stream }) => stream?.isOpen).length,
    takeAll() {
      const taken = all();
      open.clear();
      tokens.clear();
      return taken;
    },
  };
}

function clientKey({ message }: OpenRequest): string {
  return keyOf(message.id ?? '');
}

function tokenKey({ names, serial }: OpenRequest): string | undefined {
  if (names.token === undefined) return undefined;
  const token: unknown = JSON.parse(names.token.toString('utf8'));
  if (typeof token !== 'string' && typeof token !== 'number') return undefined;
  return serial === undefined ? keyOf(token) : String(serial);
}
