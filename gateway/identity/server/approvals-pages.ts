/** `/approvals`: calls that wait, each with all that an approval binds. */
import type { ApprovalRequest, Approvals } from '../../sessions/approval.ts';
import { approvalPage, approvalsPage, askedPage } from '../pages/approval.ts';
import { showArguments, wholeArguments } from '../pages/arguments.ts';
import { messagePage } from '../pages/message.ts';
import { approvalUrl } from './approval-address.ts';
import { freshnessOf } from './approver.ts';
import type { ApproverLogin } from './approver-login.ts';
import { viewOf } from './approver-may.ts';
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
import { redirect, sendPage } from './web.ts';

export interface ApprovalsPages {
  /** A GET or POST at or below `/approvals`, by somebody who is logged in. `form` of a POST, from a page of this gateway. */
  serve(visit: ApproverVisit, form?: URLSearchParams): Promise<void>;
}

/** Characters of arguments that a page shows. */
const MOST_SHOWN = 16 * 1024;
const ONE = new RegExp(`^/approvals/(${ID})(/arguments)?$`);

export function createApprovalsPages(deps: {
  readonly approvals: Approvals;
  readonly logins: ApproverLogin;
  readonly now: () => number;
}): ApprovalsPages {
  const { approvals, logins, now } = deps;

  function show(visit: ApproverVisit, request: ApprovalRequest): void {
    const around = aroundOf(visit, now());
    const { call, state, id } = request;
    if (viewOf(visit.approver.person, request) === 'requester') {
      sendPage(visit.response, askedPage({ ...around, request }));
      return;
    }
    const page = approvalPage({
      ...around,
      request,
      arguments: showArguments(call.params ?? {}, MOST_SHOWN),
      wholeHref: `${approvalUrl(around.publicUrl, id)}/arguments`,
      decide: ['pending', 'approved'].includes(state.state)
        ? offerOf(visit, logins, 'decide', now())
        : { kind: 'none' },
    });
    sendPage(visit.response, page);
  }

  async function decide(visit: ApproverVisit, id: string, form: URLSearchParams): Promise<void> {
    const { approver, response } = visit;
    const verdict = form.get('verdict') === 'approve' ? 'approve' : 'deny';
    const authenticated = freshnessOf(approver, now());
    if (authenticated === undefined) return logins.ask(visit, 'decide');
    const reason = readWords(form.get('reason'));
    if (reason === undefined && (verdict === 'deny' || form.get('reason') !== '')) {
      const action = { label: 'Back', href: formFor(visit, 'decide').action };
      const page = { status: 400, title: 'Not done', words: REASON_WORDS, action };
      return sendPage(response, messagePage(page));
    }
    await approvals.decide(id, {
      by: approver.person,
      authenticated,
      verdict,
      ...(reason === undefined ? {} : { reason }),
    });
    redirect(response, hrefOf(visit, verdict === 'approve' ? 'approved' : 'denied'));
  }

  return {
    async serve(visit, form) {
      const { path, approver, response } = visit;
      if (path === '/approvals' && form === undefined) {
        const requests = await approvals.waitingFor(approver.person);
        return sendPage(response, approvalsPage({ ...aroundOf(visit, now()), requests }));
      }
      const [, id, whole] = ONE.exec(path) ?? [];
      const request = id === undefined ? undefined : await approvals.read(id);
      const view = request === undefined ? 'stranger' : viewOf(approver.person, request);
      if (id === undefined || request === undefined || view === 'stranger') return sendNothing(visit);
      if (whole !== undefined) {
        if (form !== undefined || view !== 'approver') return sendNothing(visit);
        return sendText(visit, wholeArguments(request.call.params ?? {}));
      }
      if (form === undefined) return show(visit, request);
      if (!isFormOf(visit, 'decide', form)) return sendNothing(visit);
      await decide(visit, id, form).catch((error: unknown) => sendRefusal(visit, error));
    },
  };
}

/** Text and nothing else, whatever a browser thinks that it looks like. */
function sendText({ response }: ApproverVisit, text: string): void {
  const bytes = Buffer.from(text);
  response.writeHead(200, {
    'content-type': 'text/plain; charset=utf-8',
    'content-length': String(bytes.length),
    'content-security-policy': "default-src 'none'; frame-ancestors 'none'; sandbox",
    'x-content-type-options': 'nosniff',
    'x-frame-options': 'DENY',
    'cross-origin-resource-policy': 'same-origin',
    'cache-control': 'no-store',
  });
  response.end(bytes);
}
