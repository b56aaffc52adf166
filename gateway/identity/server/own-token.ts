/**
 * The gateway's own access tokens: who calls with one, and whether they still may. The signature is checked once a
 * minute, the person's standing as often as the configuration says, and that the session is alive on every call (by
 * gateway/sessions).
 */
import { createHash } from 'node:crypto';
import { createLocalJWKSet, decodeJwt, type JWTVerifyGetKey, jwtVerify } from 'jose';
import { type Config, type ConnectionConfig, clientPaths, resourceUrl } from '../../config.ts';
import { GatewayError } from '../../errors.ts';
import { keepNewest } from '../../keep-newest.ts';
import type { Keyring } from '../keyring.ts';
import { type Principal, sessionKeyOf } from '../principal.ts';
import { refusalOf, refuse } from '../token-verify.ts';
import type { GrantRecord, Grants } from './grants.ts';
import { issuerOf } from './issuer.ts';
import { type Recheck, StandingLost } from './recheck.ts';

export interface OwnTokens {
  /** The principal of a token of this connection's own issuer; undefined for a token of another issuer. */
  check(token: string, connection: ConnectionConfig, config: Config, keyring: Keyring): Promise<Principal | undefined>;
  /** Asks anew for the standing of a session that is open here. Ends it where that was lost. */
  renew(session: string): Promise<void>;
}

const MAX_CACHED = 10_000;
const CACHE_MS = 60_000;

interface Verified {
  readonly session: string;
  /** Milliseconds since the epoch. */
  readonly until: number;
}

export function createOwnTokens(deps: {
  readonly grants: Grants;
  readonly recheck: Recheck;
  readonly now: () => number;
  /** Records why a session ended. */
  lost(record: GrantRecord, reason: StandingLost['reason']): Promise<void>;
}): OwnTokens {
  const { grants, recheck, now } = deps;
  /** By keyring: what a secret that is gone has signed is no token any more. */
  const verified = new WeakMap<Keyring, Map<string, Verified>>();
  /** Sessions whose person has lost the right to be here: for good, so that it is neither asked nor recorded again. */
  const lost = new Map<string, true>();
  const keySets = new WeakMap<Keyring, JWTVerifyGetKey>();
  /** One object a session and set of groups: gateway/proxy compares them to see that something changed. */
  const principals = new Map<string, { readonly of: Principal; readonly groups: readonly string[] }>();

  function keysOf(keyring: Keyring): JWTVerifyGetKey {
    let keys = keySets.get(keyring);
    if (keys === undefined) {
      keys = createLocalJWKSet({ keys: keyring.signingKeys.map(({ d: _, ...jwk }) => jwk) });
      keySets.set(keyring, keys);
    }
    return keys;
  }

  async function verify(
    token: string,
    connection: ConnectionConfig,
    config: Config,
    keyring: Keyring,
  ): Promise<Verified | undefined> {
    const name = createHash('sha256').update(`${connection.name} `).update(token).digest('hex');
    const cache = verified.get(keyring) ?? new Map<string, Verified>();
    verified.set(keyring, cache);
    const there = cache.get(name);
    if (there !== undefined && there.until > now()) return there;
    cache.delete(name);
    if (issuerInToken(token) !== issuerOf(config, connection.name)) return undefined;
    const { payload } = await jwtVerify(token, keysOf(keyring), {
      issuer: issuerOf(config, connection.name),
      audience: clientPaths(connection).map((path) => resourceUrl(config, connection.name, path)),
      typ: 'at+jwt',
      algorithms: ['ES256'],
      requiredClaims: ['exp', 'aud', 'iss', 'sub', 'session', 'client_id'],
      currentDate: new Date(now()),
    }).catch((error: unknown) => {
      throw refusalOf(error);
    });
    const until = Math.min(now() + CACHE_MS, Number(payload.exp) * 1000);
    const made: Verified = { session: String(payload.session), until };
    keepNewest(cache, name, made, MAX_CACHED);
    return made;
  }

  async function standingOf(record: GrantRecord): Promise<readonly string[]> {
    if (lost.has(record.session)) throw new GatewayError('session_ended');
    // An agent's groups are the configuration's, and a person's those of the identity provider.
    try {
      return (await recheck.standing(record)).groups;
    } catch (error) {
      if (!(error instanceof StandingLost)) throw error;
      await endOnce(record, error.reason);
      throw new GatewayError(error.reason === 'groups_lost' ? 'not_in_group' : 'session_ended');
    }
  }

  /** Calls at once lose their standing at once. */
  async function endOnce(record: GrantRecord, reason: StandingLost['reason']): Promise<void> {
    const { session } = record;
    if (lost.has(session)) return;
    keepNewest(lost, session, true, MAX_CACHED);
    try {
      // After a restart it is known from the store alone.
      if ((await grants.find(session)) === undefined) return;
      await deps.lost(record, reason);
      await grants.end(session, reason);
    } catch (error) {
      lost.delete(session);
      throw error;
    }
  }

  function principalOf(record: GrantRecord, groups: readonly string[]): Principal {
    const there = principals.get(record.session);
    if (there !== undefined && there.groups === groups) return there.of;
    const { session, kind, issuer, subject, email, client, connection, opened } = record;
    const of: Principal = {
      kind,
      issuer,
      subject,
      ...(email === undefined ? {} : { email }),
      ...(record.owner === undefined ? {} : { owner: record.owner }),
      groups,
      expires: Math.floor(record.expires / 1000),
      sessionKey: sessionKeyOf(issuer, subject, connection, session),
      clientId: client.id,
      grant: { session, opened },
    };
    keepNewest(principals, session, { of, groups }, MAX_CACHED);
    return of;
  }

  return {
    async check(token, connection, config, keyring) {
      const found = await verify(token, connection, config, keyring);
      if (found === undefined) return undefined;
      const record = await grants.record(found.session);
      if (record === undefined || record.connection !== connection.name) throw new GatewayError('session_ended');
      return principalOf(record, await standingOf(record));
    },
    async renew(session) {
      const record = await grants.find(session);
      if (record !== undefined) await standingOf(record).catch(onlyRefusals);
    },
  };
}

function onlyRefusals(error: unknown): void {
  if (!(error instanceof GatewayError)) throw error;
}

function issuerInToken(token: string): unknown {
  try {
    return decodeJwt(token).iss;
  } catch {
    throw refuse('The token is malformed.');
  }
}
