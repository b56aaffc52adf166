/**
 * The gateway's own OAuth authorization server, composed: people log in at their company's identity provider, agents
 * with a credential of their own, and what they get opens one connection for one session.
 */
import type { IncomingMessage, ServerResponse } from 'node:http';
import type { default as Provider } from 'oidc-provider';
import type { Clock } from '../../clock.ts';
import type { Config } from '../../config.ts';
import { GatewayError } from '../../errors.ts';
import type { GoogleSecrets } from '../../google-secret.ts';
import type { UserCredentials } from '../../proxy/credential-user.ts';
import type { Ends } from '../../sessions/ends.ts';
import type { Store } from '../../store/store.ts';
import { createRate } from '../clients/rate.ts';
import { createKeyring, type Keyring, type Sealing } from '../keyring.ts';
import type { Principal } from '../principal.ts';
import { openUserCredentials } from '../upstream-consent.ts';
import { createAccounts } from './accounts.ts';
import { type Approving, createApprovalsSurface } from './approvals.ts';
import { createAuthorize } from './authorize.ts';
import { createBrowsers } from './browser.ts';
import { createConnect } from './connect.ts';
import { createConsents } from './consents.ts';
import { createLoginFlow } from './flow.ts';
import { accountIdOf, createGrants } from './grants.ts';
import { createIdJags, idJagProviders } from './id-jag.ts';
import { createInteractions } from './interaction.ts';
import { createLastErrors } from './last-errors.ts';
import type { Login } from './login.ts';
import { openLogin } from './open-login.ts';
import { createOwnTokens } from './own-token.ts';
import { createProvider } from './provider.ts';
import { createRecheck, StandingLost } from './recheck.ts';
import { createLoginRoutes } from './routes.ts';
import { watchTokens } from './tokens.ts';
import { serveUpstreams } from './upstream-routes.ts';

export interface AuthorizationServer {
  /** People's own credentials at upstreams. */
  readonly credentials: UserCredentials;
  /** What a configuration's section `login` is served with. Throws in words where it can't take force. */
  open(config: Config, keyring: Keyring): Promise<Login | undefined>;
  /** Whether the request is one of its own; if so it is answered. */
  serve(request: IncomingMessage, response: ServerResponse): Promise<boolean>;
  /** The principal of one of the gateway's own tokens; undefined for a token of another issuer. */
  check(token: string, connection: string, login: Login): Promise<Principal | undefined>;
  /** Asks for the standing of people whose sessions are open here, where it is time to. Rejects where that failed. */
  renew(sessions: readonly string[]): Promise<void>;
  /** The person may not be here any more: their own credentials at upstreams go. Never rejects. */
  forgetAccounts(person: { readonly issuer: string; readonly subject: string }): Promise<void>;
  /** Something went wrong for a person: for their own page. */
  noteError(principal: Principal, connection: string, error: { words: string; reference: string }): void;
}

export interface AuthorizationServerDeps {
  readonly state: Store;
  readonly audit: Store;
  readonly ends: Ends;
  readonly clock: Clock;
  readonly ownSecret: Buffer;
  /** Of the configuration in force. */
  login(): Login | undefined;
  config(): Config;
  /** Who reads `gcp-secret:` references. */
  readonly secrets: GoogleSecrets;
  /** Why an operator keeps somebody out, in words for them; undefined where nobody does. */
  blocked(principal: { issuer: string; subject: string; email?: string }): string | undefined;
  /** A person's own upstream credential could not be refreshed; the one before it is still in use. */
  refreshFailed(connection: string, error: unknown): void;
  addressOf(request: IncomingMessage): string;
  /** A step failed in a way that nobody foresaw; it was answered as such. */
  failed(error: unknown): void;
  refused(facts: { address: string; reason: string; connection?: string; detail?: string }): void;
  event(name: string, details: Record<string, unknown>): Promise<void>;
  /** Calls that wait for a person, and access for a time. */
  readonly approving: Approving;
}

/** Questions to identity providers and directories at once, of one replica. */
const RECHECKS_AT_ONCE = 8;
/** Requests of one address. A client registers once, logs in a few times a day, and refreshes when it has to. */
const RATES = {
  registration: { perMinute: 10, burst: 20, overall: 300 },
  authorize: { perMinute: 60, burst: 120, overall: 3000 },
  token: { perMinute: 120, burst: 240, overall: 6000 },
  /** Pages of people: consent, `/connect`, the ways back from other sites. A login opens half a dozen. */
  pages: { perMinute: 240, burst: 480, overall: 12_000 },
};

export function createAuthorizationServer(deps: AuthorizationServerDeps): AuthorizationServer {
  const { state, audit, ends, clock, event, refused } = deps;
  const now = (): number => clock.millis();
  const grants = createGrants({ state, audit, ends, clock });
  const flow = createLoginFlow({ state, now });
  const consents = createConsents({ state, now });
  const browsers = createBrowsers({ state, now });
  const errors = createLastErrors({ state, now });
  const keyring = keyringInForce(deps);
  const publicUrl = (): string => deps.config().publicUrl;
  const { credentials, consent } = openUserCredentials({
    state,
    keyring,
    now,
    publicUrl,
    secrets: deps.secrets,
    refreshFailed: deps.refreshFailed,
  });
  const accounts = createAccounts({ state, now, consent, credentials });
  const recheck = createRecheck({
    state,
    clock,
    rules: () => rulesOf(deps.login()),
    changed: ({ session, connection, subject }, groups) =>
      event('groups.changed', { session, connection, subject, groups }),
  });
  const own = createOwnTokens({
    grants,
    recheck,
    now,
    async lost({ session, connection, subject, issuer }, reason) {
      await event('session.lost', { session, connection, subject, issuer, reason });
      const target = deps.config().connections[connection];
      if (target !== undefined) await accounts.forget(target, { issuer, subject }, reason);
    },
  });
  const authorize = createAuthorize({ grants, now, event, blocked: deps.blocked });
  const interactions = createInteractions({ flow, authorize, consents, browsers, accounts, event, refused });
  const connect = createConnect({ flow, grants, consents, browsers, errors, accounts, now, event, refused });
  const { approving, blocked } = deps;
  const surface = createApprovalsSurface({ ...approving, flow, state, now, blocked, event, refused });
  const routes = createLoginRoutes({
    login: deps.login,
    flow,
    interactions,
    connect,
    rates: {
      registration: createRate({ ...RATES.registration, now }),
      authorize: createRate({ ...RATES.authorize, now }),
      token: createRate({ ...RATES.token, now }),
      pages: createRate({ ...RATES.pages, now }),
    },
    now,
    addressOf: deps.addressOf,
    refused,
    event,
    more: async (visit) => (await surface.serve(visit)) || serveUpstreams(accounts, visit),
  });

  async function serverOf(login: Login, connection: string): Promise<Provider> {
    const { config, keyring, clients } = login;
    const library = await import('oidc-provider');
    const provider = createProvider({
      library,
      config,
      connection,
      keyring,
      clients,
      grants,
      adapters: {
        state,
        grants,
        now,
        ended: (session, reason) => event('session.revoked', { session, connection, reason }),
      },
      mayGoOn: (session) => mayGoOn(session),
      async openAgent(clientId, address) {
        const target = config.connections[connection];
        if (target === undefined) throw new library.errors.InvalidClient('its connection is gone');
        return authorize.agent({ login, connection: target, clientId }, { address });
      },
      failed: deps.failed,
      idJag: idJagProviders(login).length > 0,
    });
    createIdJags({ library, state, authorize, now }).accept(provider, login, connection);
    watchTokens(provider, { state, keyring, connection, event, refused });
    return provider;
  }

  async function mayGoOn(session: string): Promise<boolean> {
    await own.renew(session);
    const record = await grants.find(session);
    return record !== undefined && deps.blocked(record) === undefined;
  }

  return {
    credentials,
    async open(config, keyring) {
      if (config.login === undefined) return undefined;
      return openLogin(config, config.login, {
        state,
        now,
        keyring,
        documentFailed: (host, failure) =>
          refused({ address: 'gateway', reason: 'client_document', detail: `${host}: ${failure}` }),
        serverOf,
      });
    },
    serve: routes.serve,
    async check(token, name, login) {
      const connection = login.config.connections[name];
      if (connection === undefined) throw new GatewayError('not_found');
      return own.check(token, connection, login.config, login.keyring);
    },
    async renew(sessions) {
      const waiting = [...sessions];
      const failures: unknown[] = [];
      // Many log in at nine o'clock: an identity provider is not asked about all of them at once.
      const work = async (): Promise<void> => {
        for (let session = waiting.pop(); session !== undefined; session = waiting.pop()) {
          await own.renew(session).catch((error: unknown) => failures.push(error));
        }
      };
      await Promise.all(Array.from({ length: RECHECKS_AT_ONCE }, work));
      if (failures.length > 0) throw failures[0];
    },
    async forgetAccounts(person) {
      const connections = Object.values(deps.config().connections);
      // What could not be deleted is of no use while they may not be here, and is tried again at the next start.
      await Promise.allSettled(connections.map((one) => accounts.forget(one, person, 'blocked')));
    },
    noteError: (principal, connection, error) => errors.note(accountIdOf(principal), connection, error),
  };
}

function rulesOf(login: Login | undefined) {
  // Without a section `login` nobody who logged in through it may be here.
  if (login === undefined) throw new StandingLost('refused_by_provider');
  const { settings, config, keyring, providers } = login;
  return {
    every: settings.recheckEvery,
    within: settings.recheckWithin,
    keyring,
    provider: (name: string) => providers.get(name)?.protocol,
    agentGroups: (clientId: string) => settings.clients[clientId]?.agent?.groups,
    groupsOf: (connection: string) => config.connections[connection]?.groups ?? [],
  };
}

/** What is sealed for as long as a person's account is connected outlives configurations: whichever is in force opens it. */
function keyringInForce(deps: Pick<AuthorizationServerDeps, 'login' | 'ownSecret'>): Sealing {
  const own = createKeyring([deps.ownSecret]);
  const current = (): Keyring => deps.login()?.keyring ?? own;
  return {
    seal: (...given) => current().seal(...given),
    open: (...given) => current().open(...given),
  };
}
