/** Just-in-time access: what a person has and decides of, and how one gets in. */
import type { AccessRequest, Window } from '../../sessions/window.ts';
import { type Around, type FormTarget, header, loginAgain, noticeOf } from './approver.ts';
import { exact, type Html, html, outside } from './html.ts';
import { type Page, renderPage } from './page.ts';
import { csrfField } from './sign-in.ts';
import { durationWords, time } from './times.ts';

/** A connection that a person may get into. */
export interface Way {
  /** As configured: `[a-z][a-z0-9-]*`. */
  readonly name: string;
  readonly title: string;
  /** Longest times, in milliseconds. */
  readonly justInTime?: number;
  readonly breakGlass?: number;
}

export interface AccessPage extends Around {
  readonly ways: readonly Way[];
  readonly requests: readonly AccessRequest[];
  readonly windows: readonly Window[];
}

export function accessPage(page: AccessPage): Page {
  const { ways, requests, windows, publicUrl } = page;
  const href = (path: string) => exact(`${publicUrl}/access/${path}`);
  return renderPage({
    status: 200,
    title: 'Access',
    width: 'wide',
    header: header(page),
    formOrigins: [],
    opener: 'cut',
    main: html`<div class="stack">
${noticeOf(page)}
<div class="card stack">
<h1>Access for a time</h1>
${ways.length === 0 && html`<p class="soft">There is no connection that you get into this way.</p>`}
${
  ways.length > 0 &&
  html`<ul class="rows">
${ways.map((way) => html`<li><div>${outside(way.title, 120)}<p>${wordsOf(way)}</p></div><a class="button little" href="${href(way.name)}">Get in<span class="unseen"> to ${outside(way.title, 60)}</span></a></li>`)}
</ul>`
}
</div>
<div class="card stack">
<h2>Requests</h2>
${requests.length === 0 && html`<p class="soft">There is none of yours, and none for you.</p>`}
${requests.length > 0 && html`<ul class="rows">${requests.map((one) => requestRow(one, page))}</ul>`}
</div>
<div class="card stack">
<h2>Access windows</h2>
${windows.length === 0 && html`<p class="soft">There is none.</p>`}
${windows.length > 0 && html`<ul class="rows">${windows.map((one) => windowRow(one, page))}</ul>`}
</div>
</div>`,
  });
}

function wordsOf({ justInTime, breakGlass }: Way): string {
  const ways = [
    justInTime !== undefined && `on request, for up to ${durationWords(justInTime)}`,
    breakGlass !== undefined && `in an emergency, for up to ${durationWords(breakGlass)}`,
  ].filter((one) => one !== false);
  return ways.join('; ');
}

function requestRow({ id, person, connection, state, at, code }: AccessRequest, { publicUrl, now }: Around): Html {
  return html`<li><div><a href="${exact(`${publicUrl}/access/requests/${id}`)}">${outside(person.email ?? person.subject, 254)} to ${outside(connection)}</a>
<p>Asked ${time(at, now)} · <span class="mono">${code}</span></p></div>${requestPill(state)}</li>`;
}

function windowRow(window: Window, { publicUrl, now }: Around): Html {
  const { id, email, subject, connection, expires } = window;
  return html`<li><div><a href="${exact(`${publicUrl}/access/windows/${id}`)}">${outside(email ?? subject, 254)} in ${outside(connection)}</a>
<p>Until ${time(expires, now)}</p></div><div class="pills">${windowPills(window)}</div></li>`;
}

export function requestPill(state: AccessRequest['state']): Html {
  const look = { pending: 'warn', approved: 'good', denied: 'bad', void: '' }[state];
  const words = { pending: 'Waits', approved: 'Approved', denied: 'Denied', void: 'Over' }[state];
  return html`<span class="pill ${look}">${words}</span>`;
}

export function windowPills({ state, kind, review }: Window): Html {
  const look = { open: 'good', ended: '', revoked: 'bad' }[state];
  const words = { open: 'Open', ended: 'Ended', revoked: 'Revoked' }[state];
  return html`${kind === 'breakGlass' && html`<span class="pill bad">Break glass</span>`}${review === 'due' && html`<span class="pill warn">Review due</span>`}<span class="pill ${look}">${words}</span>`;
}

export interface EnterPage extends Around {
  readonly way: Way;
  /** Their own that is open now. */
  readonly open?: Window;
  readonly waiting?: AccessRequest;
  readonly request: FormTarget;
  /** The form, or a login to get it. */
  readonly breakGlass: FormTarget & { readonly kind: 'form' | 'login' };
  /** What was wrong with the form that was sent. */
  readonly problem?: string;
}

/** How to get into one connection: where the error of a refused call leads. */
export function enterPage(page: EnterPage): Page {
  const { way, open, waiting, publicUrl, now } = page;
  return renderPage({
    status: page.problem === undefined ? 200 : 400,
    title: 'Access to a connection',
    width: 'narrow',
    header: header(page),
    formOrigins: [],
    opener: 'cut',
    main: html`<div class="stack">
${noticeOf(page)}
${page.problem !== undefined && html`<p class="note bad" role="alert">${outside(page.problem, 400)}</p>`}
<div class="card stack">
<h1>Access to ${outside(way.title, 120)}</h1>
${open !== undefined && html`<p class="note good">You are in until ${time(open.expires, now)}. <a href="${exact(`${publicUrl}/access/windows/${open.id}`)}">Your access window</a></p>`}
${waiting !== undefined && html`<p class="note">Your request waits. <a href="${exact(`${publicUrl}/access/requests/${waiting.id}`)}">How it stands</a></p>`}
${way.justInTime !== undefined && requestForm(page, way.justInTime)}
${way.justInTime === undefined && way.breakGlass === undefined && html`<p>None of your groups gets in by a request or in an emergency. Ask the owner of this connection.</p>`}
</div>
${way.breakGlass !== undefined && emergency(page, way.breakGlass)}
</div>`,
  });
}

function requestForm({ request: { action, csrf } }: EnterPage, longest: number): Html {
  return html`<form class="stack" method="post" action="${exact(action)}">
${csrfField(csrf)}
${timeFields('request', longest, 'What you need it for')}
<div class="buttons"><button class="primary" name="action" value="request">Ask for access</button></div>
</form>`;
}

function emergency({ breakGlass }: EnterPage, longest: number): Html {
  return html`<section class="card stack" aria-labelledby="emergency">
<h2 id="emergency">In an emergency</h2>
<p class="note bad"><strong>This lets you in at once, without anybody’s approval.</strong> People are alerted now, and somebody has to review what you did afterwards.</p>
${
  breakGlass.kind === 'login'
    ? loginAgain(breakGlass, 'break glass')
    : html`<form class="stack" method="post" action="${exact(breakGlass.action)}">
${csrfField(breakGlass.csrf)}
${timeFields('emergency', longest, 'What the emergency is')}
<div class="buttons"><button class="danger" name="action" value="break-glass">Break glass</button></div>
</form>`
}
</section>`;
}

const MINUTE = 60_000;
const CHOICES = [15, 30, 60, 120, 240, 480, 720, 1440].map((minutes) => minutes * MINUTE);

/** `id` tells the fields of two forms apart. */
function timeFields(id: string, longest: number, label: string): Html {
  const times = [...CHOICES.filter((one) => one < longest), longest];
  return html`<div class="stack near">
<label for="${id}-reason">${label}</label>
<input id="${id}-reason" name="reason" required maxlength="500" autocomplete="off">
</div>
<div class="stack near">
<label for="${id}-time">For how long</label>
<select id="${id}-time" name="duration">
${times.map((one) => html`<option value="${one}">${durationWords(one)}</option>`)}
</select>
</div>`;
}
