import type { IncomingHttpHeaders } from 'node:http';
import type { Access } from './access.ts';
import type { Bucket } from './bucket.ts';
import { noSuchBucket } from './error.ts';
import type { Sessions } from './resumable.ts';
import type { Call } from './route.ts';

/** What the operations act on. */
export interface World {
  base(): string;
  readonly buckets: Map<string, Bucket>;
  readonly access: Access;
  readonly sessions: Sessions;
  createBucket(name: string, now: number): Bucket;
  /** Refuse to replace for want of `storage.objects.delete` before a precondition is looked at, not after. */
  readonly accessBeforePreconditions: boolean;
  /** When each name was last written, where the limit of one write a second is on. */
  readonly lastWrites: Map<string, number> | undefined;
}

export interface Request {
  readonly call: Call;
  readonly identity: string;
  readonly headers: IncomingHttpHeaders;
  readonly body: Buffer;
  /** False: the connection broke, or a fault ends it, inside the body. */
  readonly whole: boolean;
  readonly now: number;
  /** The most names that a page may have. */
  readonly pageLimit: number | undefined;
}

export interface Answer {
  readonly status: number;
  readonly headers?: Readonly<Record<string, string>>;
  readonly json?: unknown;
  readonly bytes?: Buffer;
}

export type Operate = (world: World, request: Request) => Answer;

export function bucketOf(world: World, name: string): Bucket {
  const bucket = world.buckets.get(name);
  if (bucket === undefined) throw noSuchBucket();
  return bucket;
}
