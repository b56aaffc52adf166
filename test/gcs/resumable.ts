import { randomBytes } from 'node:crypto';
import { GcsError, invalid } from './error.ts';
import type { Stated } from './multipart.ts';

/** An upload that is under way. Not an object: nobody sees it, and no policy keeps it. */
export interface Session {
  readonly id: string;
  readonly bucket: string;
  readonly name: string;
  readonly stated: Stated;
  /** Preconditions and the like, as the first request had them. */
  readonly query: URLSearchParams;
  /** Who began it. The address is a capability: chunks need no token. */
  readonly identity: string;
  received: Buffer;
  state: { kind: 'open' } | { kind: 'done'; answer: unknown } | { kind: 'cancelled' };
}

export interface Sessions {
  start(begun: Pick<Session, 'bucket' | 'name' | 'stated' | 'query' | 'identity'>): Session;
  find(id: string | null): Session;
}

export function createSessions(): Sessions {
  const sessions = new Map<string, Session>();
  return {
    start(begun) {
      const id = randomBytes(48).toString('base64url');
      const session: Session = { ...begun, id, received: Buffer.alloc(0), state: { kind: 'open' } };
      sessions.set(id, session);
      return session;
    },
    find(id) {
      const session = sessions.get(id ?? '');
      if (session === undefined) throw new GcsError(404, 'notFound', 'No such upload.');
      if (session.state.kind === 'cancelled') throw new GcsError(499, 'cancelled', 'Client Closed Request');
      return session;
    },
  };
}

/** Only whole units of 256 KiB are kept of a chunk that is not the last one. */
const UNIT = 256 * 1024;

/**
 * Takes in a chunk; true when it was the last. `whole` is false where the connection broke inside the chunk: then what
 * came counts as far as it goes, but nothing is finished by it.
 */
export function receive(session: Session, contentRange: string | undefined, body: Buffer, whole: boolean): boolean {
  const { from, total } = rangeOf(contentRange, body.length);
  if (from > session.received.length) throw new GcsError(503, 'backendError', 'Chunk is ahead of what was received.');
  const bytes = Buffer.concat([session.received.subarray(0, from), body]);
  const known = bytes.length > session.received.length ? bytes : session.received;
  // A range without an end (`bytes 0-*/*`) is what streaming clients send: the request's end is the object's.
  const last =
    whole &&
    (total === undefined ? (contentRange ?? '').includes('-*') || contentRange === undefined : known.length === total);
  if (total !== undefined && known.length > total) throw invalid('More bytes than the upload was said to have.');
  session.received = last ? known : known.subarray(0, Math.floor(known.length / UNIT) * UNIT);
  return last;
}

function rangeOf(header: string | undefined, length: number): { from: number; total: number | undefined } {
  if (header === undefined) return { from: 0, total: length };
  const [, first, last, size] = /^bytes (\d{1,15})-(\d{1,15}|\*)\/(\d{1,15}|\*)$/.exec(header) ?? [];
  if (first === undefined || last === undefined || size === undefined) throw invalid('Invalid Content-Range.');
  return { from: Number(first), total: size === '*' ? undefined : Number(size) };
}
