import { randomUUID } from 'node:crypto';
import { setTimeout as wait } from 'node:timers/promises';
import { crc32c as crc32cOf } from '../google-crc32c.ts';
import { bucketOf } from './bucket-name.ts';
import { NoAnswer, TooLarge } from './gcs-attempt.ts';
import { type Answer, createGcsClient, type GcsClient, type GcsClientOptions, NoCredentials } from './gcs-client.ts';
import { listPages } from './gcs-list.ts';
import { type Doing, mayGoBetter, refusal, saidIn, saysNoBucket } from './gcs-refusal.ts';
import { createRetry, type Ended, type Retrying, retryAfter } from './gcs-retry.ts';
import { CREATION, upload } from './gcs-upload.ts';
import { parseName } from './name.ts';
import type { Store } from './store.ts';
import { StoreError } from './store-error.ts';

export interface GcsTiming extends Retrying {
  /** Milliseconds that one attempt may take; a write has more, by its size. */
  readonly readWithin: number;
  readonly writeWithin: number;
}

/**
 * What a call may take: an outage is for the caller to wait out (the sealer does so for hours), a hiccup is not. A stop
 * waits for the calls under way, and a client for those of its state: with the last attempt they end within 20 s.
 */
const TIMING: GcsTiming = {
  budget: 10_000,
  readWithin: 4_000,
  writeWithin: 8_000,
  now: () => performance.now(),
  wait: (milliseconds) => wait(milliseconds),
  random: Math.random,
};
/** The slowest line that an upload is waited for on. */
const BYTES_PER_MS = 128;
/** No object of this gateway comes near it, and what is read is held whole. */
const MOST_BYTES = 256 * 1024 * 1024;

/**
 * A store in a bucket of Google Cloud Storage; `gs://BUCKET`. Needs `storage.objects.create` to create, `…get` to get and
 * `…list` to list, and nothing else of any bucket.
 *
 * Names are flat: `a` and `a/b` can both be, so there is no `name_conflict`. Throws `StoreError` `invalid_url`.
 */
export function createGcsStore(
  url: string,
  options: GcsClientOptions & { readonly timing?: Partial<GcsTiming> } = {},
): Store {
  const bucket = bucketOf(url);
  const client: GcsClient = createGcsClient(options);
  const timing: GcsTiming = { ...TIMING, ...options.timing };
  const retry: Readonly<Record<Doing, ReturnType<typeof createRetry>>> = {
    create: createRetry(timing),
    get: createRetry(timing),
    list: createRetry(timing),
  };
  const objects = `/storage/v1/b/${bucket}/o`;
  const pathOf = (name: string): string => `${objects}/${encodeURIComponent(name)}`;

  /** One attempt, with what every request has in common: no answer, and answers that are none to what was asked. */
  async function once<C, T>(
    doing: Doing,
    request: () => Promise<Answer<C>>,
    read: (answer: Answer<C>) => Ended<T> | Promise<Ended<T>>,
  ): Promise<Ended<T>> {
    let answer: Answer<C>;
    try {
      answer = await request();
    } catch (error) {
      return withoutAnswer(bucket, error);
    }
    if (!mayGoBetter(answer)) return read(answer);
    return {
      kind: 'again',
      error: refusal(bucket, doing, answer),
      after: retryAfter(answer.headers['retry-after'], Date.now()),
    };
  }

  const failed = (doing: Doing, answer: Answer<unknown>): Ended<never> => ({
    kind: 'failed',
    error: refusal(bucket, doing, answer),
  });

  /**
   * Whether the object that is there is the one of this very call: an attempt may have created it whose answer was lost,
   * or that arrived twice. `first`: no attempt came before.
   */
  function whose(name: string, creation: string, first: boolean): Promise<Ended<'created' | 'exists'>> {
    const path = `${pathOf(name)}?fields=metadata`;
    return once<unknown, 'created' | 'exists'>(
      'get',
      () => client.ask(path, { within: timing.readWithin }),
      (answer) => {
        // Who may create and not read knows of the first attempt alone. A later one meets what the first has stored, but
        // for a rare chance: `exists` must be true, since who owns its names alone stops at it.
        if (answer.status === 401 || answer.status === 403) {
          return { kind: 'done', value: first ? 'exists' : 'created' };
        }
        if (answer.status === 200) {
          return { kind: 'done', value: creationOf(answer.content) === creation ? 'created' : 'exists' };
        }
        // Gone since; the next attempt finds out.
        if (answer.status === 404) return { kind: 'again', error: refusal(bucket, 'create', answer) };
        return failed('get', answer);
      },
    );
  }

  async function create(name: string, bytes: Uint8Array): Promise<'created' | 'exists'> {
    parseName(name);
    // Copied before the first await: the caller may reuse its buffer, and each attempt sends these very bytes.
    const copy = Buffer.from(bytes);
    const creation = randomUUID();
    const crc32c = sumOf(copy);
    const { path, post } = upload({ bucket, name, bytes: copy, crc32c, creation });
    const within = timing.writeWithin + copy.byteLength / BYTES_PER_MS;
    let attempts = 0;
    return retry.create(() =>
      once<unknown, 'created' | 'exists'>(
        'create',
        () => {
          attempts++;
          return client.ask(path, { within, post });
        },
        (answer) => {
          if (answer.status === 200) {
            // Another sum is not Google's answer to these bytes. The next attempt finds out what is stored.
            return statedIn(answer.content) === crc32c
              ? { kind: 'done', value: 'created' }
              : { kind: 'again', error: garbled(bucket) };
          }
          if (answer.status === 412 || isThere(answer)) return whose(name, creation, attempts === 1);
          // The bytes were changed on their way.
          if (answer.status === 400 && /CRC32C/i.test(saidIn(answer).message)) {
            return { kind: 'again', error: garbled(bucket) };
          }
          return failed('create', answer);
        },
      ),
    );
  }

  async function get(name: string): Promise<Uint8Array | undefined> {
    parseName(name);
    const path = `${pathOf(name)}?alt=media`;
    return retry.get(() =>
      once<Buffer, Uint8Array | undefined>(
        'get',
        () => client.download(path, { within: timing.readWithin, most: MOST_BYTES }),
        (answer) => {
          if (answer.status === 404 && !saysNoBucket(answer)) return { kind: 'done', value: undefined };
          if (answer.status !== 200) return failed('get', answer);
          const stated = /(?:^|,)\s*crc32c=([^,\s]+)/.exec(answer.headers['x-goog-hash'] ?? '')?.[1];
          // Without the sum nobody could tell half an object from a whole one.
          if (stated === undefined || stated !== sumOf(answer.content)) {
            return { kind: 'again', error: garbled(bucket) };
          }
          return { kind: 'done', value: new Uint8Array(answer.content) };
        },
      ),
    );
  }

  const list: Store['list'] = (prefix, listed = {}) =>
    listPages(prefix, listed, (query) =>
      retry.list(() =>
        once<unknown, unknown>(
          'list',
          () => client.ask(`${objects}?${query}`, { within: timing.readWithin }),
          (answer) => (answer.status === 200 ? { kind: 'done', value: answer.content } : failed('list', answer)),
        ),
      ),
    );

  return { url, create, get, list };
}

/**
 * Google says so by 412. Where the identity may not overwrite, and it should not be able to, that may come first: only an
 * object that is there takes `delete` to create, or has a retention that forbids it.
 */
function isThere(answer: Answer<unknown>): boolean {
  if (answer.status !== 403) return false;
  const { message, reasons } = saidIn(answer);
  return /storage\.objects\.delete\b/.test(message) || reasons.includes('retentionPolicyNotMet');
}

function withoutAnswer(bucket: string, error: unknown): Ended<never> {
  if (error instanceof NoCredentials) {
    const { message: reason, fix } = error;
    if (fix === undefined) {
      return {
        kind: 'again',
        error: new StoreError('unavailable', `Google gave no credentials for gs://${bucket}: ${reason}.`),
      };
    }
    return {
      kind: 'failed',
      error: new StoreError('no_credentials', `No Google credentials for gs://${bucket}: ${reason}. ${fix}`),
    };
  }
  if (error instanceof TooLarge) {
    return {
      kind: 'failed',
      error: new StoreError('io', `An object in gs://${bucket} is larger than any of Verbatim's.`),
    };
  }
  if (!(error instanceof NoAnswer)) throw error;
  const words = `gs://${bucket} could not be reached (${error.reason}). Look at the network of this machine.`;
  return { kind: 'again', error: new StoreError('unavailable', words) };
}

const garbled = (bucket: string): StoreError =>
  new StoreError('io', `What was exchanged with gs://${bucket} arrived changed: its CRC-32C is another.`);

/** CRC-32C as Google writes it: base64 of four bytes, the highest first. */
function sumOf(bytes: Uint8Array): string {
  const sum = Buffer.alloc(4);
  sum.writeUInt32BE(crc32cOf(bytes));
  return sum.toString('base64');
}

function statedIn(content: unknown): unknown {
  return typeof content === 'object' && content !== null && 'crc32c' in content ? content.crc32c : undefined;
}

function creationOf(content: unknown): unknown {
  if (typeof content !== 'object' || content === null || !('metadata' in content)) return undefined;
  const { metadata } = content;
  return typeof metadata === 'object' && metadata !== null && CREATION in metadata ? metadata[CREATION] : undefined;
}
