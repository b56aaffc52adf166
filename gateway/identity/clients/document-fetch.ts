/**
 * One request to an address that a stranger chose. It carries nothing, follows nothing, reaches public addresses alone,
 * and ends in time whatever the other side does.
 */
import { lookup as dnsLookup, type LookupAddress } from 'node:dns';
import { Client } from 'undici';
import { parseJson } from '../../mcp/parse.ts';
import { type AddressClass, classifyAddress } from '../../proxy/address.ts';

/** Why there is no document. For the log; whoever asked for it is not told. */
export type DocumentFailure =
  | 'unresolved'
  | 'address_refused'
  | 'unreachable'
  | 'too_slow'
  | 'redirected'
  | 'not_found'
  | 'media_type'
  | 'too_large'
  | 'not_acceptable'
  | 'too_many';

export class DocumentUnavailable extends Error {
  override readonly name = 'DocumentUnavailable';
  readonly failure: DocumentFailure;

  constructor(failure: DocumentFailure, options?: ErrorOptions) {
    super(`The client's metadata document could not be read: ${failure}.`, options);
    this.failure = failure;
  }
}

export interface FetchedDocument {
  readonly json: unknown;
  /** Seconds, by the answer's own Cache-Control; undefined where it does not say. */
  readonly maxAge: number | undefined;
}

/**
 * Throws `DocumentUnavailable`, latest when `signal` says so. `released` settles when nothing of the fetch is left, which
 * may be later.
 */
export type DocumentFetch = (
  url: URL,
  signal: AbortSignal,
) => { readonly done: Promise<FetchedDocument>; readonly released: Promise<void> };

/** The network, as tests replace it. */
export interface DocumentNetwork {
  readonly resolve?: (hostname: string) => Promise<readonly LookupAddress[]>;
  readonly mayReach?: (kind: AddressClass) => boolean;
  readonly tls?: { readonly ca: string; readonly servername: string };
}

/** Documents of today have less than 1 KiB, key sets less than 4. */
export const MOST_DOCUMENT_BYTES = 16 * 1024;

export function createDocumentFetch(network: DocumentNetwork = {}): DocumentFetch {
  const { resolve = resolveBySystem, mayReach = (kind) => kind === 'public', tls = {} } = network;

  return (url, signal) => {
    // The system's resolver can't be told to stop: it is waited for below, and what it says then is not used.
    const resolving = resolve(url.hostname);
    const done = checkedAddresses(within(signal, resolving), mayReach).then((addresses) =>
      get(url, addresses, tls, signal),
    );
    const released = Promise.allSettled([resolving, done]).then(() => {});
    return { done, released };
  };
}

async function checkedAddresses(
  resolving: Promise<readonly LookupAddress[]>,
  mayReach: (kind: AddressClass) => boolean,
): Promise<readonly LookupAddress[]> {
  const found = await resolving.catch((cause: unknown) => {
    throw cause instanceof DocumentUnavailable ? cause : new DocumentUnavailable('unresolved', { cause });
  });
  if (found.length === 0) throw new DocumentUnavailable('unresolved');
  // One refused address refuses the name, as for upstreams: a mixed answer is an attack or a mistake.
  if (!found.every((one) => mayReach(classifyAddress(one.address)))) throw new DocumentUnavailable('address_refused');
  return found;
}

async function get(
  url: URL,
  addresses: readonly LookupAddress[],
  tls: { readonly ca?: string; readonly servername?: string },
  signal: AbortSignal,
): Promise<FetchedDocument> {
  // A client of its own: no socket is shared with anything else, and none outlives the request. What was checked is what
  // is connected to: the name is not resolved again.
  const client = new Client(url.origin, {
    allowH2: false,
    pipelining: 0,
    maxHeaderSize: 16 * 1024,
    connect: {
      ...tls,
      // Ends the socket whatever it is at; a request's own signal is not heeded before it is connected.
      signal,
      timeout: 0,
      lookup: (_hostname, options, callback) => handOut(addresses, options, callback),
    },
  });
  try {
    const answer = await within(
      signal,
      client.request({
        method: 'GET',
        path: url.pathname,
        headers: { accept: 'application/json', 'accept-encoding': 'identity', 'user-agent': 'verbatim' },
      }),
    );
    refuseUnfit(answer.statusCode, answer.headers);
    const bytes = await within(signal, readAtMost(answer.body));
    return { json: parsed(bytes), maxAge: maxAgeOf(answer.headers['cache-control']) };
  } catch (cause) {
    throw cause instanceof DocumentUnavailable ? cause : new DocumentUnavailable('unreachable', { cause });
  } finally {
    await client.destroy();
  }
}

type Answer = (error: Error | null, address: string | LookupAddress[], family?: number) => void;

function handOut(addresses: readonly LookupAddress[], options: { all?: boolean | undefined }, callback: unknown): void {
  const answer = callback as Answer;
  const [first] = addresses;
  if (options.all === true) answer(null, [...addresses]);
  else if (first !== undefined) answer(null, first.address, first.family);
}

/** A resolver heeds no signal, and undici says of a socket that was ended by one only that it was ended. */
function within<T>(signal: AbortSignal, work: Promise<T>): Promise<T> {
  return new Promise((done, failed) => {
    const late = () => failed(new DocumentUnavailable('too_slow'));
    if (signal.aborted) late();
    signal.addEventListener('abort', late, { once: true });
    work
      .then(done, (error) => failed(signal.aborted ? new DocumentUnavailable('too_slow') : error))
      .finally(() => {
        signal.removeEventListener('abort', late);
      });
  });
}

type Headers = Readonly<Record<string, string | string[] | undefined>>;

function refuseUnfit(status: number, headers: Headers): void {
  // The document's address is the client's name: where it is said to be elsewhere, it is another client's.
  if (status >= 300 && status < 400) throw new DocumentUnavailable('redirected');
  if (status === 404 || status === 410) throw new DocumentUnavailable('not_found');
  // Of nothing else is said what it means for the document: a proxy's challenge, an outage, too many requests.
  if (status !== 200) throw new DocumentUnavailable('unreachable');
  const type =
    String(headers['content-type'] ?? '')
      .split(';')[0]
      ?.trim()
      .toLowerCase() ?? '';
  if (!/^application\/([a-z0-9.-]+\+)?json$/.test(type)) throw new DocumentUnavailable('media_type');
  if (!/^(identity)?$/i.test(String(headers['content-encoding'] ?? ''))) throw new DocumentUnavailable('media_type');
}

async function readAtMost(body: AsyncIterable<Buffer>): Promise<Buffer> {
  const chunks: Buffer[] = [];
  let length = 0;
  for await (const chunk of body) {
    length += chunk.length;
    if (length > MOST_DOCUMENT_BYTES) throw new DocumentUnavailable('too_large');
    chunks.push(chunk);
  }
  return Buffer.concat(chunks);
}

function parsed(bytes: Buffer): unknown {
  try {
    return parseJson(Buffer.from(new TextDecoder('utf-8', { fatal: true }).decode(bytes)));
  } catch {
    // Its words could repeat the body.
    throw new DocumentUnavailable('not_acceptable');
  }
}

/** RFC 9111, section 5.2.2. `no-store` and `no-cache` are an age of nothing. */
function maxAgeOf(header: string | string[] | undefined): number | undefined {
  const directives = String(header ?? '')
    .toLowerCase()
    .split(',')
    .map((one) => one.trim());
  if (directives.some((one) => one === 'no-store' || one === 'no-cache')) return 0;
  const age = directives.map((one) => /^max-age="?(\d{1,9})"?$/.exec(one)?.[1]).find((one) => one !== undefined);
  return age === undefined ? undefined : Number(age);
}

function resolveBySystem(hostname: string): Promise<LookupAddress[]> {
  return new Promise((done, failed) => {
    dnsLookup(hostname, { all: true, order: 'verbatim' }, (error, found) => (error ? failed(error) : done(found)));
  });
}
