/** `/connect`: a person's connections, what they have allowed, what is open, and how clients are told of it. */

import { randomBytes } from 'node:crypto';
import type { IncomingMessage, ServerResponse } from 'node:http';
import { LoginRefused } from '../broker/identity-provider.ts';
import { loggedWords } from '../broker/refusal.ts';
import { connectPage } from '../pages/connect.ts';
import { messagePage, onwardPage } from '../pages/message.ts';
import { chooseProviderPage, signInPage } from '../pages/sign-in.ts';
import type { Browsers, KnownPerson } from './browser.ts';
import { type ConnectionsDeps, createConnectionsOf, mayOpen } from './connect-connections.ts';
import type { LoginFlow } from './flow.ts';
import { type Login, providerFor } from './login.ts';
import { cookieOf, hostCookieName, isFromHere, readForm, redirect, sendPage, setCookie } from './web.ts';

export interface ConnectVisit {
  readonly login: Login;
  readonly request: IncomingMessage;
  readonly response: ServerResponse;
  readonly path: string;
  readonly query: URLSearchParams;
  readonly address: string;
}

export interface ConnectDeps extends ConnectionsDeps {
  readonly flow: LoginFlow;
  readonly browsers: Browsers;
  readonly now: () => number;
  event(name: string, details: Record<string, unknown>): Promise<void>;
  /** Counts what anybody can cause without a login. */
  refused(facts: { address: string; reason: string; detail: string }): void;
}

export interface Connect {
  /** A GET or POST at or below `/connect`. */
  serve(visit: ConnectVisit): Promise<void>;
}

const BINDING = 'verbatim-login';
const MOST_FORM = 16 * 1024;
const NOTICES = new Map([
  ['ended', 'The session has ended. Its client has to log in again.'],
  ['forgotten', 'The client is forgotten. It asks for your consent the next time.'],
  ['connected', 'Your account is connected.'],
  ['disconnected', 'Your account is disconnected: its keys are deleted here, and revoked where its server takes that.'],
]);

export function createConnect(deps: ConnectDeps): Connect {
  const { flow, grants, consents, browsers, accounts, now } = deps;
  const connectionsOf = createConnectionsOf(deps);

  function csrfFor(login: Login, binding: string): string {
    return login.keyring.mac('csrf', binding);
  }

  /** What a form of this browser is bound to: the cookie of a login under way, made where there is none. */
  function bindingOf({ login, request, response }: ConnectVisit): string {
    const { publicUrl } = login.config;
    const there = cookieOf(request, hostCookieName(publicUrl, BINDING));
    if (there !== undefined && /^[A-Za-z0-9_-]{43}$/.test(there)) return there;
    const value = randomBytes(32).toString('base64url');
    setCookie(response, publicUrl, { name: BINDING, value, seconds: 86_400 });
    return value;
  }

  function askWho(visit: ConnectVisit, more: { email?: string; problem?: string } = {}): void {
    const { login, response, query } = visit;
    const then = placeOf(query.get('then') ?? visit.path);
    const form = {
      action: `${login.config.publicUrl}/connect/login?then=${encodeURIComponent(then)}`,
      csrf: csrfFor(login, bindingOf(visit)),
      formOrigins: [],
    };
    const providers = [...login.providers.values()];
    const [provider] = providers;
    const page =
      provider !== undefined && providers.length === 1
        ? signInPage({ ...form, provider })
        : chooseProviderPage({ ...form, providers, ...more });
    sendPage(response, page);
  }

  async function signIn(visit: ConnectVisit, form: URLSearchParams): Promise<void> {
    const { login, response, query } = visit;
    const email = form.get('email') ?? undefined;
    const provider = providerFor(login, email);
    if (provider === undefined) {
      const problem = 'Nobody of this domain logs in here. Write your work e-mail address.';
      return askWho(visit, { ...(email === undefined ? {} : { email }), problem });
    }
    const purpose = { kind: 'browser' as const, binding: bindingOf(visit), place: placeOf(query.get('then')) };
    const href = await flow.begin(login, purpose, provider.name, email);
    sendPage(response, onwardPage({ href, title: provider.title }));
  }

  async function show(visit: ConnectVisit, person: KnownPerson): Promise<void> {
    const { login, response, query } = visit;
    const { publicUrl } = login.config;
    const notice = NOTICES.get(query.get('done') ?? '');
    const page = connectPage({
      person: {
        provider: login.providers.get(person.provider)?.title ?? person.provider,
        ...(person.name === undefined ? {} : { name: person.name }),
        ...(person.email === undefined ? {} : { email: person.email }),
      },
      connections: await connectionsOf(login, person),
      action: `${publicUrl}/connect`,
      signOutAction: `${publicUrl}/connect/sign-out`,
      csrf: csrfFor(login, bindingOf(visit)),
      formOrigins: [],
      now: now(),
      ...(notice === undefined ? {} : { notice: { kind: 'good', words: notice } }),
    });
    sendPage(response, page);
  }

  async function act(visit: ConnectVisit, person: KnownPerson, form: URLSearchParams): Promise<void> {
    const { login, response, address } = visit;
    const { publicUrl } = login.config;
    const [end, forget] = [form.get('end'), form.get('forget')];
    const { issuer, subject } = person;
    if (end !== null) {
      const own = (await grants.ofPerson(issuer, subject, login.config.sessions.longest)).some(
        ({ session }) => session === end,
      );
      if (own) {
        await deps.event('session.signed_out', { session: end, subject, issuer, address });
        await grants.end(end, 'signed_out');
      }
      return redirect(response, `${publicUrl}/connect?done=ended`);
    }
    if (forget !== null) {
      await consents.forget(person.account, forget);
      return redirect(response, `${publicUrl}/connect?done=forgotten`);
    }
    const connection = login.config.connections[form.get('connection') ?? ''];
    if (
      !['connect', 'disconnect'].includes(form.get('account') ?? '') ||
      connection === undefined ||
      !mayOpen(person, connection)
    ) {
      return redirect(response, `${publicUrl}/connect`);
    }
    if (form.get('account') === 'disconnect') {
      await deps.event('account.disconnected', { connection: connection.name, issuer, subject, address });
      await accounts.forget(connection, person, 'disconnected');
      return redirect(response, `${publicUrl}/connect?done=disconnected`);
    }
    const href = await accounts.begin(login, connection, person, `${publicUrl}/connect/account/${connection.name}`);
    sendPage(response, onwardPage({ href, title: connection.title ?? connection.name }));
  }

  async function post(visit: ConnectVisit): Promise<void> {
    const { login, request, response, path } = visit;
    const { publicUrl } = login.config;
    const form = isFromHere(request, publicUrl) ? await readForm(request, MOST_FORM) : undefined;
    const binding = cookieOf(request, hostCookieName(publicUrl, BINDING));
    if (
      form === undefined ||
      binding === undefined ||
      !login.keyring.verifyMac('csrf', binding, form.get('csrf') ?? '')
    ) {
      deps.refused({ address: visit.address, reason: 'login_refused', detail: 'form' });
      const words = 'This form is too old, or was not made by this gateway.';
      return sendPage(response, messagePage({ status: 400, title: 'Not done', words, action: again(publicUrl) }));
    }
    if (path === '/connect/login') return signIn(visit, form);
    const person = await browsers.whoIs(login, request);
    if (path === '/connect/sign-out') {
      await browsers.forget(login, request, response);
      const words = 'Sessions of your clients go on. End them on the page with your connections before you sign out.';
      return sendPage(
        response,
        messagePage({ status: 200, title: 'You are signed out', words, action: again(publicUrl) }),
      );
    }
    return person === undefined ? askWho(visit) : act(visit, person, form);
  }

  /** The ticket is worth something to the browser that began this login, and to no other. */
  async function finish(visit: ConnectVisit): Promise<void> {
    const { login, request, response, query } = visit;
    const { publicUrl } = login.config;
    const content = await flow.redeem(login, query.get('ticket') ?? '');
    const binding = cookieOf(request, hostCookieName(publicUrl, BINDING));
    if (content?.purpose.kind !== 'browser' || content.purpose.binding !== binding) {
      throw new LoginRefused(
        'login_over',
        'This login took too long, was finished already, or was begun in another browser.',
      );
    }
    const { outcome, purpose } = content;
    if (outcome.kind === 'refused') {
      await deps.event('login.refused', {
        reason: outcome.code,
        detail: outcome.logged ?? outcome.words,
        address: visit.address,
      });
      const page = { status: 403, title: 'You are not logged in', words: outcome.words, action: again(publicUrl) };
      return sendPage(response, messagePage(page));
    }
    const { identity, provider } = outcome;
    const { issuer, subject, email, name, groups } = identity;
    await browsers.remember(login, response, {
      provider,
      issuer,
      subject,
      groups,
      ...(email === undefined ? {} : { email }),
      ...(name === undefined ? {} : { name }),
    });
    await deps.event('login', { provider, issuer, subject, groups, address: visit.address });
    redirect(response, `${publicUrl}${placeOf(purpose.place)}`);
  }

  /** Back from an upstream's consent, in the browser of the person who went there. */
  async function connected(visit: ConnectVisit, name: string): Promise<void> {
    const { login, request, response, query, address } = visit;
    const connection = login.config.connections[name];
    const person = await browsers.whoIs(login, request);
    if (person === undefined || connection === undefined) return askWho(visit);
    await accounts.finish(login, connection, person, query.get('answer') ?? '');
    const { issuer, subject } = person;
    await deps.event('account.connected', { connection: name, issuer, subject, address });
    redirect(response, `${login.config.publicUrl}/connect?done=connected`);
  }

  async function route(visit: ConnectVisit): Promise<void> {
    const { login, request, response, path } = visit;
    if (request.method === 'POST') return post(visit);
    if (path === '/connect/finish') return finish(visit);
    const [, account] = /^\/connect\/account\/([a-z][a-z0-9-]*)$/.exec(path) ?? [];
    if (account !== undefined) return connected(visit, account);
    if (path === '/connect' || /^\/connect\/[a-z][a-z0-9-]*$/.test(path)) {
      const person = await browsers.whoIs(login, request);
      return person === undefined ? askWho(visit) : show(visit, person);
    }
    redirect(response, `${login.config.publicUrl}/connect`);
  }

  return {
    async serve(visit) {
      try {
        await route(visit);
      } catch (error) {
        if (!(error instanceof LoginRefused)) throw error;
        const { publicUrl } = visit.login.config;
        const facts = { address: visit.address, detail: error.code };
        if (error.code === 'login_over') deps.refused({ ...facts, reason: 'login_refused' });
        else await deps.event('login.refused', { ...facts, reason: error.code, detail: loggedWords(error) });
        const status = error.code === 'provider_unavailable' ? 503 : 400;
        const page = { status, title: 'This login can not go on', words: error.message, action: again(publicUrl) };
        sendPage(visit.response, messagePage(page));
      }
    },
  };
}

function again(publicUrl: string): { label: string; href: string } {
  return { label: 'Your connections', href: `${publicUrl}/connect` };
}

/** Only places of these pages: an address from a query must lead nowhere else. */
function placeOf(asked: string | null): string {
  return asked !== null && /^\/connect(\/[a-z][a-z0-9-]*)?$/.test(asked) ? asked : '/connect';
}
