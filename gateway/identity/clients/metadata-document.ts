/**
 * Clients whose id is the address of a document about them (Client ID Metadata Documents). The gateway reads documents
 * of listed hosts alone, and keeps what it read, so that a flood of logins is no flood of requests to them.
 *
 * This is not oidc-provider's own reading of such documents: its guard looks at an address after having connected to it
 * and is gone where the process has another dispatcher, and it forgets failures.
 */
import { keepNewest } from '../../keep-newest.ts';
import type { ProviderClient } from './client.ts';
import { documentAddress } from './document-address.ts';
import {
  createDocumentFetch,
  type DocumentFailure,
  type DocumentNetwork,
  DocumentUnavailable,
  type FetchedDocument,
} from './document-fetch.ts';
import { readPublicKeys } from './public-keys.ts';
import { createBuckets } from './rate.ts';
import { readDocument } from './read-document.ts';

export interface MetadataDocuments {
  /** The client, or undefined, whatever the reason. Nothing is fetched for an id that can't be one of a listed host. */
  find(clientId: string): Promise<ProviderClient | undefined>;
}

export interface MetadataDocumentsDeps {
  /** `login.clientMetadataHosts`. */
  readonly hosts: readonly string[];
  /** `login.redirectHosts`. */
  readonly redirectHosts: readonly string[];
  /** Milliseconds since the epoch. */
  readonly now: () => number;
  /** A document of a listed host could not be read, or was not acceptable. For the log and the record. */
  readonly failed?: (host: string, failure: DocumentFailure) => void;
  /** Default: the system's, public addresses alone. */
  readonly network?: DocumentNetwork;
  /** Milliseconds for all that belongs to one client: names, connections, TLS, answers. */
  readonly deadline?: number;
}

const MINUTE = 60_000;
const DEADLINE_MS = 3000;
const SHORTEST_KEPT = 5 * MINUTE;
const LONGEST_KEPT = 24 * 60 * MINUTE;
/** Keys that were fetched besides the document change without it. */
const LONGEST_KEPT_KEYS = 60 * MINUTE;
const FAILURE_KEPT = MINUTE;
const MOST_KEPT = 1000;
/** What a flood of made-up addresses can hold leaves room for clients that are known. */
const MOST_AT_ONCE = 4;
const MOST_UNKNOWN_AT_ONCE = 2;
/** Per host, for addresses that never gave a document: anybody can name endless ones on a listed host. */
const UNKNOWN = { perMinute: 30, burst: 30, overall: 120 };

/** Failures that are not the document's word. */
const SAYS_NOTHING: ReadonlySet<DocumentFailure> = new Set(['unresolved', 'unreachable', 'too_slow', 'too_many']);

interface Kept {
  /** Absent: it could not be read. */
  readonly client?: ProviderClient;
  readonly readAt: number;
  readonly until: number;
}

export function createMetadataDocuments(deps: MetadataDocumentsDeps): MetadataDocuments {
  const { hosts, redirectHosts, now, failed = () => {}, deadline = DEADLINE_MS } = deps;
  const fetch = createDocumentFetch(deps.network);
  const rate = createBuckets({ ...UNKNOWN, now });
  const good = new Map<string, Kept>();
  const bad = new Map<string, Kept>();
  const pending = new Map<string, Promise<ProviderClient | undefined>>();
  let running = 0;

  async function read(url: URL, get: (url: URL) => Promise<FetchedDocument>): Promise<Required<Kept>> {
    const fetched = await get(url);
    const found = readDocument(url, fetched.json, redirectHosts);
    if (found === undefined) throw new DocumentUnavailable('not_acceptable');
    const readAt = now();
    const until = readAt + keptFor(fetched.maxAge);
    if ('client' in found) return { client: found.client, readAt, until };
    // Fetched here, with the same guard, so that oidc-provider never fetches what a stranger's document names.
    const keysUrl = documentAddress(found.jwksUri, [url.host]);
    const keys = keysUrl === undefined ? undefined : readPublicKeys((await get(keysUrl)).json);
    if (keys === undefined) throw new DocumentUnavailable('not_acceptable');
    return { client: found.clientWith(keys), readAt, until: Math.min(until, readAt + LONGEST_KEPT_KEYS) };
  }

  /** Holds a place until nothing of the fetches is left, even where they were given up. */
  async function readInPlace(url: URL): Promise<Required<Kept>> {
    const known = good.has(url.href);
    if (running >= (known ? MOST_AT_ONCE : MOST_UNKNOWN_AT_ONCE)) throw new DocumentUnavailable('too_many');
    // A client that is known is read anew whatever strangers ask for meanwhile.
    if (!known && !rate.take(url.host)) throw new DocumentUnavailable('too_many');
    const signal = AbortSignal.timeout(deadline);
    const left: Promise<void>[] = [];
    running++;
    try {
      return await read(url, (one) => {
        const { done, released } = fetch(one, signal);
        left.push(released);
        return done;
      });
    } finally {
      Promise.all(left).then(() => running--);
    }
  }

  async function readAndKeep(url: URL): Promise<ProviderClient | undefined> {
    try {
      const kept = await readInPlace(url);
      keepNewest(good, url.href, kept, MOST_KEPT);
      return kept.client;
    } catch (error) {
      const failure = error instanceof DocumentUnavailable ? error.failure : 'unreachable';
      failed(url.host, failure);
      return afterFailure(url.href, failure);
    } finally {
      pending.delete(url.href);
    }
  }

  function afterFailure(id: string, failure: DocumentFailure): ProviderClient | undefined {
    const last = good.get(id);
    const end = SAYS_NOTHING.has(failure) && last !== undefined ? last.readAt + LONGEST_KEPT : 0;
    // That there was no place is not remembered: the next one may have one.
    if (last !== undefined && now() < end) {
      // Who is logged in stays so while the client's own site is down, no longer than it could have asked for.
      if (failure !== 'too_many')
        keepNewest(good, id, { ...last, until: Math.min(now() + FAILURE_KEPT, end) }, MOST_KEPT);
      return last.client;
    }
    if (failure === 'too_many') return undefined;
    good.delete(id);
    keepNewest(bad, id, { readAt: now(), until: now() + FAILURE_KEPT }, MOST_KEPT);
    return undefined;
  }

  return {
    async find(clientId) {
      const url = documentAddress(clientId, hosts);
      if (url === undefined) return undefined;
      for (const kept of [good.get(clientId), bad.get(clientId)]) {
        if (kept !== undefined && now() < kept.until) return kept.client;
      }
      const reading = pending.get(clientId) ?? readAndKeep(url);
      pending.set(clientId, reading);
      return reading;
    },
  };
}

function keptFor(maxAge: number | undefined): number {
  return Math.min(LONGEST_KEPT, Math.max(SHORTEST_KEPT, (maxAge ?? 0) * 1000));
}
