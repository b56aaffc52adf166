import { createRemoteJWKSet, customFetch, type JWTVerifyGetKey } from 'jose';
import type { IssuerConfig } from '../config.ts';
import { parseSafeUrl } from '../config-values.ts';
import { GatewayError } from '../errors.ts';

const TIMEOUT = 5000;
const MAX_DOCUMENT = 1024 * 1024;
/** After a failure the issuer is left alone this long, so that callers without a valid token can not hammer it. */
const RETRY_AFTER = 2000;

/** Gives the keys of an issuer, fetching what they need and keeping it. */
export interface IssuerKeys {
  of(issuer: Pick<IssuerConfig, 'issuer' | 'jwksUri'>): JWTVerifyGetKey;
}

/** An issuer's keys could not be fetched: the fault of nobody who calls. */
export function keysUnavailable(cause?: unknown): GatewayError {
  return new GatewayError('identity_unavailable', 'not_forwarded', undefined, { cause });
}

/**
 * Keys by issuer, from `jwksUri` or the issuer's metadata (OpenID Connect Discovery, then RFC 8414), discovered at first
 * use. They outlive a change of configuration, so that a reload while the identity provider is down ends nobody's work.
 * jose keeps a key set for ten minutes and asks again for an unknown `kid` at most every 30 s.
 */
export function createIssuerKeys(deps: { now: () => number; fetch: typeof fetch }): IssuerKeys {
  const known = new Map<string, JWTVerifyGetKey>();
  return {
    of(issuer) {
      const name = JSON.stringify([issuer.issuer, issuer.jwksUri]);
      const keys = known.get(name) ?? createKeySource(issuer, deps);
      known.set(name, keys);
      return keys;
    },
  };
}

function createKeySource(
  issuer: Pick<IssuerConfig, 'issuer' | 'jwksUri'>,
  deps: { now: () => number; fetch: typeof fetch },
): JWTVerifyGetKey {
  let discovery: Promise<JWTVerifyGetKey> | undefined;
  let failedAt = Number.NEGATIVE_INFINITY;

  const fetchBounded = async (url: string, init: RequestInit): Promise<Response> => {
    if (deps.now() - failedAt < RETRY_AFTER) throw keysUnavailable();
    try {
      const response = await deps.fetch(url, { ...init, redirect: 'error' });
      if (response.status >= 500) throw new Error(`The identity provider answered ${response.status}.`);
      return new Response(await bodyOf(response), { status: response.status });
    } catch (cause) {
      failedAt = deps.now();
      throw keysUnavailable(cause);
    }
  };

  const discover = async (): Promise<JWTVerifyGetKey> => {
    const uri = issuer.jwksUri ?? (await discoverJwksUri(issuer.issuer, fetchBounded));
    return createRemoteJWKSet(new URL(uri), {
      timeoutDuration: TIMEOUT,
      cooldownDuration: 30_000,
      cacheMaxAge: 600_000,
      [customFetch]: fetchBounded,
    });
  };

  return async (header, token) => {
    discovery ??= discover().catch((error: unknown) => {
      discovery = undefined;
      throw error;
    });
    return (await discovery)(header, token);
  };
}

async function discoverJwksUri(
  issuer: string,
  fetchBounded: (url: string, init: RequestInit) => Promise<Response>,
): Promise<string> {
  for (const url of metadataUrls(issuer)) {
    const response = await fetchBounded(url, {
      headers: { accept: 'application/json' },
      signal: AbortSignal.timeout(TIMEOUT),
    });
    if (response.status !== 200) continue;
    const metadata = (await response.json().catch(() => undefined)) as Record<string, unknown> | undefined;
    // Mix-up defence (RFC 8414, section 3.3): a document that names another issuer is not this issuer's.
    if (metadata?.issuer !== issuer) continue;
    if (parseSafeUrl(metadata.jwks_uri) !== undefined) return String(metadata.jwks_uri);
  }
  throw keysUnavailable();
}

function metadataUrls(issuer: string): string[] {
  const { origin, pathname } = new URL(issuer);
  const path = pathname.replace(/\/$/, '');
  return [
    `${issuer.replace(/\/$/, '')}/.well-known/openid-configuration`,
    `${origin}/.well-known/oauth-authorization-server${path}`,
  ];
}

async function bodyOf(response: Response): Promise<Buffer> {
  const pieces: Uint8Array[] = [];
  let length = 0;
  for await (const piece of response.body ?? []) {
    length += piece.byteLength;
    if (length > MAX_DOCUMENT) throw new Error('The document is larger than 1 MiB.');
    pieces.push(piece);
  }
  return Buffer.concat(pieces);
}
