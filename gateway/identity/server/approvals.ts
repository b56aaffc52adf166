/**
 * `/approvals` and `/access`: how people approve, and how they get access for a time. Everything here needs a login of its
 * own audience (approver.ts); what it changes is changed in gateway/sessions, which has the last word on who may.
 */
import type { Approvals } from '../../sessions/approval.ts';
import type { Windows } from '../../sessions/window.ts';
import type { Store } from '../../store/store.ts';
import { LoginRefused } from '../broker/identity-provider.ts';
import { loggedWords } from '../broker/refusal.ts';
import { messagePage } from '../pages/message.ts';
import { createAccessPages } from './access-pages.ts';
import { createApprovalsApi } from './approvals-api.ts';
import { createApprovalsPages } from './approvals-pages.ts';
import { createApprovers, type KnownApprover } from './approver.ts';
import { createApproverAuthorize } from './approver-authorize.ts';
import { createApproverLogin } from './approver-login.ts';
import { isFormOf, sendNothing } from './approver-page.ts';
import type { LoginFlow } from './flow.ts';
import { over } from './login-words.ts';
import type { GatewayVisit } from './routes.ts';
import { isFromHere, readForm, sendPage } from './web.ts';

/** The state behind it. */
export interface Approving {
  readonly approvals: Approvals;
  readonly windows: Windows;
}

export interface ApprovalsSurfaceDeps extends Approving {
  readonly flow: LoginFlow;
  readonly state: Store;
  /** Milliseconds since the epoch. */
  readonly now: () => number;
  /** Why an operator keeps somebody out, in words for them. */
  blocked(principal: { issuer: string; subject: string; email?: string }): string | undefined;
  event(name: string, details: Record<string, unknown>): Promise<void>;
  /** Counts what anybody can cause without a login. */
  refused(facts: { address: string; reason: string; detail: string }): void;
}

export interface ApprovalsSurface {
  /** Whether the request is one of these; if so it is answered. */
  serve(visit: GatewayVisit): Promise<boolean>;
}

const MOST_FORM = 16 * 1024;

export function createApprovalsSurface(deps: ApprovalsSurfaceDeps): ApprovalsSurface {
  const { approvals, windows, flow, state, now, blocked, event, refused } = deps;
  const approvers = createApprovers({ state, now });
  const logins = createApproverLogin({ flow, approvers, now, blocked, event });
  const authorize = createApproverAuthorize({ state, now, approvers, logins, event, refused });
  const api = createApprovalsApi({ approvals, windows, approvers, now, blocked, refused });
  const approvalsPages = createApprovalsPages({ approvals, logins, now });
  const accessPages = createAccessPages({ windows, logins, now });

  /** Of a POST that came from a page of this gateway. */
  async function formOf({ login, request }: GatewayVisit): Promise<URLSearchParams | undefined> {
    if (request.method !== 'POST') return undefined;
    const form = isFromHere(request, login.config.publicUrl) ? await readForm(request, MOST_FORM) : undefined;
    if (form === undefined) throw over();
    return form;
  }

  async function signOut(visit: GatewayVisit, known: KnownApprover | undefined, form: URLSearchParams): Promise<void> {
    const { login, request, response } = visit;
    if (known !== undefined && !isFormOf({ ...visit, approver: known }, 'sign-out', form)) throw over();
    await approvers.forget(login, request, response);
    const words =
      'You are signed out of approvals and access. Your clients and the page with your connections are not.';
    sendPage(response, messagePage({ status: 200, title: 'You are signed out', words }));
  }

  async function page(visit: GatewayVisit): Promise<void> {
    const { login, request, path } = visit;
    const form = await formOf(visit);
    const known = await approvers.ofPage(login, request);
    if (path === '/approvals/login') return form === undefined ? sendNothing(visit) : logins.begin(visit, form, known);
    if (path === '/approvals/finish') return logins.finish(visit);
    if (path === '/approvals/sign-out') return form === undefined ? sendNothing(visit) : signOut(visit, known, form);
    const words = known === undefined ? undefined : blocked(known.person);
    if (words !== undefined) return sendPage(visit.response, messagePage({ status: 403, title: 'Not for you', words }));
    if (path === '/approvals/authorize') return authorize.authorize(visit, known, form);
    if (known === undefined) return logins.ask(visit, 'read');
    const pages = path.startsWith('/approvals') ? approvalsPages : accessPages;
    await pages.serve({ ...visit, approver: known }, form);
  }

  async function refuse(visit: GatewayVisit, error: unknown): Promise<void> {
    if (!(error instanceof LoginRefused)) throw error;
    const { login, response, address } = visit;
    const facts = { address, detail: error.code };
    if (error.code === 'login_over') refused({ ...facts, reason: 'login_refused' });
    else await event('login.refused', { ...facts, reason: error.code, detail: loggedWords(error) });
    const status = error.code === 'provider_unavailable' ? 503 : 400;
    const action = { label: 'Approvals', href: `${login.config.publicUrl}/approvals` };
    sendPage(response, messagePage({ status, title: 'This can not go on', words: error.message, action }));
  }

  return {
    async serve(visit) {
      const { path, request } = visit;
      if (!/^\/(approvals|access)(\/|$)/.test(path)) return false;
      if (path.startsWith('/approvals/api/')) {
        await api.serve(visit);
        return true;
      }
      if (path === '/approvals/token') {
        if (request.method !== 'POST') return false;
        await authorize.token(visit);
        return true;
      }
      if (request.method !== 'GET' && request.method !== 'POST') return false;
      await page(visit).catch((error: unknown) => refuse(visit, error));
      return true;
    },
  };
}
