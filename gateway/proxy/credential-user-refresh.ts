/**
 * Refreshes a person's tokens once, however many replicas want it: servers rotate refresh tokens, and end the whole
 * grant when one comes twice. Whoever creates the claim asks; the others wait for the version that it stores.
 */
import { setTimeout } from 'node:timers/promises';
import type { ConnectionConfig } from '../config.ts';
import type { UserOauthConfig } from '../config-credential.ts';
import { credentialError } from './credential-error.ts';
import { type Granting, refreshTokens, revokeToken } from './credential-user-grant.ts';
import type { UpstreamAuthorization } from './credential-user-server.ts';
import { CLAIM_MARGIN_MS, type StoredTokens, type UserVersions, type Version } from './credential-user-versions.ts';

export type TokenVersion = Extract<Version, { kind: 'tokens' }>;

export interface Refreshing {
  readonly connection: ConnectionConfig;
  readonly config: UserOauthConfig;
  readonly folder: string;
}

const POLL_MS = 150;
/** A claim's life and a half: whoever waits longer than that waits for nobody. */
const LONGEST_WAIT_MS = 30_000;

export const OVER = {
  refused: 'The authorization server of the MCP server no longer accepts it: it was revoked there, or has ended.',
  client: 'The authorization server of the MCP server no longer knows this gateway.',
  ended: 'It has ended, and the authorization server of the MCP server gave nothing to renew it with.',
} as const;

export function createUserRefresh(deps: {
  versions: UserVersions;
  authorization: UpstreamAuthorization;
  now: () => number;
}) {
  const { versions, authorization, now } = deps;

  /**
   * The version behind `from`: this replica's, or another's. Throws `credential_unavailable` where nothing was decided;
   * then `from` is still the last one.
   */
  return async function refresh(refreshing: Refreshing, from: TokenVersion, token: string): Promise<Version> {
    const { connection, config, folder } = refreshing;
    const { tokens } = from;
    // Before the claim: that is only as long as one request.
    const granting = await authorization.granting(connection, config, tokens);
    if (granting === undefined) return settle(folder, from, { kind: 'failed', words: OVER.client });
    const giveUp = now() + LONGEST_WAIT_MS;
    for (;;) {
      const claim = await versions.claim(folder, from.n);
      const last = await versions.last(folder, from);
      if (last.n !== from.n) return last;
      if (claim.kind === 'mine') return ask(refreshing, from, token, granting, claim.until);
      while (now() < claim.until) {
        if (now() > giveUp) throw stillRefreshing();
        await setTimeout(POLL_MS);
        const next = await versions.last(folder, from);
        if (next.n !== from.n) return next;
      }
    }
  };

  // A crash between the request and the version that holds its answer loses the new refresh token: the next replica
  // sends the old one, and the person has to consent again. Nothing else is kept that could tell it.
  async function ask(
    { folder }: Refreshing,
    from: TokenVersion,
    token: string,
    granting: Granting,
    until: number,
  ): Promise<Version> {
    if (now() > until - CLAIM_MARGIN_MS) throw stillRefreshing();
    const answer = await refreshTokens(granting, token);
    if (answer.kind === 'grant_over') return settle(folder, from, { kind: 'failed', words: OVER.refused });
    if (answer.kind === 'client_unknown') {
      // A wrong secret in the configuration is its owner's to mend: the person's consent is still good then.
      if (granting.client.from === 'configured') {
        const { host } = new URL(granting.server.token_endpoint);
        throw credentialError('Its authorization server refuses the gateway.', `${host} refuses the client`);
      }
      await authorization.bury(granting.client);
      return settle(folder, from, { kind: 'failed', words: OVER.client });
    }
    const renewed: StoredTokens = { ...carried(from.tokens), ...answer.tokens };
    const made = await versions.create(folder, from.n + 1, { kind: 'tokens', tokens: renewed });
    if (made !== undefined) return made;
    const last = await versions.last(folder, from);
    // Forgotten meanwhile: what came too late may not go on to live there.
    if (last.kind === 'forgotten' && renewed.refresh !== undefined) await revokeToken(granting, renewed.refresh);
    return last;
  }

  async function settle(folder: string, from: Version, content: { kind: 'failed'; words: string }): Promise<Version> {
    return (await versions.create(folder, from.n + 1, content)) ?? versions.last(folder, from);
  }
}

export type UserRefresh = ReturnType<typeof createUserRefresh>;

/** What a refreshed token set has of the one before it. */
function carried({ since, issuer, client, resource, url }: StoredTokens) {
  return { since, issuer, client, resource, url };
}

function stillRefreshing() {
  return credentialError('It is being renewed.', 'another replica has not renewed it in time', true);
}
