/** `/access`: a person's access windows and requests, those that they decide of, and how one gets in. */
import type { Windows } from '../../sessions/window.ts';
import { accessPage, enterPage, type Way } from '../pages/access.ts';
import { accessRequestPage, windowPage } from '../pages/access-item.ts';
import { messagePage } from '../pages/message.ts';
import { freshnessOf } from './approver.ts';
import type { ApproverLogin } from './approver-login.ts';
import { isOwn, mayDecideRequest, mayReview, mayRevoke, maySeeAccess, waysIn, windowsOf } from './approver-may.ts';
import {
  type ApproverVisit,
  aroundOf,
  formFor,
  hrefOf,
  ID,
  isFormOf,
  offerOf,
  REASON_WORDS,
  readWords,
  sendNothing,
  sendRefusal,
} from './approver-page.ts';
import type { Login } from './login.ts';
import { redirect, sendPage } from './web.ts';

export interface AccessPages {
  /** A GET or POST at or below `/access`, by somebody who is logged in. `form` of a POST, from a page of this gateway. */
  serve(visit: ApproverVisit, form?: URLSearchParams): Promise<void>;
}

const REQUEST = new RegExp(`^/access/requests/(${ID})$`);
const WINDOW = new RegExp(`^/access/windows/(${ID})$`);
const CONNECTION = /^\/access\/([a-z][a-z0-9-]{0,62})$/;

export function createAccessPages(deps: {
  readonly windows: Windows;
  readonly logins: ApproverLogin;
  readonly now: () => number;
}): AccessPages {
  const { windows, logins, now } = deps;

  async function showAll(visit: ApproverVisit): Promise<void> {
    const { login, approver, response } = visit;
    const { requests, windows: listed } = await windows.list(approver.person);
    const ways = Object.keys(login.config.connections).flatMap((name): Way[] => {
      const way = waysIn(login.config, approver.person, name);
      return Object.keys(way).length === 0 ? [] : [{ name, title: titleOf(login, name), ...way }];
    });
    sendPage(response, accessPage({ ...aroundOf(visit, now()), ways, requests, windows: listed }));
  }

  async function showWay(visit: ApproverVisit, name: string, problem?: string): Promise<void> {
    const { login, approver, response } = visit;
    const { person } = approver;
    const open = windows.openFor(person, name);
    const { requests } = await windows.list(person);
    const waiting = requests.find(
      (one) => one.connection === name && one.state === 'pending' && isOwn(person, one.person),
    );
    const page = enterPage({
      ...aroundOf(visit, now()),
      way: { name, title: titleOf(login, name), ...waysIn(login.config, person, name) },
      ...(open === undefined ? {} : { open }),
      ...(waiting === undefined ? {} : { waiting }),
      request: formFor(visit, 'request'),
      breakGlass: offerOf(visit, logins, 'break-glass', now()),
      ...(problem === undefined ? {} : { problem }),
    });
    sendPage(response, page);
  }

  async function enter(visit: ApproverVisit, connection: string, form: URLSearchParams): Promise<void> {
    const { login, approver, response } = visit;
    const { person } = approver;
    const deed = form.get('action') === 'break-glass' ? 'break-glass' : 'request';
    if (!isFormOf(visit, deed, form)) return sendNothing(visit);
    const ways = waysIn(login.config, person, connection);
    const longest = deed === 'request' ? ways.justInTime : ways.breakGlass;
    const reason = readWords(form.get('reason'));
    const duration = readDuration(form.get('duration'), longest);
    if (reason === undefined) return showWay(visit, connection, REASON_WORDS);
    if (duration === undefined) return showWay(visit, connection, 'Choose for how long, up to what is offered.');
    if (deed === 'request') {
      const { id } = await windows.request({ person, connection, reason, duration });
      return redirect(response, hrefOf(visit, 'requested', `/access/requests/${id}`));
    }
    const authenticated = freshnessOf(approver, now());
    if (authenticated === undefined) return logins.ask(visit, 'decide');
    const { id } = await windows.breakGlass({ person, authenticated, connection, reason, duration });
    redirect(response, hrefOf(visit, 'opened', `/access/windows/${id}`));
  }

  async function request(visit: ApproverVisit, id: string, form?: URLSearchParams): Promise<void> {
    const { login, approver, response } = visit;
    const { person } = approver;
    const found = await windows.readRequest(id);
    if (found === undefined || !maySeeAccess(login.config, person, { ...found.person, connection: found.connection })) {
      return sendNothing(visit);
    }
    if (form === undefined) {
      const may = mayDecideRequest(login.config, person, found);
      const page = accessRequestPage({
        ...aroundOf(visit, now()),
        request: found,
        title: titleOf(login, found.connection),
        ...(may ? { decide: offerOf(visit, logins, 'decide', now()) } : {}),
      });
      return sendPage(response, page);
    }
    if (!isFormOf(visit, 'decide', form)) return sendNothing(visit);
    const verdict = form.get('verdict') === 'approve' ? 'approve' : 'deny';
    const authenticated = freshnessOf(approver, now());
    if (authenticated === undefined) return logins.ask(visit, 'decide');
    const reason = readWords(form.get('reason'));
    if (reason === undefined && (verdict === 'deny' || form.get('reason') !== '')) return unsaid(visit);
    const decision = { by: person, authenticated, verdict, ...(reason === undefined ? {} : { reason }) } as const;
    await windows.decide(id, decision);
    redirect(response, hrefOf(visit, verdict === 'approve' ? 'let-in' : 'denied'));
  }

  async function window(visit: ApproverVisit, id: string, form?: URLSearchParams): Promise<void> {
    const { login, approver, response } = visit;
    const { person } = approver;
    const found = await windows.readWindow(id);
    if (found === undefined || !maySeeAccess(login.config, person, found)) return sendNothing(visit);
    if (form !== undefined) return form.get('action') === 'review' ? review(visit, id, form) : revoke(visit, id, form);
    const page = windowPage({
      ...aroundOf(visit, now()),
      window: found,
      title: titleOf(login, found.connection),
      ...(mayRevoke(login.config, person, found) ? { revoke: formFor(visit, 'revoke') } : {}),
      ...(mayReview(login.config, person, found) ? { review: offerOf(visit, logins, 'review', now()) } : {}),
    });
    sendPage(response, page);
  }

  async function revoke(visit: ApproverVisit, id: string, form: URLSearchParams): Promise<void> {
    if (!isFormOf(visit, 'revoke', form)) return sendNothing(visit);
    const reason = readWords(form.get('reason'));
    if (reason === undefined) return unsaid(visit);
    await windows.revoke(id, { person: visit.approver.person, reason });
    redirect(visit.response, hrefOf(visit, 'revoked'));
  }

  async function review(visit: ApproverVisit, id: string, form: URLSearchParams): Promise<void> {
    if (!isFormOf(visit, 'review', form)) return sendNothing(visit);
    const { person } = visit.approver;
    const authenticated = freshnessOf(visit.approver, now());
    if (authenticated === undefined) return logins.ask(visit, 'decide');
    const words = readWords(form.get('words'));
    if (words === undefined) return unsaid(visit);
    await windows.review(id, { person, authenticated, words });
    redirect(visit.response, hrefOf(visit, 'reviewed'));
  }

  async function route(visit: ApproverVisit, form?: URLSearchParams): Promise<void> {
    const { path, login } = visit;
    const [, requestId] = REQUEST.exec(path) ?? [];
    if (requestId !== undefined) return request(visit, requestId, form);
    const [, windowId] = WINDOW.exec(path) ?? [];
    if (windowId !== undefined) return window(visit, windowId, form);
    const [, name] = CONNECTION.exec(path) ?? [];
    // A connection that has no windows looks as one does that is not there.
    if (name !== undefined && windowsOf(login.config, name) !== undefined) {
      return form === undefined ? showWay(visit, name) : enter(visit, name, form);
    }
    return path === '/access' && form === undefined ? showAll(visit) : sendNothing(visit);
  }

  return { serve: (visit, form) => route(visit, form).catch((error: unknown) => sendRefusal(visit, error)) };
}

function unsaid(visit: ApproverVisit): void {
  const action = { label: 'Back', href: `${visit.login.config.publicUrl}${visit.path}` };
  sendPage(visit.response, messagePage({ status: 400, title: 'Not done', words: REASON_WORDS, action }));
}

function titleOf({ config }: Login, name: string): string {
  return config.connections[name]?.title ?? name;
}

/** Milliseconds. */
function readDuration(text: string | null, longest: number | undefined): number | undefined {
  const value = text !== null && /^\d{1,12}$/.test(text) ? Number(text) : 0;
  return value > 0 && value <= (longest ?? 0) ? value : undefined;
}
