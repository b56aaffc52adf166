/**
 * A connection's upstream: one pool of sockets to one origin, whose addresses are resolved, checked and pinned in the
 * same step, and the credentials that only the gateway holds.
 */
import type { LookupAddress } from 'node:dns';
import { isDeepStrictEqual } from 'node:util';
import { type Dispatcher, Pool } from 'undici';
import type { Config, ConnectionConfig } from '../config.ts';
import { type ErrorCode, GatewayError } from '../errors.ts';
import { createGoogleApi } from '../google-api.ts';
import type { GoogleIdentity } from '../google-identity.ts';
import { createGoogleSecrets } from '../google-secret.ts';
import { readReferenced } from '../secret-ref.ts';
import { createPinnedLookup } from './address.ts';
import { type Credential, type CredentialOwner, createCredentials } from './credential.ts';
import type { CredentialFetch } from './credential-fetch.ts';
import type { UserCredentials } from './credential-user.ts';
import { createPlaces, type Places } from './places.ts';

export interface Upstream {
  readonly connection: ConnectionConfig;
  /**
   * The credential for who is in these groups: of the first entry of `credentialByGroup` that names one of them, else
   * the connection's. The same object for the same credential, unless it is each person's own.
   */
  credentialFor(owner: CredentialOwner): Credential;
  readonly dispatcher: Dispatcher;
  /** One for each of its sockets: to be taken before anything is dispatched. */
  readonly places: Places;
  /** Lets exchanges under way end, then closes the sockets. Tokens are fetched no more from the moment it is called. */
  close(): Promise<void>;
}

export interface UpstreamDeps {
  readonly now: () => number;
  readonly google: Config['google'];
  /** In the place of DNS. */
  readonly resolve?: (hostname: string) => Promise<LookupAddress[]>;
  /** Default: the process's own. */
  readonly identity?: GoogleIdentity;
  readonly fetch?: CredentialFetch;
  /** A refresh that no call waits for has failed; the credential before it is still in use. */
  readonly refreshFailed?: (error: unknown) => void;
  /** Absent: nobody has a credential of their own here. */
  readonly userCredentials?: UserCredentials | undefined;
}

/** An upstream's header block; an answer's, so not the client's limit. */
const MOST_HEADER_BYTES = 64 * 1024;

/** Throws `credential_unavailable` where the certificate authority can not be read. Opens no socket yet. */
export async function openUpstream(connection: ConnectionConfig, deps: UpstreamDeps): Promise<Upstream> {
  const { upstream, limits } = connection;
  const secrets = createGoogleSecrets(createGoogleApi(deps));
  const ca = upstream.ca === undefined ? undefined : await readReferenced(upstream.ca, { secrets });
  const pool = new Pool(upstream.url, {
    connections: upstream.connections,
    pipelining: 1,
    headersTimeout: limits.firstByte,
    bodyTimeout: limits.idleStream,
    maxHeaderSize: MOST_HEADER_BYTES,
    // undici gives an HTTP/2 answer's headers parsed, not as they came: allow-list and recording would miss them.
    allowH2: false,
    connect: {
      timeout: upstream.connectTimeout,
      lookup: createPinnedLookup(upstream.allowAddresses, deps.resolve),
      ...(ca === undefined ? {} : { ca }),
    },
  });
  const closing = new AbortController();
  const credentialFor = chooseCredential(connection, (config) =>
    createCredentials(config, connection, { ...deps, closed: closing.signal }),
  );
  return {
    connection,
    credentialFor,
    dispatcher: pool,
    places: createPlaces(upstream.connections),
    async close() {
      closing.abort();
      await pool.close();
    },
  };
}

function chooseCredential(
  { credential, credentialByGroup }: ConnectionConfig,
  create: (config: ConnectionConfig['credential']) => (owner: CredentialOwner) => Credential,
): Upstream['credentialFor'] {
  const made: { config: ConnectionConfig['credential']; credential: (owner: CredentialOwner) => Credential }[] = [];
  const entries = [...credentialByGroup, { groups: undefined, credential }].map((entry) => {
    const there = made.find(({ config }) => isDeepStrictEqual(config, entry.credential));
    const one = there ?? { config: entry.credential, credential: create(entry.credential) };
    if (there === undefined) made.push(one);
    return { groups: entry.groups, credential: one.credential };
  });
  return (owner) => {
    const { groups } = owner;
    const found = entries.find(
      (entry) => entry.groups === undefined || entry.groups.some((one) => groups.includes(one)),
    );
    // The last entry has no groups, so there is always one.
    if (found === undefined) throw new GatewayError('credential_unavailable');
    return found.credential(owner);
  };
}

/**
 * What an error of undici or of the socket says of the call. `sent` is whether the request had begun to go out: before
 * that nothing happened upstream, after it nobody knows. Its cause holds what `reachReason` says, and nothing else: an
 * error of the library could hold bytes of the answer.
 */
export function upstreamError(error: unknown, sent: boolean): GatewayError {
  const found = chainOf(error);
  const ours = found.find((one): one is GatewayError => one instanceof GatewayError);
  const fate = sent ? 'outcome_withheld' : 'not_forwarded';
  if (ours !== undefined) {
    return new GatewayError(ours.code, sent ? 'outcome_withheld' : ours.fate, ours.detail, { cause: ours.cause });
  }
  const codes = found.map(codeOf).filter((code) => code !== undefined);
  const has = (pattern: RegExp): boolean => codes.some((code) => pattern.test(code));
  const reason = reachReason(error);
  const failed = (code: ErrorCode): GatewayError =>
    new GatewayError(code, fate, undefined, reason === undefined ? {} : { cause: new ReachFailure(reason) });
  if (has(/^UND_ERR_(HEADERS|BODY)_TIMEOUT$/)) return failed('upstream_timeout');
  if (has(/^(ERR_TLS|ERR_SSL|CERT_|UNABLE_TO|DEPTH_ZERO|SELF_SIGNED|EPROTO|HOSTNAME_MISMATCH)/)) {
    return failed('upstream_tls');
  }
  return failed(sent ? 'upstream_broken' : 'upstream_unreachable');
}

/** Why an upstream was not reached, in words that may be logged. */
class ReachFailure extends Error {
  override readonly name = 'ReachFailure';
}

/** What codes of Node leave open: each for an answer that is no TLS, or for a certificate that is not accepted. */
const CODE_WORDS: readonly (readonly [RegExp, string])[] = [
  [/^(ERR_SSL_(WRONG_VERSION_NUMBER|PACKET_LENGTH_TOO_LONG)|EPROTO)$/, 'the answer is no TLS: is it http://?'],
  [/^HPE_/, 'the answer is no HTTP: is it https://?'],
  [/^(UND_ERR_SOCKET|ECONNRESET)$/, 'the server closed the connection'],
  [/^CERT_HAS_EXPIRED$/, 'its certificate has expired'],
  [/^ERR_TLS_CERT_ALTNAME_INVALID$/, 'its certificate is for another host'],
  [/^(CERT_|UNABLE_TO_|DEPTH_ZERO_|SELF_SIGNED_)/, 'its certificate is not trusted: see `upstream.ca`'],
];

/**
 * Why an upstream was not reached: `ECONNREFUSED 127.0.0.1:19`, `ENOTFOUND orders.internal`, `CERT_HAS_EXPIRED (…)`.
 * For the log and for who runs the gateway. Made of Node's code, host and port alone: what a library or a server says
 * could hold headers. `undefined` where there is no code.
 */
export function reachReason(error: unknown): string | undefined {
  const found = chainOf(error);
  const kept = found.find((one) => one instanceof ReachFailure);
  if (kept !== undefined) return kept.message;
  const reasons = new Set(found.map(reasonOf).filter((reason) => reason !== undefined));
  // A summary of several attempts has their code and no address.
  const telling = [...reasons].filter((one) => ![...reasons].some((other) => other.startsWith(`${one} `)));
  return telling.length === 0 ? undefined : telling.slice(0, 3).join(', ');
}

function reasonOf(error: object): string | undefined {
  const code = codeOf(error);
  if (code === undefined || !/^[A-Z][A-Z0-9_]{1,60}$/.test(code)) return undefined;
  const { address, hostname, port } = error as { address?: unknown; hostname?: unknown; port?: unknown };
  const host = [address, hostname].find((one) => typeof one === 'string' && /^[A-Za-z0-9._:-]{1,253}$/.test(one));
  const words = CODE_WORDS.find(([pattern]) => pattern.test(code))?.[1];
  if (host === undefined) return words === undefined ? code : `${code} (${words})`;
  const bare = String(host).includes(':') ? `[${host}]` : host;
  return typeof port === 'number' ? `${code} ${bare}:${port}` : `${code} ${bare}`;
}

function codeOf(error: object): string | undefined {
  const { code } = error as { code?: unknown };
  return typeof code === 'string' ? code : undefined;
}

function chainOf(error: unknown): object[] {
  const found: object[] = [];
  const add = (one: unknown): void => {
    if (typeof one !== 'object' || one === null || found.includes(one) || found.length > 10) return;
    found.push(one);
    add((one as { cause?: unknown }).cause);
    const { errors } = one as { errors?: unknown };
    if (Array.isArray(errors)) for (const inner of errors) add(inner);
  };
  add(error);
  return found;
}
