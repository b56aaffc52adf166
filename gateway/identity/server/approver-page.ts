/** What the pages of approvals and access do alike: who looks, what their forms are bound to, what becomes of a refusal. */
import { GatewayError } from '../../errors.ts';
import { freezeParts } from '../../sessions/freeze.ts';
import type { Around, FormTarget } from '../pages/approver.ts';
import { messagePage } from '../pages/message.ts';
import { freshnessOf, type KnownApprover } from './approver.ts';
import type { ApproverLogin } from './approver-login.ts';
import type { GatewayVisit } from './routes.ts';
import { sendPage } from './web.ts';

/** A page that somebody looks at who is logged in. */
export type ApproverVisit = GatewayVisit & { readonly approver: KnownApprover };

/** What a form does: its secret is good for that, on one page, in one browser's login. */
type Deed = 'decide' | 'request' | 'break-glass' | 'revoke' | 'review' | 'sign-out';

const CSRF = 'csrf/approver';
export const ID = '[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}';

export function formFor({ login, approver, path }: ApproverVisit, deed: Deed, at = path): FormTarget {
  const { publicUrl } = login.config;
  return { action: `${publicUrl}${at}`, csrf: login.keyring.mac(CSRF, JSON.stringify([approver.secret, at, deed])) };
}

export function isFormOf({ login, approver, path }: ApproverVisit, deed: Deed, form: URLSearchParams): boolean {
  return login.keyring.verifyMac(CSRF, JSON.stringify([approver.secret, path, deed]), form.get('csrf') ?? '');
}

/** The form, where the login is fresh enough to decide; else the login that comes before it. */
export function offerOf(
  visit: ApproverVisit,
  logins: ApproverLogin,
  deed: Deed,
  now: number,
): FormTarget & { readonly kind: 'form' | 'login' } {
  return freshnessOf(visit.approver, now) === undefined
    ? { kind: 'login', ...logins.formFor(visit, 'decide') }
    : { kind: 'form', ...formFor(visit, deed) };
}

export function aroundOf(visit: ApproverVisit, now: number): Around {
  const { login, approver, query } = visit;
  const { person, provider, name } = approver;
  const notice = NOTICES.get(query.get('done') ?? '');
  return {
    publicUrl: login.config.publicUrl,
    who: {
      name: name ?? person.email ?? person.subject,
      provider: login.providers.get(provider)?.title ?? provider,
    },
    signOut: formFor(visit, 'sign-out', '/approvals/sign-out'),
    now,
    ...(notice === undefined ? {} : { notice }),
  };
}

const NOTICES = new Map([
  ['approved', 'Approved. It works once, for who asked.'],
  ['denied', 'Denied. Who asked is told so.'],
  ['requested', 'Asked. Who may decide is told so.'],
  ['opened', 'You are in. Somebody has been alerted, and has to review this afterwards.'],
  ['let-in', 'Approved: they are in.'],
  ['revoked', 'Ended. It takes a few seconds on every gateway.'],
  ['reviewed', 'The review is recorded.'],
]);

/** The same for what is not there and for what is none of their business: an id tells nothing. */
export function sendNothing({ login, response }: GatewayVisit): void {
  const words = 'There is nothing here for you. It may be over for long, or be somebody else’s to decide.';
  const action = { label: 'Approvals', href: `${login.config.publicUrl}/approvals` };
  sendPage(response, messagePage({ status: 404, title: 'Nothing here', words, action }));
}

/** Back on the same page, by a GET. */
export function hrefOf({ login, path }: GatewayVisit, done: string, at = path): string {
  return `${login.config.publicUrl}${at}?done=${done}`;
}

export function sendRefusal({ login, response, path }: GatewayVisit, error: unknown): void {
  if (!(error instanceof GatewayError)) throw error;
  const action = { label: 'Back', href: `${login.config.publicUrl}${path}` };
  const words = error.detail ?? error.message;
  sendPage(response, messagePage({ status: statusOf(error), title: 'Not done', words, action }));
}

/** A denial is no answer of JSON-RPC here. */
export function statusOf({ code, entry }: GatewayError): number {
  return code === 'denied' ? 403 : entry.http;
}

/** What a person says of what they do: as one line; undefined where it says nothing, hides something or is too long. */
export function readWords(text: string | null): string | undefined {
  const words = (text ?? '').trim().replaceAll(/\s*[\r\n]\s*/g, ' ');
  return freezeParts.reason.safeParse(words).success ? words : undefined;
}

export const REASON_WORDS = 'Say why, in up to 500 characters.';
