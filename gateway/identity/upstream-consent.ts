/**
 * A person's consent at a connection's upstream: the browser goes to the upstream's authorization server and comes back
 * with a code, for which the gateway gets tokens in that person's name. Any replica can take either step.
 */
import type { ConnectionConfig } from '../config.ts';
import { type UserOauthConfig, userOauthOf } from '../config-credential.ts';
import { GatewayError } from '../errors.ts';
import { hashOfParts } from '../hash-of-parts.ts';
import { createUserCredentials, type UserCredentials } from '../proxy/credential-user.ts';
import { upstreamCallback } from '../proxy/credential-user-client.ts';
import { calledUrl } from '../proxy/credential-user-discovery.ts';
import { AnswerRefused, exchangeCode, type GrantAnswer } from '../proxy/credential-user-grant.ts';
import {
  type AuthorizationDeps,
  type ConsentPlace,
  createUpstreamAuthorization,
  type UpstreamAuthorization,
} from '../proxy/credential-user-server.ts';
import { createUserVersions, type Person } from '../proxy/credential-user-versions.ts';
import { type LoginRefusal, LoginRefused } from './broker/identity-provider.ts';

export interface UpstreamConsent {
  /**
   * Where the person's browser goes, and what `finish` needs when it is back. `memory` is secret (it holds the PKCE
   * verifier): the caller keeps it sealed and gives it to one `finish` only. `state` is unguessable and comes back; that
   * it comes back in the browser of the same person is for the caller to know. Throws `LoginRefused`.
   */
  begin(consent: {
    readonly connection: ConnectionConfig;
    readonly principal: Person;
    readonly state: string;
  }): Promise<{ readonly url: string; readonly memory: Readonly<Record<string, string>> }>;
  /**
   * Takes the answer and keeps the tokens. `url` is that of the browser's request at `upstreamCallback`, on the
   * configured public origin. Throws `LoginRefused`.
   */
  finish(consent: {
    readonly connection: ConnectionConfig;
    readonly principal: Person;
    readonly url: URL;
    readonly memory: Readonly<Record<string, string>>;
  }): Promise<void>;
}

/** People's own credentials, and the consents that bring them, over one state. */
export function openUserCredentials(
  deps: AuthorizationDeps & { readonly refreshFailed?: (connection: string, error: unknown) => void },
): { readonly credentials: UserCredentials; readonly consent: UpstreamConsent } {
  const versions = createUserVersions(deps);
  const authorization = createUpstreamAuthorization(deps);
  const credentials = createUserCredentials({ ...deps, versions, authorization });
  return { credentials, consent: createUpstreamConsent({ ...deps, authorization, credentials }) };
}

export function createUpstreamConsent(deps: {
  authorization: UpstreamAuthorization;
  credentials: UserCredentials;
  now: () => number;
  publicUrl: () => string;
}): UpstreamConsent {
  const { authorization, credentials, now, publicUrl } = deps;

  return {
    async begin({ connection, principal, state }) {
      const config = configOf(connection);
      const place = await authorization.discover(connection, config).catch((error: unknown) => {
        throw unavailable(connection, error);
      });
      const oauth = await import('openid-client');
      const verifier = oauth.randomPKCECodeVerifier();
      const challenge = await oauth.calculatePKCECodeChallenge(verifier);
      const { server, client, resource } = place;
      const url = new URL(server.authorization_endpoint);
      const parameters = {
        response_type: 'code',
        client_id: client.id,
        redirect_uri: upstreamCallback(publicUrl(), connection.name),
        state,
        resource,
        code_challenge: challenge,
        code_challenge_method: 'S256',
        ...scopeParameters(config, place),
      };
      for (const [name, value] of Object.entries(parameters)) url.searchParams.set(name, value);
      const memory = {
        owner: ownerOf(connection, principal),
        url: calledUrl(connection),
        state,
        verifier,
        issuer: server.issuer,
        resource,
        client: client.id,
        from: client.from,
      };
      return { url: url.href, memory };
    },

    async finish({ connection, principal, url, memory }) {
      const config = configOf(connection);
      const { state, verifier, issuer, resource, client: id, from } = memory;
      const ours = memory.owner === ownerOf(connection, principal) && memory.url === calledUrl(connection);
      if (!ours || !state || !verifier || !issuer || !resource || !id || !from) {
        throw refused('login_over', 'This consent was begun by somebody else, or for another server. Begin again.');
      }
      // Each connection has a callback of its own: an answer of another one's server never gets to this one's.
      if (url.origin + url.pathname !== upstreamCallback(publicUrl(), connection.name)) throw notAnAnswer();
      const place = { issuer, client: { id, from }, resource };
      const granting = await authorization.granting(connection, config, place).catch((error: unknown) => {
        throw unavailable(connection, error);
      });
      if (granting === undefined) {
        throw refused('login_over', 'The gateway is another client of this server since you began. Begin again.');
      }
      const answer = await exchangeCode(granting, { url, state, verifier }).catch((error: unknown) => {
        if (!(error instanceof AnswerRefused)) throw unavailable(connection, error);
        throw error.denied ? denied() : notAnAnswer();
      });
      if (answer.kind === 'client_unknown') await authorization.bury(granting.client);
      const tokens = { ...tokensOf(answer), since: now(), url: calledUrl(connection), ...place };
      await credentials.keep(connection, principal, tokens).catch((error: unknown) => {
        throw unavailable(connection, error);
      });
    },
  };
}

/** The specification's order: what is configured, else what the upstream asks for, else nothing. */
function scopeParameters(config: UserOauthConfig, { server, scopes = [] }: ConsentPlace): Record<string, string> {
  const asked = config.scopes.length > 0 ? config.scopes : scopes;
  // A scope of its own would take the place of the server's default.
  if (asked.length === 0) return {};
  const isOffered = config.scopes.length === 0 && server.scopes_supported?.includes('offline_access') === true;
  const all = new Set([...asked, ...(isOffered ? ['offline_access'] : [])]);
  // OpenID Connect Core, section 11: without the prompt there is no offline access.
  const prompt = all.has('offline_access') ? { prompt: 'consent' } : {};
  return { scope: [...all].join(' '), ...prompt };
}

function tokensOf(answer: GrantAnswer) {
  if (answer.kind === 'granted') return answer.tokens;
  if (answer.kind === 'grant_over') {
    throw refused('answer_invalid', 'The code was used before, or has ended. Begin again.');
  }
  throw refused('provider_refused', 'The authorization server does not know this gateway. Tell who runs the gateway.');
}

/** A consent is one person's for one connection, and no secret. */
function ownerOf({ name }: ConnectionConfig, { issuer, subject }: Person): string {
  return hashOfParts([name, issuer, subject]);
}

function configOf(connection: ConnectionConfig): UserOauthConfig {
  const config = userOauthOf(connection);
  if (config === undefined) throw refused('login_over', 'This connection needs no consent of yours any more.');
  return config;
}

function notAnAnswer(): LoginRefused {
  return refused('answer_invalid', 'What came back is not the answer to this consent. Begin again.');
}

function denied(): LoginRefused {
  return refused('provider_refused', 'The authorization server did not give the consent. Nothing was kept.');
}

/** Why is in the cause, for the log: hosts and statuses (credential-error.ts). */
function unavailable({ name }: ConnectionConfig, cause: unknown): LoginRefused {
  const detail = cause instanceof GatewayError ? ` ${cause.detail ?? ''}` : '';
  const message = `The authorization of ${name} can not be used now.${detail} Try again, or tell who runs the gateway.`;
  return new LoginRefused('provider_unavailable', message, { cause });
}

function refused(code: LoginRefusal, message: string): LoginRefused {
  return new LoginRefused(code, message);
}
