/** What every page that a person sees has in common: its frame, its look and what a browser lets it do. */
import { createHash } from 'node:crypto';
import { exact, type Html, html, markupOf } from './html.ts';
import { STYLE } from './style.ts';

export interface Page {
  readonly status: number;
  readonly html: string;
  readonly headers: Readonly<Record<string, string>>;
}

export interface PageContent {
  readonly status: number;
  /** Of the tab. */
  readonly title: string;
  readonly width: 'narrow' | 'wide';
  /** At the right of the name, on wide pages. */
  readonly header?: Html;
  readonly main: Html;
  /** Goes there by itself, at once. Not after a form's redirect: `form-action` does not apply to it. */
  readonly goTo?: string;
  /**
   * Addresses that the page's forms may lead to, besides this origin: Chromium applies `form-action` to every redirect
   * that follows a form. Left out: the page has no form.
   */
  readonly formOrigins?: readonly string[];
  /**
   * Whether the window that opened this one still knows it afterwards. Clients in a browser open the login as a popup and
   * are told of its end through `window.opener`: cut once, it never comes back.
   */
  readonly opener: 'kept' | 'cut';
}

const STYLE_HASH = createHash('sha256').update(markupOf(STYLE)).digest('base64');

const ICON =
  "<svg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 24 24'><rect width='24' height='24' rx='6' fill='#2450c4'/>" +
  "<path d='M6 7h5v5l-2 5H6.5l1.500-5H6zM13 7h5v5l-2 5h-2.5l1.500-5H13z' fill='#fff'/></svg>";
const ICON_HREF = `data:image/svg+xml,${encodeURIComponent(ICON)}`;

const BRAND = html`<p class="brand"><svg viewBox="0 0 24 24" width="22" height="22" aria-hidden="true"><rect class="mark" width="24" height="24" rx="6"/><path class="quote" d="M6 7h5v5l-2 5H6.5l1.500-5H6zM13 7h5v5l-2 5h-2.5l1.500-5H13z"/></svg>Verbatim</p>`;

export function renderPage(content: PageContent): Page {
  const { status, title, width, header, main, goTo } = content;
  const document = html`<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
${goTo !== undefined && html`<meta http-equiv="refresh" content="0; url=${exact(goTo)}">\n`}<title>${title} · Verbatim</title>
<link rel="icon" href="${exact(ICON_HREF)}">
<style>${STYLE}</style>
</head>
<body class="${width}">
<header class="top">${BRAND}${header}</header>
<main>
${main}
</main>
</body>
</html>
`;
  return { status, html: markupOf(document), headers: headersOf(content) };
}

function headersOf({ formOrigins, opener }: PageContent): Record<string, string> {
  const formAction = formOrigins === undefined ? "'none'" : ["'self'", ...sourcesOf(formOrigins)].join(' ');
  return {
    'Content-Type': 'text/html; charset=utf-8',
    'Content-Security-Policy': [
      "default-src 'none'",
      `style-src 'sha256-${STYLE_HASH}'`,
      // The icon of the tab. Without one a browser asks this origin for /favicon.ico and complains of the policy.
      'img-src data:',
      `form-action ${formAction}`,
      "frame-ancestors 'none'",
      "base-uri 'none'",
    ].join('; '),
    // Not `no-referrer`: under it browsers send `Origin: null` with the form, and the origin check needs the real one.
    'Referrer-Policy': 'same-origin',
    'X-Content-Type-Options': 'nosniff',
    'X-Frame-Options': 'DENY',
    'Cache-Control': 'no-store',
    ...(opener === 'cut' && { 'Cross-Origin-Opener-Policy': 'same-origin' }),
  };
}

/**
 * Addresses as sources of `form-action`. Throws `TypeError` for what is no URL: nothing else may get into the header.
 *
 * An IPv6 address is no source (CSP 3, section 2.3.1: browsers ignore it), and a private-use scheme has no origin: there
 * the scheme is the source.
 */
function sourcesOf(addresses: readonly string[]): readonly string[] {
  const sources = addresses.map((address) => {
    const { protocol, host } = new URL(address);
    const web = protocol === 'http:' || protocol === 'https:';
    return web && /^[a-z0-9.-]+(:\d+)?$/.test(host) ? `${protocol}//${host}` : protocol;
  });
  return [...new Set(sources)];
}
