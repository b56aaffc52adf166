/**
 * How a command on a terminal gets a token of those who approve: authorization code with PKCE S256 (RFC 7636) on a loopback
 * redirect (RFC 8252), asked for and agreed to in the browser of a person who is logged in to these pages. The code that
 * the page shows is made of the challenge, so that the terminal that drew it shows the same, and no other one does.
 */
import { createHash, randomBytes } from 'node:crypto';
import type { Store } from '../../store/store.ts';
import { allowCommandPage } from '../pages/allow-command.ts';
import { messagePage } from '../pages/message.ts';
import { type Approver, type Approvers, audienceOf, freshnessOf, type KnownApprover, type Level } from './approver.ts';
import type { ApproverLogin } from './approver-login.ts';
import { confirmationCode } from './confirmation-code.ts';
import type { Login } from './login.ts';
import { over } from './login-words.ts';
import { createOneTime } from './one-time.ts';
import type { GatewayVisit } from './routes.ts';
import { readForm, redirect, sendJson, sendPage } from './web.ts';

export interface ApproverAuthorize {
  /** GET: asks the person; POST: their answer. Throws `LoginRefused`. */
  authorize(visit: GatewayVisit, known: KnownApprover | undefined, form?: URLSearchParams): Promise<void>;
  /** POST `/approvals/token`: a code and its verifier for a token. */
  token(visit: GatewayVisit): Promise<void>;
}

interface Asked {
  readonly redirect: string;
  readonly state: string;
  readonly challenge: string;
  readonly level: Level;
  /** What the command says it is. Anybody can write it. */
  readonly command: string;
}

interface Code {
  readonly challenge: string;
  readonly redirect: string;
  readonly approver: Approver;
}

const CODE_MS = 60_000;
const MOST_FORM = 4096;
const CSRF = 'csrf/approver-command';

export function createApproverAuthorize(deps: {
  readonly state: Store;
  readonly now: () => number;
  readonly approvers: Approvers;
  readonly logins: ApproverLogin;
  event(name: string, details: Record<string, unknown>): Promise<void>;
  refused(facts: { address: string; reason: string; detail: string }): void;
}): ApproverAuthorize {
  const { state, now, approvers, logins } = deps;
  const codes = ({ keyring }: Login) =>
    createOneTime<Code>({ state, now, keyring, folder: 'approver-codes', purpose: 'approver-code' });

  function back({ login, response }: GatewayVisit, asked: Asked, answer: Record<string, string>): void {
    const url = new URL(asked.redirect);
    // `iss`: RFC 9207.
    const all = { ...answer, state: asked.state, iss: audienceOf(login) };
    for (const [name, value] of Object.entries(all)) url.searchParams.set(name, value);
    redirect(response, url.href);
  }

  /** The form belongs to this browser's login and to exactly this request. */
  function bound({ secret }: KnownApprover, asked: Asked): string {
    return JSON.stringify([secret, asked]);
  }

  function ask({ login, request, response }: GatewayVisit, known: KnownApprover, asked: Asked): void {
    const page = allowCommandPage({
      command: asked.command,
      code: confirmationCode(asked.challenge),
      level: asked.level,
      who: known.person.email ?? known.name ?? known.person.subject,
      redirect: asked.redirect,
      action: `${login.config.publicUrl}${request.url}`,
      csrf: login.keyring.mac(CSRF, bound(known, asked)),
    });
    sendPage(response, page);
  }

  async function answered(visit: GatewayVisit, known: KnownApprover, asked: Asked, form: URLSearchParams) {
    const { login, address } = visit;
    if (!login.keyring.verifyMac(CSRF, bound(known, asked), form.get('csrf') ?? '')) throw over();
    if (form.get('action') !== 'continue') return back(visit, asked, { error: 'access_denied' });
    const { secret: _, authenticated, ...rest } = known;
    // A command that only reads gets nothing that decides.
    const approver = asked.level === 'decide' && authenticated !== undefined ? { ...rest, authenticated } : rest;
    const code = randomBytes(32).toString('base64url');
    await codes(login).put(code, { challenge: asked.challenge, redirect: asked.redirect, approver }, CODE_MS);
    const { issuer, subject } = known.person;
    await deps.event('approver.command', { issuer, subject, level: asked.level, address });
    back(visit, asked, { code });
  }

  return {
    async authorize(visit, known, form) {
      const asked = readAsked(visit.query);
      if (typeof asked === 'string') {
        deps.refused({ address: visit.address, reason: 'login_refused', detail: 'approver_request' });
        const words = `The command asked in a way that is not taken here: ${asked}`;
        return sendPage(visit.response, messagePage({ status: 400, title: 'This can not go on', words }));
      }
      const isEnough = known !== undefined && (asked.level === 'read' || freshnessOf(known, now()) !== undefined);
      if (!isEnough) return logins.ask(visit, asked.level);
      return form === undefined ? ask(visit, known, asked) : answered(visit, known, asked, form);
    },

    async token({ login, request, response, address }) {
      const form = await readForm(request, MOST_FORM);
      const [code, verifier, redirectUri] = ['code', 'code_verifier', 'redirect_uri'].map((name) => once(form, name));
      const kept = code === undefined ? undefined : await codes(login).take(code);
      if (
        once(form, 'grant_type') !== 'authorization_code' ||
        kept === undefined ||
        kept.redirect !== redirectUri ||
        verifier === undefined ||
        !/^[A-Za-z0-9._~-]{43,128}$/.test(verifier) ||
        createHash('sha256').update(verifier).digest('base64url') !== kept.challenge
      ) {
        deps.refused({ address, reason: 'login_refused', detail: 'approver_code' });
        return sendJson(response, 400, { error: 'invalid_grant' });
      }
      const { token, life } = await approvers.token(login, kept.approver);
      const answer = { access_token: token, token_type: 'Bearer', expires_in: Math.floor(life / 1000) };
      sendJson(response, 200, { ...answer, scope: kept.approver.authenticated === undefined ? 'read' : 'decide' });
    },
  };
}

/** Exactly one value of a parameter: two are two opinions. */
function once(from: URLSearchParams | undefined, name: string): string | undefined {
  const [value, another] = from?.getAll(name) ?? [];
  return another === undefined ? value : undefined;
}

/** What is asked, or words on what is wrong with it. None of it is told to the redirect address, which is not trusted yet. */
function readAsked(query: URLSearchParams): Asked | string {
  const read = (name: string): string => once(query, name) ?? '';
  const [redirectUri, state, challenge] = [read('redirect_uri'), read('state'), read('code_challenge')];
  const [level, command] = [read('scope'), read('command')];
  if (read('response_type') !== 'code') return 'response_type has to be code.';
  if (read('code_challenge_method') !== 'S256' || !/^[A-Za-z0-9_-]{43}$/.test(challenge)) return 'PKCE has to be S256.';
  const port = /^http:\/\/127\.0\.0\.1:([1-9]\d{0,4})\/[A-Za-z0-9_-]{0,64}$/.exec(redirectUri)?.[1];
  if (port === undefined || Number(port) > 65_535) return 'redirect_uri has to be a port of 127.0.0.1.';
  if (!/^[A-Za-z0-9_-]{16,128}$/.test(state)) return 'state is missing.';
  if (level !== 'read' && level !== 'decide') return 'scope has to be read or decide.';
  if (command === '' || command.length > 300) return 'command is missing, or longer than 300 characters.';
  return { redirect: redirectUri, state, challenge, level, command };
}
