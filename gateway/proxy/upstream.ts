/**
 * A connection's upstream: one pool of sockets to one origin, whose addresses are resolved, checked and pinned in the
 * same step, and the credential that only the gateway holds.
 */
import { type Dispatcher, Pool } from 'undici';
import type { ConnectionConfig } from '../config.ts';
import { GatewayError } from '../errors.ts';
import { readReferenced, readSecret } from '../secret-ref.ts';
import { createPinnedLookup } from './address.ts';

export interface Upstream {
  readonly connection: ConnectionConfig;
  /** The credential's header and the version in use. Throws `credential_unavailable`. */
  credential(): Promise<{ headers: readonly (readonly [string, string])[]; version?: string }>;
  readonly dispatcher: Dispatcher;
  /** Lets exchanges under way end, then closes the sockets. */
  close(): Promise<void>;
}

/** A file or variable is read again after this, so that a rotated credential is used without a restart. */
const CREDENTIAL_MS = 10_000;
/** An upstream's header block; an answer's, so not the client's limit. */
const MOST_HEADER_BYTES = 64 * 1024;

export async function openUpstream(connection: ConnectionConfig, now: () => number): Promise<Upstream> {
  const { upstream, limits } = connection;
  const ca = upstream.ca === undefined ? undefined : await readReferenced(upstream.ca);
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
      lookup: createPinnedLookup(upstream.allowAddresses),
      ...(ca === undefined ? {} : { ca }),
    },
  });
  let cached: { at: number; reading: ReturnType<Upstream['credential']> } | undefined;

  async function readCredential(): ReturnType<Upstream['credential']> {
    const { credential } = connection;
    if ('none' in credential) return { headers: [] };
    const { value, version } = await readSecret('bearer' in credential ? credential.bearer : credential.value);
    return {
      headers: [
        'bearer' in credential ? ['authorization', `Bearer ${value}`] : [credential.header.toLowerCase(), value],
      ],
      version,
    };
  }

  return {
    connection,
    credential() {
      if (cached === undefined || now() - cached.at > CREDENTIAL_MS) {
        const reading = readCredential();
        cached = { at: now(), reading };
        reading.catch(() => {
          cached = undefined;
        });
      }
      return cached.reading;
    },
    dispatcher: pool,
    close: () => pool.close(),
  };
}

/**
 * What an error of undici or of the socket says of the call. `sent` is whether the request had begun to go out: before
 * that nothing happened upstream, after it nobody knows.
 */
export function upstreamError(error: unknown, sent: boolean): GatewayError {
  const found = chainOf(error);
  const ours = found.find((one): one is GatewayError => one instanceof GatewayError);
  const fate = sent ? 'outcome_withheld' : 'not_forwarded';
  if (ours !== undefined) return new GatewayError(ours.code, sent ? 'outcome_withheld' : ours.fate, ours.detail);
  const codes = found.map((one) => (one as { code?: unknown }).code).filter((code) => typeof code === 'string');
  const has = (pattern: RegExp): boolean => codes.some((code) => pattern.test(code));
  if (has(/^UND_ERR_(HEADERS|BODY)_TIMEOUT$/)) return new GatewayError('upstream_timeout', fate);
  if (has(/^(ERR_TLS|ERR_SSL|CERT_|UNABLE_TO|DEPTH_ZERO|SELF_SIGNED|EPROTO|HOSTNAME_MISMATCH)/)) {
    return new GatewayError('upstream_tls', fate);
  }
  if (!sent) return new GatewayError('upstream_unreachable', fate);
  return new GatewayError('upstream_broken', fate);
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
