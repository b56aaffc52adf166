/** One request for access, and one access window. */
import type { AccessRequest, Window } from '../../sessions/window.ts';
import { requestPill, windowPills } from './access.ts';
import { personFacts } from './approval.ts';
import { type Around, type FormTarget, fact, header, loginAgain, noticeOf, reasonField } from './approver.ts';
import { exact, html, outside } from './html.ts';
import { type Page, renderPage } from './page.ts';
import { csrfField } from './sign-in.ts';
import { durationWords, time } from './times.ts';

/** A form, or the login that comes before it; absent where the person may not. */
type Offer = FormTarget & { readonly kind: 'form' | 'login' };

export interface AccessRequestPage extends Around {
  readonly request: AccessRequest;
  readonly title: string;
  readonly decide?: Offer;
}

export function accessRequestPage(page: AccessRequestPage): Page {
  const { request, title, decide, publicUrl, now } = page;
  const { window, state } = request;
  return renderPage({
    status: 200,
    title: 'Request for access',
    width: 'narrow',
    header: header(page),
    formOrigins: [],
    opener: 'cut',
    main: html`<div class="stack">
${noticeOf(page)}
<div class="card stack">
<div class="title"><h1>Access to ${outside(title, 120)}</h1>${requestPill(state)}</div>
<p class="code">${request.code}</p>
<dl class="facts">
${fact('Asked by', personFacts(request.person))}
${fact('Reason', outside(request.reason, 500))}
${fact('For', html`${durationWords(request.duration)} from the approval on`)}
${fact('Asked', time(request.at, now))}
${state === 'pending' && fact('Void', html`${time(request.expires, now)} if nobody decides`)}
${window !== undefined && fact('Became', html`<a href="${exact(`${publicUrl}/access/windows/${window}`)}">an access window</a>`)}
</dl>
${state === 'pending' && decide === undefined && html`<p class="note">It waits for somebody who may decide.</p>`}
${decide?.kind === 'login' && loginAgain(decide, 'decide')}
${
  decide?.kind === 'form' &&
  html`<form class="stack" method="post" action="${exact(decide.action)}">
${csrfField(decide.csrf)}${reasonField('Reason (needed to deny)')}
<div class="buttons side"><button class="primary" name="verdict" value="approve">Let them in</button>
<button class="danger" name="verdict" value="deny">Deny</button></div>
</form>`
}
</div>
</div>`,
  });
}

export interface WindowPage extends Around {
  readonly window: Window;
  readonly title: string;
  readonly revoke?: FormTarget;
  readonly review?: Offer;
}

export function windowPage(page: WindowPage): Page {
  const { window, title, revoke, review, now } = page;
  const { kind, review: reviewed } = window;
  return renderPage({
    status: 200,
    title: 'Access window',
    width: 'narrow',
    header: header(page),
    formOrigins: [],
    opener: 'cut',
    main: html`<div class="stack">
${noticeOf(page)}
<div class="card stack">
<div class="title"><h1>${outside(window.email ?? window.subject, 254)} in ${outside(title, 120)}</h1><div class="pills">${windowPills(window)}</div></div>
<dl class="facts">
${fact('Opened', kind === 'breakGlass' ? html`in an emergency, by themselves` : html`on request`)}
${fact('Approved by', window.approvedBy !== undefined && outside(window.approvedBy, 255))}
${fact('Reason', outside(window.reason, 500))}
${fact('From', time(window.from, now))}
${fact('Until', time(window.expires, now))}
${fact('Who', html`<span class="mono">${outside(window.subject, 255)} of ${outside(window.issuer, 300)}</span>`)}
${fact('Reviewed', typeof reviewed === 'object' && html`${time(reviewed.at, now)} by ${outside(reviewed.by, 255)}<p>${outside(reviewed.words, 2000)}</p>`)}
</dl>
${
  revoke !== undefined &&
  html`<form class="stack" method="post" action="${exact(revoke.action)}">
${csrfField(revoke.csrf)}<div class="stack near"><label for="reason">Why it ends now</label>
<input id="reason" name="reason" required maxlength="500" autocomplete="off"></div>
<div class="buttons"><button class="danger" name="action" value="revoke">End this access now</button></div>
</form>`
}
${review?.kind === 'login' && loginAgain(review, 'review')}
${
  review?.kind === 'form' &&
  html`<form class="stack" method="post" action="${exact(review.action)}">
${csrfField(review.csrf)}<div class="stack near"><label for="words">What you found when you reviewed what was done</label>
<textarea id="words" name="words" rows="4" required maxlength="500"></textarea></div>
<div class="buttons"><button class="primary" name="action" value="review">Record the review</button></div>
</form>`
}
</div>
</div>`,
  });
}
