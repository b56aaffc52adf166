/**
 * The login of those who approve: apart from every other one, so that nothing that a client was given can decide. To decide
 * the identity provider has to ask anew who somebody is, and where it says when it did, that is compared.
 */
import { LoginRefused } from '../broker/identity-provider.ts';
import { loggedWords, refusal } from '../broker/refusal.ts';
import { messagePage, onwardPage } from '../pages/message.ts';
import { chooseProviderPage, signInPage } from '../pages/sign-in.ts';
import type { Approvers, KnownApprover, Level } from './approver.ts';
import { bind, bindingOf, browserOf } from './binding.ts';
import type { LoginFlow, LoginPurpose } from './flow.ts';
import { type Login, providerFor } from './login.ts';
import { factsOf, type Identified, over, shown } from './login-words.ts';
import type { GatewayVisit } from './routes.ts';
import { redirect, sendPage } from './web.ts';

export interface ApproverLogin {
  /** Asks the person to log in, and comes back to the visit's own address. */
  ask(visit: GatewayVisit, level: Level): void;
  /** A form that logs in again and comes back here: where it goes, and its secret. */
  formFor(visit: GatewayVisit, level: Level): LoginForm;
  /** POST `/approvals/login`. Throws `LoginRefused`. */
  begin(visit: GatewayVisit, form: URLSearchParams, known: KnownApprover | undefined): Promise<void>;
  /** GET `/approvals/finish`, with a ticket. Throws `LoginRefused`. */
  finish(visit: GatewayVisit): Promise<void>;
}

export interface LoginForm {
  readonly action: string;
  readonly csrf: string;
}

export interface ApproverLoginDeps {
  readonly flow: LoginFlow;
  readonly approvers: Approvers;
  /** Milliseconds since the epoch. */
  readonly now: () => number;
  blocked(principal: { issuer: string; subject: string; email?: string }): string | undefined;
  event(name: string, details: Record<string, unknown>): Promise<void>;
}

type ApproverPurpose = LoginPurpose & { kind: 'approver' };

/** Seconds by which clocks of identity provider and gateway may differ. */
const SKEW = 60;
/** Of the cookie of a login under way. No login of a client has this id: those are drawn by oidc-provider. */
const UID = 'approver';
const CSRF = 'csrf/approver-login';
const HEADINGS = {
  read: 'Log in to see approvals and access',
  decide: 'Log in again to decide',
} as const satisfies Record<Level, string>;

export function createApproverLogin(deps: ApproverLoginDeps): ApproverLogin {
  const { flow, approvers, now } = deps;

  function formTo(visit: GatewayVisit, level: Level, place: string): LoginForm {
    const { login, request, response } = visit;
    const { publicUrl } = login.config;
    const binding = bind(request, response, { publicUrl, uid: UID });
    const query = new URLSearchParams([
      ['level', level],
      ['then', place],
    ]);
    return { action: `${publicUrl}/approvals/login?${query}`, csrf: login.keyring.mac(CSRF, binding) };
  }

  function show(
    visit: GatewayVisit,
    { level, place }: { level: Level; place: string },
    more: { email?: string; problem?: string } = {},
  ): void {
    const { login, response } = visit;
    const form = { ...formTo(visit, level, place), heading: HEADINGS[level], formOrigins: [] };
    const providers = [...login.providers.values()];
    const [provider] = providers;
    const page =
      provider !== undefined && providers.length === 1
        ? signInPage({ ...form, provider })
        : chooseProviderPage({ ...form, providers, ...more });
    sendPage(response, page);
  }

  /** What ends this login, if something does. */
  function refusalOf(
    { settings }: Login,
    { identity, provider }: Identified,
    { level, began }: ApproverPurpose,
  ): LoginRefused | undefined {
    const words = deps.blocked(identity);
    if (words !== undefined) return new LoginRefused('principal_blocked', words);
    const { authenticated } = identity;
    if (level === 'read') return undefined;
    // OpenID Connect Core, section 3.1.2.1: with `max_age` the ID token has to say when. Google and Entra know no such thing.
    if (authenticated === undefined) {
      const mustSay = settings.providers[provider]?.oidc !== undefined;
      return mustSay ? refusal('not_fresh', 'the provider does not say when it asked (auth_time)') : undefined;
    }
    if (authenticated >= began - SKEW) return undefined;
    return refusal('not_fresh', 'the provider says that it asked at an earlier time');
  }

  async function refuse(
    { login, response, address }: GatewayVisit,
    { code, words, logged }: { code: string; words: string; logged?: string },
    who?: Identified,
  ): Promise<void> {
    await deps.event('login.refused', { reason: code, detail: logged ?? words, address, ...factsOf(who) });
    const action = { label: 'Approvals', href: `${login.config.publicUrl}/approvals` };
    const page = { status: 403, title: 'You are not logged in', words, details: shown(login, who), action };
    sendPage(response, messagePage(page));
  }

  async function enter(visit: GatewayVisit, who: Identified, { level }: ApproverPurpose): Promise<void> {
    const { login, response, address } = visit;
    const { provider, identity } = who;
    const { issuer, subject, email, name, groups, authenticated: said } = identity;
    const at = now();
    // A provider that does not say when is believed that it asked.
    const authenticated = Math.min(said ?? at / 1000, at / 1000);
    await deps.event('approver.login', { ...factsOf(who), level, authTime: said ?? null, address });
    await approvers.remember(login, response, {
      person: { kind: 'human', issuer, subject, ...(email === undefined ? {} : { email }), groups },
      ...(name === undefined ? {} : { name }),
      provider,
      loggedIn: at,
      ...(level === 'decide' ? { authenticated } : {}),
    });
  }

  return {
    ask: (visit, level) => show(visit, { level, place: placeOf(visit.request.url) }),
    formFor: (visit, level) => formTo(visit, level, placeOf(visit.request.url)),

    async begin(visit, form, known) {
      const { login, request, response, query } = visit;
      const { publicUrl } = login.config;
      const binding = bindingOf(request, { publicUrl, uid: UID });
      if (binding === undefined || !login.keyring.verifyMac(CSRF, binding, form.get('csrf') ?? '')) throw over();
      const level: Level = query.get('level') === 'decide' ? 'decide' : 'read';
      const place = placeOf(query.get('then'));
      const email = form.get('email') ?? known?.person.email;
      const provider = providerFor(login, email) ?? providerOf(login, known);
      if (provider === undefined) {
        const problem = 'Nobody of this domain logs in here. Write your work e-mail address.';
        return show(visit, { level, place }, { ...(email === undefined ? {} : { email }), problem });
      }
      const began = Math.floor(now() / 1000);
      const purpose = { kind: 'approver' as const, browser: browserOf(binding), place, level, began };
      const href = await flow.begin(login, purpose, provider.name, email);
      sendPage(response, onwardPage({ href, title: provider.title }));
    },

    async finish(visit) {
      const { login, request, response, query } = visit;
      const { publicUrl } = login.config;
      const content = await flow.redeem(login, query.get('ticket') ?? '');
      const binding = bindingOf(request, { publicUrl, uid: UID });
      // The ticket is worth something to the browser that began this login, and to no other.
      if (
        content?.purpose.kind !== 'approver' ||
        binding === undefined ||
        content.purpose.browser !== browserOf(binding)
      ) {
        throw over();
      }
      const { outcome, purpose } = content;
      if (outcome.kind === 'refused') return refuse(visit, outcome);
      const why = refusalOf(login, outcome, purpose);
      if (why !== undefined) {
        return refuse(visit, { code: why.code, words: why.message, logged: loggedWords(why) }, outcome);
      }
      await enter(visit, outcome, purpose);
      redirect(response, `${publicUrl}${placeOf(purpose.place)}`);
    },
  };
}

function providerOf(login: Login, known: KnownApprover | undefined) {
  return known === undefined ? undefined : login.providers.get(known.provider);
}

/** Only places of these pages: an address from a query must lead nowhere else. */
function placeOf(asked: string | null | undefined): string {
  const [path = '', query] = (asked ?? '').split('?', 2);
  if (path === '/approvals/authorize' && query !== undefined && /^[A-Za-z0-9%&=._~+-]{1,2048}$/.test(query)) {
    return `${path}?${query}`;
  }
  const isPage =
    /^\/(approvals(\/[a-f0-9-]{36})?|access(\/(requests|windows)\/[a-f0-9-]{36}|\/[a-z][a-z0-9-]{0,62})?)$/;
  return isPage.test(path) ? path : '/approvals';
}
