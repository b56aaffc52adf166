/** What the pages of approvals and access have in common. */
import { exact, type Html, html, outside } from './html.ts';
import { csrfField } from './sign-in.ts';

/** A form of these pages: where it goes, and its secret. */
export interface FormTarget {
  readonly action: string;
  readonly csrf: string;
}

export interface Around {
  readonly publicUrl: string;
  readonly who: { readonly name: string; readonly provider: string };
  readonly signOut: FormTarget;
  /** Milliseconds since the epoch. */
  readonly now: number;
  readonly notice?: string;
}

export function header({ publicUrl, who, signOut }: Around): Html {
  return html`<nav class="nav small" aria-label="Pages"><a href="${exact(`${publicUrl}/approvals`)}">Approvals</a><a href="${exact(`${publicUrl}/access`)}">Access</a></nav>
<div class="person">
<span>${outside(who.name, 60)} <span class="soft">· ${outside(who.provider, 40)}</span></span>
<form method="post" action="${exact(signOut.action)}">${csrfField(signOut.csrf)}<button class="little" name="action" value="sign-out">Sign out</button></form>
</div>`;
}

export function noticeOf({ notice }: Around): Html | undefined {
  return notice === undefined ? undefined : html`<p class="note good" role="status">${notice}</p>`;
}

export function fact(name: string, value: Html | undefined | false): Html | undefined {
  return value === undefined || value === false ? undefined : html`<div><dt>${name}</dt><dd>${value}</dd></div>`;
}

/** To decide one has to prove anew who one is. */
export function loginAgain(form: FormTarget, what: string): Html {
  return html`<form class="stack near" method="post" action="${exact(form.action)}">
${csrfField(form.csrf)}<div class="buttons"><button class="primary" name="action" value="continue">Log in again to ${what}</button></div>
<p class="small soft">What you decide counts for five minutes after you have shown who you are.</p>
</form>`;
}

export function reasonField(label: string, id = 'reason'): Html {
  return html`<div class="stack near">
<label for="${id}">${label}</label>
<input id="${id}" name="reason" maxlength="500" autocomplete="off">
</div>`;
}
