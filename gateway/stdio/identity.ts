/** The identity header: who calls, signed by the gateway for this connection and for one exchange. */
import { createRemoteJWKSet, customFetch, errors, type JWTPayload, jwtVerify } from 'jose';
import { StdioFailure } from './failure.ts';

const TYPE = 'verbatim-identity+jwt';
const JWKS_PATH = '/.well-known/verbatim-identity/jwks.json';
const TIMEOUT = 5000;
const MOST_DOCUMENT = 256 * 1024;
/** Seconds: how long a header may live, and by how much clocks may differ. */
const LIFE = 60;
const TOLERANCE = 5;
const MOST_SEEN = 100_000;
/** Milliseconds: after a failure the gateway is left alone this long. */
const RETRY_AFTER = 2000;

export interface Identity {
  /** The Verbatim session that the call is of. */
  readonly session: string;
}

export interface IdentityCheck {
  /** Throws `identity_refused` and `identity_unavailable`. A header is good for one request. */
  check(header: string | undefined): Promise<Identity>;
}

/** `gateway` is the issuer, to the letter; `now` is milliseconds since the epoch. */
export function createIdentityCheck(deps: {
  readonly gateway: string;
  readonly connection: string;
  readonly now: () => number;
}): IdentityCheck {
  const { gateway, connection, now } = deps;
  const keys = createRemoteJWKSet(new URL(gateway + JWKS_PATH), {
    timeoutDuration: TIMEOUT,
    cooldownDuration: 30_000,
    cacheMaxAge: 600_000,
    [customFetch]: createBoundedFetch(now),
  });
  const seen = createSeen(now);

  async function verify(header: string): Promise<JWTPayload> {
    const { payload, protectedHeader } = await jwtVerify(header, keys, {
      algorithms: ['ES256'],
      typ: TYPE,
      issuer: gateway,
      requiredClaims: ['sub', 'session', 'jti', 'iat', 'exp'],
      maxTokenAge: LIFE,
      clockTolerance: TOLERANCE,
      currentDate: new Date(now()),
    });
    if (typeof protectedHeader.kid !== 'string') throw refuse('It names no key.');
    return payload;
  }

  return {
    async check(header) {
      if (header === undefined || header === '') throw refuse('It is missing.');
      const { aud, session, jti, iat, exp } = await verify(header).catch((error: unknown) => {
        throw failureOf(error);
      });
      // One audience, and no list: a header for two connections would open both.
      if (aud !== connection) throw refuse('Its audience is not this connection.');
      if (typeof session !== 'string' || session === '') throw refuse('It names no session.');
      if (typeof jti !== 'string' || jti === '') throw refuse('It has no jti.');
      if (Number(exp) - Number(iat) > LIFE) throw refuse('It lives too long.');
      seen.add(jti, (Number(exp) + TOLERANCE) * 1000);
      return { session };
    },
  };
}

function refuse(detail: string): StdioFailure {
  return new StdioFailure('identity_refused', detail);
}

/** jose's words can hold claims; which check failed is enough for a client. */
function failureOf(error: unknown): StdioFailure {
  if (error instanceof StdioFailure) return error;
  if (error instanceof errors.JWTExpired) return refuse('It has expired.');
  if (error instanceof errors.JWTClaimValidationFailed) return refuse(`Its ${error.claim} is not acceptable.`);
  if (error instanceof errors.JWSSignatureVerificationFailed) return refuse('Its signature does not verify.');
  if (error instanceof errors.JWKSNoMatchingKey || error instanceof errors.JWKSMultipleMatchingKeys) {
    return refuse('No key of the gateway fits it.');
  }
  if (error instanceof errors.JOSEAlgNotAllowed || error instanceof errors.JOSENotSupported) {
    return refuse('Its algorithm is not accepted.');
  }
  if (error instanceof errors.JWSInvalid || error instanceof errors.JWTInvalid) return refuse('It is malformed.');
  return new StdioFailure('identity_unavailable', undefined, { cause: error });
}

/** The headers that were used and have not expired. Where that can't be remembered, nothing more is accepted. */
function createSeen(now: () => number): { add(jti: string, until: number): void } {
  const seen = new Map<string, number>();
  return {
    add(jti, until) {
      // All live equally long, so that the oldest entries, which a Map gives first, are the first to expire.
      for (const [one, end] of seen) {
        if (end > now()) break;
        seen.delete(one);
      }
      if (seen.has(jti)) throw refuse('It was used already.');
      if (seen.size >= MOST_SEEN) throw new StdioFailure('identity_unavailable', 'Too many calls at once.');
      seen.set(jti, until);
    },
  };
}

/** No redirects, no endless document, and no hammering of a gateway that is down. */
function createBoundedFetch(now: () => number): (url: string, init: RequestInit) => Promise<Response> {
  let failedAt = Number.NEGATIVE_INFINITY;
  return async (url, init) => {
    if (now() - failedAt < RETRY_AFTER) throw new Error('The keys could not be fetched a moment ago.');
    try {
      const response = await fetch(url, { ...init, redirect: 'error' });
      if (response.status !== 200) throw new Error(`The gateway answered ${response.status} for its keys.`);
      return new Response(await bodyOf(response), { status: 200 });
    } catch (error) {
      failedAt = now();
      throw error;
    }
  };
}

async function bodyOf(response: Response): Promise<Buffer> {
  const pieces: Uint8Array[] = [];
  let length = 0;
  for await (const piece of response.body ?? []) {
    length += piece.byteLength;
    if (length > MOST_DOCUMENT) throw new Error('The key set is too large.');
    pieces.push(piece);
  }
  return Buffer.concat(pieces);
}
