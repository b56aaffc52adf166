/**
 * The way to the company's identity provider and back. A login belongs to the browser that began it: whoever comes back
 * with an answer gets a ticket, and the ticket is worth something only to the browser that holds the cookie of the
 * login. So an answer that was injected, or a login that was begun for somebody else, ends nowhere.
 */
import { randomBytes } from 'node:crypto';
import type { Store } from '../../store/store.ts';
import { type BrokeredIdentity, type LoginAnswer, LoginRefused } from '../broker/identity-provider.ts';
import { loggedWords } from '../broker/refusal.ts';
import { checkDomain, type Login } from './login.ts';
import { createOneTime } from './one-time.ts';

/** What a login is for. */
export type LoginPurpose =
  /**
   * An OAuth client's authorization request, in the browser with this cookie (binding.ts); `remembered` is the person
   * whose consent let the page be skipped.
   */
  | {
      readonly kind: 'client';
      readonly connection: string;
      readonly uid: string;
      readonly browser: string;
      readonly remembered?: string;
    }
  /** The pages of this gateway, for the browser with this cookie. */
  | { readonly kind: 'browser'; readonly binding: string; readonly place: string }
  /** The pages of those who approve (approver-login.ts). `began`: seconds since the epoch. */
  | {
      readonly kind: 'approver';
      readonly browser: string;
      readonly place: string;
      readonly level: 'read' | 'decide';
      readonly began: number;
    };

export type LoginOutcome =
  | { readonly kind: 'identity'; readonly provider: string; readonly identity: BrokeredIdentity }
  /** `words` for the person, `logged` for the operator: neither holds a secret. */
  | { readonly kind: 'refused'; readonly code: string; readonly words: string; readonly logged?: string };

export interface Ticket {
  readonly purpose: LoginPurpose;
  readonly outcome: LoginOutcome;
}

interface Pending {
  readonly provider: string;
  readonly memory: Readonly<Record<string, string>>;
  readonly purpose: LoginPurpose;
}

/** Milliseconds. */
const LOGIN_MS = 600_000;
const TICKET_MS = 120_000;

export interface LoginFlow {
  /** Where the browser goes. Throws `LoginRefused`. */
  begin(login: Login, purpose: LoginPurpose, provider: string, loginHint?: string): Promise<string>;
  /** The browser is back. Gives what the login was for and a ticket for its outcome. Throws `LoginRefused` `login_over`. */
  callback(login: Login, provider: string, answer: LoginAnswer): Promise<Ticket & { readonly ticket: string }>;
  /** A ticket's content, once. */
  redeem(login: Login, ticket: string): Promise<Ticket | undefined>;
  /** Puts an outcome aside for the next step of the same browser: at once, or after a consent on another site. */
  issue(login: Login, content: Ticket, until?: 'next' | 'consent'): Promise<string>;
}

export function createLoginFlow(deps: { readonly state: Store; readonly now: () => number }): LoginFlow {
  const pendings = (login: Login) =>
    createOneTime<Pending>({ ...deps, folder: 'logins', purpose: 'login', keyring: login.keyring });
  const tickets = (login: Login) =>
    createOneTime<Ticket>({ ...deps, folder: 'tickets', purpose: 'ticket', keyring: login.keyring });
  const callbackOf = (login: Login, provider: string): string => `${login.config.publicUrl}/oauth/callback/${provider}`;

  async function issue(login: Login, content: Ticket, until: 'next' | 'consent' = 'next'): Promise<string> {
    const ticket = secret();
    await tickets(login).put(ticket, content, until === 'next' ? TICKET_MS : LOGIN_MS);
    return ticket;
  }

  async function finish(login: Login, answer: LoginAnswer, state: string, pending: Pending): Promise<LoginOutcome> {
    const provider = login.providers.get(pending.provider);
    if (provider === undefined) throw over();
    const { name, protocol } = provider;
    const { memory } = pending;
    const identity = await protocol.finish(answer, { state, callback: callbackOf(login, name), memory });
    checkDomain(provider, identity);
    return { kind: 'identity', provider: name, identity };
  }

  return {
    async begin(login, purpose, providerName, loginHint) {
      const provider = login.providers.get(providerName);
      if (provider === undefined) throw new LoginRefused('login_over', 'This identity provider is not configured.');
      const state = secret();
      const fresh = purpose.kind === 'approver' && purpose.level === 'decide';
      const { url, memory } = await provider.protocol.begin({
        state,
        ...(fresh ? { fresh } : {}),
        callback: callbackOf(login, providerName),
        ...(loginHint === undefined ? {} : { loginHint }),
      });
      await pendings(login).put(state, { provider: providerName, memory, purpose }, LOGIN_MS);
      return url;
    },
    async callback(login, providerName, answer) {
      const state = login.providers.get(providerName)?.protocol.stateOf(answer);
      const pending = state === undefined ? undefined : await pendings(login).take(state);
      // Each provider has a callback address of its own, so that one can not answer for another (RFC 9700, section 4.4).
      if (state === undefined || pending === undefined || pending.provider !== providerName) throw over();
      const outcome = await finish(login, answer, state, pending).catch((error: unknown): LoginOutcome => {
        if (!(error instanceof LoginRefused)) throw error;
        return { kind: 'refused', code: error.code, words: error.message, logged: loggedWords(error) };
      });
      const content = { purpose: pending.purpose, outcome };
      return { ...content, ticket: await issue(login, content) };
    },
    redeem: (login, ticket) => tickets(login).take(ticket),
    issue,
  };
}

function over(): LoginRefused {
  return new LoginRefused(
    'login_over',
    'This login is over: it took too long, was finished already, or belongs to another browser.',
  );
}

function secret(): string {
  return randomBytes(32).toString('base64url');
}
