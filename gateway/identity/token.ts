import { createHash } from 'node:crypto';
import { decodeJwt, errors, type JWTPayload, jwtVerify } from 'jose';
import { type Config, type ConnectionConfig, clientPaths, type IssuerConfig, resourceUrl } from '../config.ts';
import { GatewayError } from '../errors.ts';
import { createIssuerKeys, type IssuerKeys, keysUnavailable } from './keys.ts';
import { type Principal, sessionKeyOf } from './principal.ts';

const MAX_TOKEN = 16 * 1024;
const MAX_CACHED = 10_000;
const CACHE_TTL = 60_000;

export interface TokenCheck {
  /**
   * The principal of a token on a connection of this configuration. Throws `GatewayError`: `unauthenticated` with
   * stable words, `not_in_group`, or `internal` where the issuer's keys could not be fetched. Words hold nothing of
   * the token. Whether the session is alive is not asked here: that is checked on every call.
   */
  check(token: string, connectionName: string, config: Config): Promise<Principal>;
}

/**
 * Checks access tokens (RFC 9068 by default) and keeps what it found for at most 60 s and never past `exp`, by the
 * token's hash and connection. What one configuration allowed is forgotten with it.
 * `now` is in milliseconds since the epoch.
 */
export function createTokenCheck(deps: { now?: () => number; fetch?: typeof fetch } = {}): TokenCheck {
  const now = deps.now ?? Date.now;
  const keys = createIssuerKeys({ now, fetch: deps.fetch ?? fetch });
  const caches = new WeakMap<Config, Cache>();

  return {
    async check(token, connectionName, config) {
      const connection = config.connections[connectionName];
      const issuer = connection && config.issuers[connection.issuer];
      if (connection === undefined || issuer === undefined) throw new GatewayError('not_found');
      if (token.length > MAX_TOKEN) throw refuse('The token is too long.');

      const cache = caches.get(config) ?? createCache();
      caches.set(config, cache);
      const name = `${connectionName} ${createHash('sha256').update(token).digest('hex')}`;
      const cached = cache.get(name, now());
      if (cached !== undefined) return cached;
      return cache.fill(name, now, async () => {
        const payload = await verify(token, issuer, audiencesOf(config, connection, issuer), keys, now());
        return principalOf(payload, issuer, connection);
      });
    },
  };
}

/**
 * The token of the one `Authorization: Bearer` header; `undefined` where there is no such header at all.
 * Throws `unauthenticated` for anything else: two headers, another scheme, characters outside token68 (RFC 6750).
 */
export function bearerOf(rawHeaders: readonly string[]): string | undefined {
  const values = rawHeaders.filter(
    (_, index) => index % 2 === 1 && rawHeaders[index - 1]?.toLowerCase() === 'authorization',
  );
  const [value] = values;
  if (value === undefined) return undefined;
  if (values.length > 1) throw refuse('There is more than one Authorization header.');
  if (value.length > MAX_TOKEN + 64) throw refuse('The token is too long.');
  const match = /^bearer +([A-Za-z0-9._~+/-]+=*)$/i.exec(value);
  if (match?.[1] === undefined) throw refuse('Authorization is not "Bearer" and a token.');
  return match[1];
}

export function refuse(detail: string): GatewayError {
  return new GatewayError('unauthenticated', 'not_forwarded', detail);
}

function audiencesOf(config: Config, connection: ConnectionConfig, issuer: IssuerConfig): string[] {
  return [...clientPaths(connection).map((path) => resourceUrl(config, connection.name, path)), ...issuer.audience];
}

async function verify(
  token: string,
  issuer: IssuerConfig,
  audience: string[],
  keys: IssuerKeys,
  now: number,
): Promise<JWTPayload> {
  try {
    // Unverified, and only to refuse early: a foreign token must not make the gateway ask this issuer for new keys.
    if (decodeJwt(token).iss !== issuer.issuer) throw refuse('The token is of an unknown issuer.');
    const { payload, protectedHeader } = await jwtVerify(token, keys.of(issuer), {
      issuer: issuer.issuer,
      audience,
      algorithms: [...issuer.algorithms],
      requiredClaims: ['exp', 'aud', 'iss', issuer.claims.subject, issuer.claims.session],
      currentDate: new Date(now),
    });
    const typ = mediaType(protectedHeader.typ);
    if (!issuer.typ.some((one) => mediaType(one) === typ)) {
      throw refuse("The token's typ is not accepted.");
    }
    return payload;
  } catch (error) {
    throw refusalOf(error);
  }
}

/** RFC 7515, section 4.1.9: `application/` may be left out, and case does not count. */
function mediaType(typ: unknown): string | undefined {
  if (typeof typ !== 'string') return undefined;
  const lower = typ.toLowerCase();
  return lower.includes('/') ? lower : `application/${lower}`;
}

/** Stable words for jose's errors. What is not about the token is about the keys: never the caller's fault. */
export function refusalOf(error: unknown): GatewayError {
  if (error instanceof GatewayError) return error;
  if (error instanceof errors.JWTExpired) return refuse('The token has expired.');
  if (error instanceof errors.JWTClaimValidationFailed) {
    if (error.reason === 'missing') return refuse(`The token lacks the claim ${error.claim}.`);
    if (error.claim === 'aud') return refuse('The token is for another audience.');
    if (error.claim === 'iss') return refuse('The token is of an unknown issuer.');
    if (error.claim === 'nbf') return refuse('The token is not valid yet.');
    return refuse(`The token's claim ${error.claim} is not acceptable.`);
  }
  if (error instanceof errors.JWSSignatureVerificationFailed) return refuse("The token's signature does not verify.");
  if (error instanceof errors.JWKSNoMatchingKey || error instanceof errors.JWKSMultipleMatchingKeys) {
    return refuse('No key of the issuer fits the token.');
  }
  if (error instanceof errors.JOSEAlgNotAllowed) return refuse("The token's algorithm is not accepted.");
  if (error instanceof errors.JWTInvalid || error instanceof errors.JWSInvalid)
    return refuse('The token is malformed.');
  if (error instanceof errors.JOSENotSupported) return refuse('The token needs what is not supported.');
  return keysUnavailable(error);
}

function principalOf(payload: JWTPayload, issuer: IssuerConfig, connection: ConnectionConfig): Principal {
  const { claims } = issuer;
  const subject = textClaim(payload, claims.subject);
  const session = textClaim(payload, claims.session);
  const email = ownClaim(payload, claims.email);
  const clientId = ownClaim(payload, 'client_id') ?? ownClaim(payload, 'azp');
  const groups = groupsOf(payload, claims.groups);
  if (!groups.some((group) => connection.groups.includes(group))) throw new GatewayError('not_in_group');
  return {
    kind: kindOf(payload, issuer),
    issuer: issuer.issuer,
    subject,
    ...(typeof email === 'string' && email !== '' ? { email } : {}),
    groups,
    expires: Number(payload.exp),
    sessionKey: sessionKeyOf(issuer.issuer, subject, connection.name, session),
    ...(typeof clientId === 'string' && clientId !== '' ? { clientId } : {}),
  };
}

function ownClaim(payload: JWTPayload, name: string): unknown {
  return Object.hasOwn(payload, name) ? payload[name] : undefined;
}

function textClaim(payload: JWTPayload, name: string): string {
  const value = ownClaim(payload, name);
  if (typeof value !== 'string' || value === '') throw refuse(`The token's claim ${name} is not acceptable.`);
  return value;
}

/**
 * Groups that are missing, overflowed or of another shape are unknown, never none: a rule that denies a group would
 * fail open. An overflowed claim is named in `_claim_names` (OpenID Connect Core, section 5.6.2; Entra does so).
 */
function groupsOf(payload: JWTPayload, name: string): readonly string[] {
  const unknown = (detail: string) =>
    new GatewayError('not_in_group', 'not_forwarded', `Your groups are unknown: ${detail}`);
  const elsewhere = ownClaim(payload, '_claim_names');
  if (
    elsewhere !== undefined &&
    (typeof elsewhere !== 'object' || elsewhere === null || Object.hasOwn(elsewhere, name))
  ) {
    throw unknown('they did not fit into the token.');
  }
  const groups = ownClaim(payload, name);
  if (groups === undefined) throw unknown(`the token lacks the claim ${name}.`);
  if (!Array.isArray(groups) || !groups.every((group) => typeof group === 'string')) {
    throw unknown(`the claim ${name} is not a list of names.`);
  }
  return groups;
}

function kindOf(payload: JWTPayload, issuer: IssuerConfig): 'human' | 'agent' {
  if (issuer.claims.kind === undefined) return issuer.kind;
  const kind = ownClaim(payload, issuer.claims.kind);
  if (kind === 'human' || kind === 'agent') return kind;
  throw refuse(`The token's claim ${issuer.claims.kind} is not acceptable.`);
}

interface Cache {
  get(name: string, now: number): Principal | undefined;
  /** Runs `find` once for all who ask for the same name meanwhile, and keeps what it found; never a failure. */
  fill(name: string, now: () => number, find: () => Promise<Principal>): Promise<Principal>;
}

function createCache(): Cache {
  const kept = new Map<string, { principal: Principal; until: number }>();
  const pending = new Map<string, Promise<Principal>>();

  async function findAndKeep(name: string, now: () => number, find: () => Promise<Principal>): Promise<Principal> {
    try {
      const principal = await find();
      kept.set(name, { principal, until: Math.min(now() + CACHE_TTL, principal.expires * 1000) });
      const [oldest] = kept.keys();
      if (kept.size > MAX_CACHED && oldest !== undefined) kept.delete(oldest);
      return principal;
    } finally {
      pending.delete(name);
    }
  }

  return {
    get(name, now) {
      const entry = kept.get(name);
      if (entry === undefined) return undefined;
      kept.delete(name);
      if (entry.until <= now) return undefined;
      kept.set(name, entry); // last in the map: least recently used stays first
      return entry.principal;
    },
    fill(name, now, find) {
      const running = pending.get(name) ?? findAndKeep(name, now, find);
      pending.set(name, running);
      return running;
    },
  };
}
