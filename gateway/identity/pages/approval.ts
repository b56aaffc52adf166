/** One call that waits for a person: for who may decide, all of it; for who asked, its code and how it stands. */
import type { ApprovalRequest, ApprovalState, BoundCall, Person } from '../../sessions/approval.ts';
import { type Around, type FormTarget, fact, header, loginAgain, noticeOf, reasonField } from './approver.ts';
import type { ShownArguments } from './arguments.ts';
import { exact, type Html, html, lines, outside } from './html.ts';
import { type Page, renderPage } from './page.ts';
import { csrfField } from './sign-in.ts';
import { durationWords, time } from './times.ts';

export interface ApprovalPage extends Around {
  readonly request: ApprovalRequest;
  readonly arguments: ShownArguments;
  /** Where all of the arguments are. */
  readonly wholeHref: string;
  /** The buttons, or a login to get them: to approve what waits, to deny also what is approved and not called yet. */
  readonly decide:
    | ({ readonly kind: 'form' } & FormTarget)
    | ({ readonly kind: 'login' } & FormTarget)
    | { readonly kind: 'none' };
}

export function approvalPage(page: ApprovalPage): Page {
  const { request, decide } = page;
  const { call, code, state } = request;
  return renderPage({
    status: 200,
    title: 'Approve a call',
    width: 'wide',
    header: header(page),
    formOrigins: [],
    opener: 'cut',
    main: html`<div class="stack">
${noticeOf(page)}
<div class="card stack">
<div class="title"><h1>${outside(call.name ?? call.method, 200)} on ${outside(call.title ?? call.connection, 120)}</h1>${statePill(state)}</div>
${state.state !== 'pending' && standing(state, page.now, 'decider')}
<div class="stack near"><p class="code">${code}</p>
<p class="small soft">Whoever asked sees the same code. If theirs is another one, this is another call.</p></div>
<dl class="facts">${whatIsAsked(page)}</dl>
<h2>Arguments</h2>
${argumentsOf(page)}
<dl class="facts">${whatItBinds(page)}</dl>
${decide.kind === 'login' && loginAgain(decide, 'decide')}
${decide.kind === 'form' && decisionForm(decide, state)}
</div>
</div>`,
  });
}

function whatIsAsked({ request, now }: ApprovalPage): (Html | undefined)[] {
  const { call, at, expires, state } = request;
  return [
    fact('Asked by', personFacts(call.principal)),
    fact('Client', call.client !== undefined && html`<span class="mono">${outside(call.client, 300)}</span>`),
    fact(
      'Connection',
      html`<strong>${outside(call.title ?? call.connection)}</strong><p class="mono">${outside(call.connection)} · ${outside(call.origin, 300)}</p>`,
    ),
    fact('Method', html`<span class="mono">${outside(call.method, 200)}</span>`),
    fact('Calls', call.name !== undefined && html`<span class="mono">${outside(call.name, 300)}</span>`),
    fact('Because of', html`${call.rules.map(ruleFacts)}`),
    fact('Asked', time(at, now)),
    fact('Void', state.state === 'pending' && html`${time(expires, now)} if nobody decides`),
  ];
}

function whatItBinds({ request: { call, hash } }: ApprovalPage): (Html | undefined)[] {
  return [
    fact('This call', html`${digest(hash)}<p>SHA-256 over all that an approval binds</p>`),
    fact('Policy', digest(call.policy)),
    fact('Pinned tool', call.tool !== undefined && digest(call.tool)),
    fact('Session', digest(call.session)),
    fact('Exchange', digest(call.exchange)),
  ];
}

function ruleFacts({ rule, approvers, usable }: BoundCall['rules'][number]): Html {
  return html`<div><span class="mono">${outside(rule, 200)}</span><p>One of ${outside(approvers.join(', '), 400)}. Once approved it has to be called within ${durationWords(usable)}.</p></div>`;
}

export function personFacts({ kind, email, subject, issuer, owner, onBehalfOf }: Person): Html {
  return html`<strong>${outside(email ?? subject, 254)}</strong>${kind === 'agent' && html` <span class="pill warn">Agent</span>`}
<p class="mono">${outside(subject, 255)} of ${outside(issuer, 300)}</p>
${kind === 'agent' && html`<p>${onBehalfOf === undefined ? 'For nobody in particular' : html`For ${outside(onBehalfOf, 255)}`}${owner !== undefined && html`; ${outside(owner)} answer for it`}</p>`}`;
}

function digest(value: string): Html {
  return html`<span class="mono small">${outside(value, 128)}</span>`;
}

function argumentsOf({ arguments: { text, whole }, wholeHref, request }: ApprovalPage): Html {
  return html`<pre class="args" tabindex="0" role="region" aria-label="Arguments">${lines(text)}${!whole && '…'}</pre>
${
  !whole &&
  html`<p class="note warn"><strong>This is only the beginning.</strong> Read <a href="${exact(wholeHref)}">all of the arguments</a> before you approve. The hash of the whole call is <span class="mono">${outside(request.hash, 128)}</span></p>`
}`;
}

function decisionForm({ action, csrf }: FormTarget, { state }: ApprovalState): Html {
  return html`<form class="stack" method="post" action="${exact(action)}">
${csrfField(csrf)}${reasonField('Reason (needed to deny; who asked reads it)')}
<div class="buttons side">${state === 'pending' && html`<button class="primary" name="verdict" value="approve">Approve this one call</button>`}
<button class="danger" name="verdict" value="deny">${state === 'pending' ? 'Deny' : 'Take the approval back'}</button></div>
</form>`;
}

export interface AskedPage extends Around {
  readonly request: ApprovalRequest;
}

/** For who asked: nothing to press. */
export function askedPage(page: AskedPage): Page {
  const { request, now } = page;
  const { call, code, state, expires } = request;
  return renderPage({
    status: 200,
    title: 'Your call',
    width: 'narrow',
    header: header(page),
    formOrigins: [],
    opener: 'cut',
    main: html`<div class="card stack">
<h1>Your call of ${outside(call.name ?? call.method, 200)}</h1>
<p class="code">${code}</p>
<p class="small soft">Your client shows the same code, and so does the page of who decides. If yours is another one, somebody else made this call.</p>
${standing(state, now, 'asker')}
<dl class="facts">
${fact('Connection', html`${outside(call.title ?? call.connection)}`)}
${fact('Made by', personFacts(call.principal))}
${state.state === 'pending' && fact('Decides', html`${outside([...new Set(call.rules.flatMap(({ approvers }) => approvers))].join(', '), 400)}`)}
${state.state === 'pending' && fact('Void', time(expires, now))}
</dl>
</div>`,
  });
}

function standing(state: ApprovalState, now: number, reader: 'asker' | 'decider'): Html {
  switch (state.state) {
    case 'pending':
      return html`<p class="note" role="status"><strong>Waiting.</strong> Nobody has decided yet. Load this page again to see.</p>`;
    case 'approved':
      return html`<p class="note good" role="status"><strong>Approved</strong> by ${outside([...new Set(state.by.map(({ subject }) => subject))].join(', '), 300)}. ${reader === 'asker' ? 'If your client still waits, the call goes on by itself. If not: make exactly the same call again, with the same login of your client,' : 'If the client of who asked still waits, the call goes on by itself. If not, they make exactly the same call again'} before ${time(state.until, now)}: it works once.</p>`;
    case 'denied':
      return html`<p class="note bad" role="status"><strong>Denied</strong> by ${outside(state.by, 255)}. ${state.reason !== undefined && outside(state.reason, 500)}</p>`;
    case 'void':
      return html`<p class="note" role="status"><strong>${VOID[state.why]}</strong></p>`;
  }
}

const VOID = {
  expired: 'Nobody decided in time, or it was not called in time. Make the call again to ask anew.',
  used: 'It was approved and called.',
  unreadable: 'What is stored of it can not be read, so it is void. Make the call again to ask anew.',
} as const;

function statePill({ state }: ApprovalState): Html {
  const look = { pending: 'warn', approved: 'good', denied: 'bad', void: '' }[state];
  const words = { pending: 'Waits', approved: 'Approved', denied: 'Denied', void: 'Over' }[state];
  return html`<span class="pill ${look}">${words}</span>`;
}

export interface ApprovalsPage extends Around {
  readonly requests: readonly ApprovalRequest[];
}

/** What waits for a person. */
export function approvalsPage(page: ApprovalsPage): Page {
  const { requests } = page;
  return renderPage({
    status: 200,
    title: 'Approvals',
    width: 'wide',
    header: header(page),
    formOrigins: [],
    opener: 'cut',
    main: html`<div class="stack">
${noticeOf(page)}
<div class="card stack">
<h1>Calls that wait for you</h1>
${requests.length === 0 && html`<p class="soft">There is none. Who needs you sends you a link.</p>`}
${requests.length > 0 && html`<ul class="rows">${requests.map((one) => waitingRow(one, page))}</ul>`}
</div>
</div>`,
  });
}

function waitingRow({ id, code, expires, call }: ApprovalRequest, { publicUrl, now }: Around): Html {
  const { email, subject, kind } = call.principal;
  return html`<li><div><a href="${exact(`${publicUrl}/approvals/${id}`)}">${outside(call.name ?? call.method, 120)} on ${outside(call.title ?? call.connection, 80)}</a>
<p>${outside(email ?? subject, 254)}${kind === 'agent' && ' (agent)'} · void ${time(expires, now)}</p></div><span class="mono">${code}</span></li>`;
}
