/** Where a login ends, well or not, and the step between two sites. */
import { exact, html, outside } from './html.ts';
import { type Page, renderPage } from './page.ts';

export interface Message {
  readonly status: number;
  /** What happened. */
  readonly title: string;
  /** In a sentence or two, and to what. */
  readonly words: string;
  /** What to do. */
  readonly hint?: string;
  /** What an administrator asks for: the reference (request id), the connection, the time. */
  readonly details?: readonly (readonly [label: string, value: string])[];
  /** A link: where to go from here. */
  readonly action?: { readonly label: string; readonly href: string };
}

export function messagePage({ status, title, words, hint, details = [], action }: Message): Page {
  return renderPage({
    status,
    title,
    width: 'narrow',
    opener: 'cut',
    main: html`<div class="card stack">
<h1>${outside(title)}</h1>
<p${status >= 400 && html` class="note bad"`}>${outside(words, 1000)}</p>
${hint !== undefined && html`<p>${outside(hint, 1000)}</p>`}
${
  details.length > 0 &&
  html`<dl class="facts">
${details.map(([label, value]) => html`<div><dt>${outside(label, 60)}</dt><dd class="mono">${outside(value, 300)}</dd></div>`)}
</dl>`
}
${action !== undefined && html`<p><a class="button" href="${exact(action.href)}">${outside(action.label, 60)}</a></p>`}
</div>`,
  });
}

/**
 * Goes on to another site at once. Instead of a redirect after a form, whose `form-action` would have to list every
 * origin that the other site redirects to in turn: an identity provider that asks another one is a chain nobody knows.
 *
 * `href` is absolute and already checked: an identity provider or an upstream, nothing that a client or a query names.
 */
export function onwardPage({ href, title }: { readonly href: string; readonly title: string }): Page {
  const to = new URL(href);
  if (to.protocol !== 'https:' && to.protocol !== 'http:') throw new TypeError(`${to.protocol} is no web site.`);
  return renderPage({
    status: 200,
    title: 'One moment',
    width: 'narrow',
    goTo: to.href,
    opener: 'kept',
    main: html`<div class="card stack">
<h1>Going on to ${outside(title, 60)}</h1>
<p class="soft">If nothing happens, go there yourself.</p>
<p><a class="button" href="${exact(to.href)}">Continue</a></p>
</div>`,
  });
}
