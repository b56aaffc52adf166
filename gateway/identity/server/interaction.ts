/**
 * From a client's authorization request to its code: consent on the gateway's own page, the login at the identity
 * provider, the grant. Consent comes before the provider is asked, for each client, way back and connection: without it
 * any page could have a code made for a client of its own (MCP security best practices, confused deputy).
 */
import type { IncomingMessage, ServerResponse } from 'node:http';
import type { default as Provider } from 'oidc-provider';
import type { ConnectionConfig } from '../../config.ts';
import { LoginRefused } from '../broker/identity-provider.ts';
import { loggedWords } from '../broker/refusal.ts';
import type { ClientOrigin } from '../clients/clients.ts';
import { redirectHostOf } from '../clients/redirects.ts';
import { mayEnter } from '../entering.ts';
import { consentPage } from '../pages/consent.ts';
import { messagePage, onwardPage } from '../pages/message.ts';
import type { Accounts } from './accounts.ts';
import type { Authorize } from './authorize.ts';
import { bind, browserOf } from './binding.ts';
import type { Browsers, Person } from './browser.ts';
import type { Consent, Consents } from './consents.ts';
import type { LoginFlow, LoginOutcome, LoginPurpose, Ticket } from './flow.ts';
import { accountIdOf } from './grants.ts';
import { issuerOf } from './issuer.ts';
import { type Login, providerFor } from './login.ts';
import { asciiWords, factsOf, type Identified, over, type Refused, shown, wordsFor } from './login-words.ts';
import { isFromHere, readForm, sendPage } from './web.ts';

export interface InteractionDeps {
  readonly flow: LoginFlow;
  readonly authorize: Authorize;
  readonly consents: Consents;
  readonly browsers: Browsers;
  /** Records an event of the system strand; resolves when it is durable. */
  event(name: string, details: Record<string, unknown>): Promise<void>;
  /** Counts what anybody can cause without a login. */
  refused(facts: { address: string; reason: string; connection: string; detail: string }): void;
  readonly accounts: Accounts;
}

export interface Visit {
  readonly login: Login;
  readonly connection: ConnectionConfig;
  readonly request: IncomingMessage;
  readonly response: ServerResponse;
  /** Of the client, for the record. */
  readonly address: string;
  readonly uid: string;
  readonly query: URLSearchParams;
}

export interface Interactions {
  /** GET: asks for consent, or goes on where that was given before. */
  show(visit: Visit): Promise<void>;
  /** POST: the person's answer. */
  answer(visit: Visit): Promise<void>;
  /** GET with a ticket: back from the identity provider. */
  finish(visit: Visit): Promise<void>;
}

/** What an authorization request is about. */
interface Asked extends Visit {
  readonly server: Provider;
  /** Of this browser to this login (binding.ts). */
  readonly binding: string;
  readonly client: { readonly id: string; readonly name: string };
  readonly origin: ClientOrigin;
  readonly redirectUri: string;
  readonly mustAsk: boolean;
}

/** Who vouches for a client's name. */
const VERIFIED = {
  builtIn: 'registered',
  registered: 'registered',
  document: 'document',
  dynamic: 'self-registered',
} as const satisfies Record<ClientOrigin, string>;
const MOST_FORM = 16 * 1024;

export function createInteractions(deps: InteractionDeps): Interactions {
  const { flow, authorize, consents, browsers, accounts } = deps;

  /** Throws `SessionNotFound` of oidc-provider where this browser did not begin this login. */
  async function open(visit: Visit): Promise<Asked> {
    const { login, request, response, uid } = visit;
    const server = await login.serverOf(visit.connection.name);
    const details = await server.interactionDetails(request, response);
    if (details.uid !== uid) throw over();
    // A browser that should have one and has not gets another one, which fits no form and no ticket.
    const binding = bind(request, response, { publicUrl: login.config.publicUrl, uid });
    const clientId = String(details.params.client_id);
    const found = await login.clients.find(clientId);
    if (found === undefined) throw over();
    const { origin, metadata } = found;
    const client = { id: clientId, name: metadata.client_name ?? 'A program without a name' };
    const { redirect_uri: redirectUri, prompt } = details.params;
    const mustAsk = String(prompt ?? '')
      .split(' ')
      .includes('consent');
    return { ...visit, server, binding, client, origin, redirectUri: String(redirectUri), mustAsk };
  }

  function consentOf({ client, redirectUri, connection }: Asked): Consent {
    return { client, redirectHost: redirectHostOf(redirectUri), connection: connection.name };
  }

  function purposeOf({ connection, uid, binding }: Asked): LoginPurpose & { kind: 'client' } {
    return { kind: 'client', connection: connection.name, uid, browser: browserOf(binding) };
  }

  async function toProvider(asked: Asked, provider: string, hint?: string, remembered?: string): Promise<void> {
    const { login, response } = asked;
    const purpose = { ...purposeOf(asked), ...(remembered === undefined ? {} : { remembered }) };
    const href = await flow.begin(login, purpose, provider, hint);
    sendPage(response, onwardPage({ href, title: login.providers.get(provider)?.title ?? provider }));
  }

  function ask(asked: Asked, more: { ticket?: string; email?: string; problem?: string } = {}): void {
    const { login, connection, client, origin, redirectUri, response } = asked;
    const { ticket, ...question } = more;
    const page = consentPage({
      client: {
        ...client,
        verified: VERIFIED[origin],
        ...(origin === 'document' ? { host: new URL(client.id).host } : {}),
      },
      redirect: redirectUri,
      connection: {
        name: connection.name,
        title: connection.title ?? connection.name,
        host: new URL(issuerOf(login.config, connection.name)).host,
        recording: connection.recording,
      },
      lasts: login.config.sessions,
      // Who is known already need not say again who they are.
      providers: [...login.providers.values()].slice(0, ticket === undefined ? undefined : 1),
      action: `${addressOf(asked)}${ticket === undefined ? '' : `?ticket=${ticket}`}`,
      csrf: login.keyring.mac('csrf', asked.binding),
      formOrigins: [redirectUri],
      ...question,
    });
    sendPage(response, page);
  }

  /** The person of this browser, where they have allowed exactly this before. */
  async function rememberedPerson(asked: Asked): Promise<(Person & { account: string }) | undefined> {
    const person = await browsers.whoIs(asked.login, asked.request);
    if (person === undefined) return undefined;
    return (await consents.isRemembered(person.account, consentOf(asked))) ? person : undefined;
  }

  /** The person reads why; what the client is told goes out with their click on the way back to it. */
  async function explain(asked: Asked, outcome: Refused, who?: Identified): Promise<void> {
    const { connection, client, address, login, response } = asked;
    const { code, words } = outcome;
    const facts = { connection: connection.name, client: client.id, address, ...factsOf(who) };
    await deps.event('login.refused', { ...facts, reason: code, detail: outcome.logged ?? words });
    const ticket = await flow.issue(login, { purpose: purposeOf(asked), outcome });
    const href = `${addressOf(asked)}/finish?ticket=${ticket}&told=1`;
    const action = { label: `Back to ${client.name}`, href };
    const status = code === 'provider_unavailable' ? 503 : 403;
    sendPage(
      response,
      messagePage({ status, title: 'You are not logged in', words, details: shown(login, who), action }),
    );
  }

  /** RFC 6749, section 4.1.2.1. */
  async function refuse({ server, request, response }: Asked, { code, words }: Refused): Promise<void> {
    const error = code === 'provider_unavailable' ? 'temporarily_unavailable' : 'access_denied';
    const result = { error, error_description: asciiWords(words) };
    await server.interactionFinished(request, response, result, { mergeWithLastSubmission: false });
  }

  /** Who logged in is known, and consent was given: the grant, and back to the client. */
  async function complete(asked: Asked, outcome: Identified): Promise<void> {
    const { login, connection, request, response } = asked;
    const { provider, identity } = outcome;
    if (!mayEnter(connection, identity.groups)) {
      const words = `None of your groups may open a session on ${connection.title ?? connection.name}. Ask its owner for access.`;
      return explain(asked, { kind: 'refused', code: 'not_in_group', words }, outcome);
    }
    const entrance = { redirect: redirectHostOf(asked.redirectUri), address: asked.address };
    const record = await authorize.person(asked, provider, identity, entrance).catch((error: unknown) => {
      if (!(error instanceof LoginRefused)) throw error;
      return { kind: 'refused' as const, code: error.code, words: error.message };
    });
    if ('code' in record) return explain(asked, record, outcome);
    await consents.remember(accountIdOf(record), consentOf(asked));
    const { issuer, subject, email, name, groups } = identity;
    const known = await browsers.whoIs(login, request);
    if (known?.account !== accountIdOf(record)) {
      await browsers.remember(login, response, {
        provider,
        issuer,
        subject,
        ...(email === undefined ? {} : { email }),
        ...(name === undefined ? {} : { name }),
        groups,
      });
    }
    const result = {
      login: { accountId: accountIdOf(record), remember: false },
      consent: { grantId: record.session },
      // Compared when the code is given out: provider.ts.
      browser: browserOf(asked.binding),
    };
    await asked.server.interactionFinished(request, response, result, { mergeWithLastSubmission: false });
  }

  /** Each person is sent once through the consent of an upstream that is called with their own account. */
  async function needsAccount({ connection }: Asked, { identity }: LoginOutcome & { kind: 'identity' }) {
    if (!mayEnter(connection, identity.groups)) return false;
    const state = await accounts.stateOf(connection, identity);
    return state !== undefined && state.kind !== 'connected';
  }

  async function toUpstream(asked: Asked, content: Ticket & { outcome: { kind: 'identity' } }): Promise<void> {
    const { login, connection, response } = asked;
    const back = `${addressOf(asked)}/finish?ticket=${await flow.issue(login, content, 'consent')}`;
    const href = await accounts.begin(login, connection, content.outcome.identity, back);
    sendPage(response, onwardPage({ href, title: connection.title ?? connection.name }));
  }

  async function withTicket(asked: Asked, ticket: string): Promise<void> {
    const content = await flow.redeem(asked.login, ticket);
    const { connection, login } = asked;
    // The ticket is another login's: begun in another browser, or for another client.
    if (content?.purpose.kind !== 'client' || content.purpose.browser !== browserOf(asked.binding)) throw over();
    const { outcome, purpose } = content;
    if (outcome.kind === 'refused') return asked.query.has('told') ? refuse(asked, outcome) : explain(asked, outcome);
    const { remembered, ...rest } = purpose;
    if (remembered !== undefined && remembered !== accountIdOf(outcome.identity)) {
      // Somebody else has logged in than the one whose consent let the page be skipped.
      const again = await flow.issue(login, { purpose: { ...rest }, outcome });
      const { email } = outcome.identity;
      return ask(asked, { ticket: again, ...(email === undefined ? {} : { email }) });
    }
    const answer = asked.query.get('answer');
    if (answer !== null) await accounts.finish(login, connection, outcome.identity, answer);
    else if (await needsAccount(asked, outcome)) return toUpstream(asked, { purpose: rest, outcome });
    return complete(asked, outcome);
  }

  async function answered(asked: Asked, form: URLSearchParams): Promise<void> {
    const { login, query } = asked;
    if (!login.keyring.verifyMac('csrf', asked.binding, form.get('csrf') ?? '')) throw over();
    if (form.get('action') === 'cancel') {
      return refuse(asked, { kind: 'refused', code: 'cancelled', words: 'The person cancelled the login.' });
    }
    const ticket = query.get('ticket');
    if (ticket !== null) return withTicket(asked, ticket);
    const email = form.get('email') ?? undefined;
    const provider = providerFor(login, email);
    if (provider === undefined) {
      const problem = 'Nobody of this domain logs in here. Write your work e-mail address.';
      return ask(asked, { ...(email === undefined ? {} : { email }), problem });
    }
    return toProvider(asked, provider.name, email);
  }

  /** What a person can do nothing about but begin again is a page; nothing of it reaches the client. */
  async function guarded(visit: Visit, step: (asked: Asked) => Promise<void>): Promise<void> {
    try {
      await step(await open(visit));
    } catch (error) {
      const words = wordsFor(error);
      if (words === undefined) throw error;
      const facts = { connection: visit.connection.name, address: visit.address };
      // Anybody can ask for a login that is none, as often as they like.
      if (words.code === 'login_over') deps.refused({ ...facts, reason: 'login_refused', detail: words.code });
      else {
        const detail = error instanceof LoginRefused ? { detail: loggedWords(error) } : {};
        await deps.event('login.refused', { ...facts, reason: words.code, ...detail });
      }
      sendPage(visit.response, messagePage(words));
    }
  }

  return {
    show: (visit) =>
      guarded(visit, async (asked) => {
        // A client may want the person asked, whatever they have said before (OpenID Connect Core, section 3.1.2.1).
        const person = asked.mustAsk ? undefined : await rememberedPerson(asked);
        if (person === undefined) return ask(asked);
        return toProvider(asked, person.provider, person.email, person.account);
      }),
    answer: (visit) =>
      guarded(visit, async (asked) => {
        const { origin } = new URL(issuerOf(visit.login.config, visit.connection.name));
        const form = isFromHere(visit.request, origin) ? await readForm(visit.request, MOST_FORM) : undefined;
        if (form === undefined) throw over();
        return answered(asked, form);
      }),
    finish: (visit) => guarded(visit, (asked) => withTicket(asked, visit.query.get('ticket') ?? '')),
  };
}

/** Of this login at its own issuer. */
function addressOf({ login, connection, uid }: Visit): string {
  return `${issuerOf(login.config, connection.name)}/oauth/interaction/${uid}`;
}
