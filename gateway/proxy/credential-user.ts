/**
 * Each person's own credential at an upstream: tokens that the upstream's authorization server gave for them, kept
 * sealed, renewed before they end, and shown to that upstream in that person's calls alone.
 */
import { createHash } from 'node:crypto';
import type { ConnectionConfig } from '../config.ts';
import { type UserOauthConfig, userOauthOf } from '../config-credential.ts';
import { GatewayError } from '../errors.ts';
import type { Credential, UsedCredential } from './credential.ts';
import { bearerHeader } from './credential-answer.ts';
import { type Fresh, freshToken } from './credential-cache.ts';
import { calledUrl, sameUrl } from './credential-user-discovery.ts';
import { revokeToken } from './credential-user-grant.ts';
import { createHeld, type Held } from './credential-user-held.ts';
import { createUserRefresh, OVER, type TokenVersion } from './credential-user-refresh.ts';
import type { UpstreamAuthorization } from './credential-user-server.ts';
import {
  folderOf,
  type Person,
  type StoredTokens,
  type UserVersions,
  type Version,
} from './credential-user-versions.ts';

/** Times in milliseconds since the epoch. `words`: what happened, for the person. */
export type UserCredentialState =
  | { readonly kind: 'none' }
  | { readonly kind: 'connected'; readonly since: number }
  | { readonly kind: 'failed'; readonly since: number; readonly words: string };

export interface UserCredentials {
  /**
   * The person's credential. Its `current` throws `user_consent_needed`, with the address of the page to open, until
   * they have consented, and `credential_unavailable` where it can not be had at the moment.
   */
  credentialFor(connection: ConnectionConfig, person: Person): Credential;
  stateOf(connection: ConnectionConfig, person: Person): Promise<UserCredentialState>;
  /** What a consent brought, in the place of everything before it. */
  keep(connection: ConnectionConfig, person: Person, tokens: StoredTokens): Promise<void>;
  /** Nobody uses it again, here or on another replica within 5 s; revoked at its server where that is possible. */
  forget(connection: ConnectionConfig, person: Person, reason: string): Promise<void>;
}

/** An upstream that refuses whatever it gets must not turn each call into a new token. */
const RENEW_AFTER_MS = 60_000;
/** Of people whose tokens are in memory. */
const MOST_HELD = 4096;

export function createUserCredentials(deps: {
  versions: UserVersions;
  authorization: UpstreamAuthorization;
  now: () => number;
  publicUrl: () => string;
  /** A refresh that no call waits for has failed; the token before it is still in use. */
  refreshFailed?: (connection: string, error: unknown) => void;
}): UserCredentials {
  const { versions, authorization, now, publicUrl } = deps;
  const refresh = createUserRefresh(deps);
  const kept = new Map<string, Held>();

  function heldOf(folder: string): Held {
    const held = kept.get(folder) ?? createHeld({ folder, versions, refresh, now });
    // The one that was used longest ago is the first to go.
    kept.delete(folder);
    kept.set(folder, held);
    for (const oldest of kept.keys()) {
      if (kept.size <= MOST_HELD) break;
      kept.delete(oldest);
    }
    return held;
  }

  function consentNeeded({ name }: ConnectionConfig, last: Version): GatewayError {
    const url = `${publicUrl()}/connect/${name}`;
    const why = last.kind === 'failed' ? `${last.words} ` : '';
    return new GatewayError('user_consent_needed', 'not_forwarded', `${why}Open ${url} in a browser, then try again.`, {
      url,
    });
  }

  return {
    credentialFor(connection, person) {
      const config = configOf(connection);
      const folder = folderOf(connection.name, person);
      const refreshing = { connection, config, folder };
      const background = (error: unknown): void => deps.refreshFailed?.(connection.name, error);

      return {
        async current() {
          const held = heldOf(folder);
          const last = await held.look();
          if (!isUsable(last, connection, config)) throw consentNeeded(connection, last);
          const { refreshAt, deadAt, used } = freshOf(last);
          const canRefresh = last.tokens.refresh !== undefined;
          if (now() < refreshAt || (!canRefresh && now() < deadAt)) return used;
          if (now() < deadAt) {
            held.refreshed(refreshing, last).catch(background);
            return used;
          }
          const next = await held.refreshed(refreshing, last);
          if (!isUsable(next, connection, config)) throw consentNeeded(connection, next);
          return freshOf(next).used;
        },
        async renew(used) {
          try {
            const held = heldOf(folder);
            const last = await held.look(true);
            if (!isUsable(last, connection, config)) return undefined;
            if (freshOf(last).used.version !== used.version) return freshOf(last).used;
            if (now() - last.at < RENEW_AFTER_MS) return undefined;
            const next = await held.refreshed(refreshing, last);
            return isUsable(next, connection, config) && next.n !== last.n ? freshOf(next).used : undefined;
          } catch {
            return undefined;
          }
        },
      };
    },

    async stateOf(connection, person) {
      const last = await heldOf(folderOf(connection.name, person)).look(true);
      if (last.kind === 'failed') return { kind: 'failed', since: last.at, words: last.words };
      if (last.kind !== 'tokens') return { kind: 'none' };
      if (!isOfNow(last, connection, configOf(connection))) {
        return { kind: 'failed', since: last.at, words: 'The connection is another one since then.' };
      }
      const { refresh: token, expires = Number.POSITIVE_INFINITY, since } = last.tokens;
      if (token === undefined && now() >= expires) return { kind: 'failed', since: expires, words: OVER.ended };
      return { kind: 'connected', since };
    },

    async keep(connection, person, tokens) {
      const folder = folderOf(connection.name, person);
      await append(folder, () => ({ kind: 'tokens', tokens }));
    },

    async forget(connection, person, reason) {
      const folder = folderOf(connection.name, person);
      const before = await append(folder, (last) =>
        last.kind === 'none' || last.kind === 'forgotten' ? undefined : { kind: 'forgotten', reason },
      );
      if (before.kind !== 'tokens' || before.tokens.refresh === undefined) return;
      const config = userOauthOf(connection);
      if (config === undefined) return;
      const granting = await authorization.granting(connection, config, before.tokens).catch(() => undefined);
      if (granting !== undefined) await revokeToken(granting, before.tokens.refresh);
    },
  };

  /** Puts a version behind the last one, whichever that is. Resolves to the one that was the last before. */
  async function append(
    folder: string,
    make: (last: Version) => Parameters<UserVersions['create']>[2] | undefined,
  ): Promise<Version> {
    let last = await versions.last(folder);
    for (;;) {
      const content = make(last);
      const made = content === undefined ? last : await versions.create(folder, last.n + 1, content);
      if (made !== undefined) {
        heldOf(folder).put(made);
        return last;
      }
      last = await versions.last(folder, last);
    }
  }
}

function isUsable(last: Version, connection: ConnectionConfig, config: UserOauthConfig): last is TokenVersion {
  return last.kind === 'tokens' && isOfNow(last, connection, config);
}

/** Tokens of this connection as it is now: of another upstream, server or client they are shown to nobody. */
function isOfNow({ tokens }: TokenVersion, connection: ConnectionConfig, config: UserOauthConfig): boolean {
  const { url, issuer, resource, client } = tokens;
  return (
    url === calledUrl(connection) &&
    (config.authorizationServer ?? issuer) === issuer &&
    (config.resource === undefined || sameUrl(resource, config.resource)) &&
    (config.client?.id ?? client.id) === client.id
  );
}

function freshOf({ name, tokens: { access, obtained, expires } }: TokenVersion): Fresh {
  const version = `user:${createHash('sha256').update(name).digest('hex').slice(0, 12)}`;
  const used: UsedCredential = { headers: [bearerHeader(access, 'a stored token')], version };
  const never = Number.POSITIVE_INFINITY;
  if (expires === undefined) return { used, refreshAt: never, awaitAt: never, deadAt: never };
  return freshToken(used, obtained, expires);
}

function configOf(connection: ConnectionConfig): UserOauthConfig {
  const config = userOauthOf(connection);
  if (config === undefined) throw new GatewayError('internal', 'not_forwarded', 'The connection has no userOauth.');
  return config;
}
