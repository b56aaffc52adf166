/** Tokens that are presented directly: of which issuer one is, whether it is good there, and who calls with it. */
import { createHash } from 'node:crypto';
import { decodeJwt, type JWTPayload } from 'jose';
import { type Config, type ConnectionConfig, clientPaths, type IssuerConfig, resourceUrl } from '../config.ts';
import { GatewayError } from '../errors.ts';
import { compileMapping, type Mapping } from './claims-mapping.ts';
import { createIssuerKeys } from './keys.ts';
import type { Principal } from './principal.ts';
import { createTokenCache, type TokenCache } from './token-cache.ts';
import { principalOf } from './token-principal.ts';
import { refusalOf, refuse, verifyToken } from './token-verify.ts';

const MAX_TOKEN = 16 * 1024;

export interface TokenCheck {
  /**
   * The principal of a token on a connection of this configuration. Throws `GatewayError`: `unauthenticated` with
   * stable words, `not_in_group`, or `identity_unavailable` where the issuer's keys could not be fetched. Words hold
   * nothing of the token. Whether the session is alive is not asked here: that is checked on every call.
   */
  check(token: string, connectionName: string, config: Config): Promise<Principal>;
}

/** An issuer that takes a token: its signature, audience, times and type are right, and its condition holds. */
interface Taken {
  readonly issuer: IssuerConfig;
  readonly payload: JWTPayload;
  readonly mapping: Mapping | undefined;
}

/**
 * Checks access tokens (RFC 9068 by default) and keeps what it found for at most 60 s and never past `exp`, by the
 * token's hash and connection. What one configuration allowed is forgotten with it.
 * `now` is in milliseconds since the epoch.
 */
export function createTokenCheck(deps: { now?: () => number; fetch?: typeof fetch } = {}): TokenCheck {
  const now = deps.now ?? Date.now;
  const keys = createIssuerKeys({ now, fetch: deps.fetch ?? fetch });
  const caches = new WeakMap<Config, TokenCache>();
  // Compiled at first use, and once for each configuration.
  const mappings = new WeakMap<IssuerConfig, Mapping>();

  function mappingOf(issuer: IssuerConfig): Mapping | undefined {
    if (issuer.mapping === undefined) return undefined;
    const mapping = mappings.get(issuer) ?? compileMapping(issuer.mapping);
    mappings.set(issuer, mapping);
    return mapping;
  }

  async function take(
    token: string,
    issuer: IssuerConfig,
    config: Config,
    connection: ConnectionConfig,
  ): Promise<Taken> {
    const payload = await verifyToken(token, issuer, audiencesOf(config, connection, issuer), keys, now());
    const mapping = mappingOf(issuer);
    if (mapping?.holds(payload) === false) throw refuse("The token does not meet its issuer's condition.");
    return { issuer, payload, mapping };
  }

  /** Of several entries for one issuer exactly one may take a token: a second would be a second opinion of who calls. */
  async function takeByOne(token: string, config: Config, connection: ConnectionConfig): Promise<Taken> {
    const issuers = candidatesOf(token, config, connection);
    const taken: Taken[] = [];
    let refused: GatewayError | undefined;
    for (const issuer of issuers) {
      try {
        taken.push(await take(token, issuer, config, connection));
      } catch (error) {
        refused = refusalOf(error);
        if (refused.code !== 'unauthenticated') throw refused;
      }
    }
    const [only, another] = taken;
    if (another !== undefined) throw refuse('Several issuers of this connection take the token, and it must be one.');
    if (only === undefined) throw refused ?? refuse('The token is of an unknown issuer.');
    return only;
  }

  return {
    async check(token, connectionName, config) {
      const connection = config.connections[connectionName];
      if (connection === undefined) throw new GatewayError('not_found');
      if (token.length > MAX_TOKEN) throw refuse('The token is too long.');

      const cache = caches.get(config) ?? createTokenCache();
      caches.set(config, cache);
      const name = `${connectionName} ${createHash('sha256').update(token).digest('hex')}`;
      const cached = cache.get(name, now());
      if (cached !== undefined) return cached;
      return cache.fill(name, now, async () => {
        const { payload, issuer, mapping } = await takeByOne(token, config, connection);
        return principalOf(payload, issuer, mapping, connection);
      });
    },
  };
}

/** By the unverified `iss`, and only to refuse early: a foreign token must not make the gateway ask an issuer for keys. */
function candidatesOf(token: string, config: Config, connection: ConnectionConfig): IssuerConfig[] {
  let iss: unknown;
  try {
    iss = decodeJwt(token).iss;
  } catch (error) {
    throw refusalOf(error);
  }
  return connection.issuers.flatMap((name) => {
    const issuer = config.issuers[name];
    return issuer !== undefined && issuer.issuer === iss ? [issuer] : [];
  });
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

function audiencesOf(config: Config, connection: ConnectionConfig, issuer: IssuerConfig): string[] {
  return [...clientPaths(connection).map((path) => resourceUrl(config, connection.name, path)), ...issuer.audience];
}
