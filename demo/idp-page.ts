import { createHash } from 'node:crypto';
import { escapeMarkup } from '../gateway/identity/pages/html.ts';
import type { DemoUser } from './users.ts';

/** A page of the demo's identity provider: what it says and what a browser lets it do. */
export interface Page {
  readonly status: number;
  readonly html: string;
  readonly headers: Readonly<Record<string, string>>;
}

/** `verbatim login --as` knows the login page by this `meta` element and answers its form. */
const MARKER = '<meta name="verbatim-demo" content="login">';

const STYLE = `
:root { color-scheme: light dark; --ink: #1c2024; --soft: #60646c; --line: #d9dce1; --page: #f4f5f7; --card: #fff; --accent: #0b57d0; --note: #fff4d6; --note-ink: #5c4300; }
@media (prefers-color-scheme: dark) { :root { --ink: #eceef1; --soft: #a5abb5; --line: #383d45; --page: #131518; --card: #1c1f24; --accent: #8ab4f8; --note: #3a2f10; --note-ink: #f4dc9b; } }
* { box-sizing: border-box; }
body { margin: 0; min-height: 100vh; display: grid; place-items: center; padding: 24px; background: var(--page); color: var(--ink); font: 16px/1.5 system-ui, sans-serif; }
main { width: 100%; max-width: 432px; padding: 32px; background: var(--card); border: 1px solid var(--line); border-radius: 14px; }
h1 { margin: 0 0 4px; font-size: 22px; line-height: 1.25; letter-spacing: -0.01em; }
p { margin: 0 0 16px; color: var(--soft); overflow-wrap: anywhere; }
code { font: 13px/1.5 ui-monospace, monospace; color: var(--ink); }
.note { padding: 10px 14px; border-radius: 8px; background: var(--note); color: var(--note-ink); font-size: 14px; }
form { margin: 0; display: grid; gap: 10px; }
button { display: block; width: 100%; padding: 12px 16px; text-align: left; font: inherit; color: inherit; background: none; border: 1px solid var(--line); border-radius: 10px; cursor: pointer; }
button:hover, button:focus-visible { border-color: var(--accent); outline: 2px solid var(--accent); outline-offset: -1px; }
button strong { display: block; }
button span { color: var(--soft); font-size: 14px; }
button.quiet { margin-top: 6px; border-color: transparent; text-align: center; color: var(--soft); }
`;
const STYLE_HASH = createHash('sha256').update(STYLE).digest('base64');

/**
 * The login page: one button a person, no script.
 *
 * @param redirect the redirect URI, already checked by the provider. A browser applies `form-action` to every redirect
 *   that follows the form, so the client's own origin has to be allowed as well.
 */
export function loginPage(users: readonly DemoUser[], redirect: string): Page {
  const buttons = users.map(
    (user) =>
      `<button name="user" value="${escapeMarkup(user.name)}"><strong>${escapeMarkup(user.fullName)}</strong>` +
      `<span>${escapeMarkup(user.groups.join(', '))} · ${escapeMarkup(user.work)}</span></button>`,
  );
  return page(
    200,
    'Who are you?',
    `<p>The gateway at <code>${escapeMarkup(new URL(redirect).host)}</code> asks who you are.</p>
<p class="note">Demo identity provider without passwords: whoever can open this page can be anyone here.</p>
<form method="post">
${buttons.join('\n')}
<button class="quiet" name="cancel" value="yes">Cancel</button>
</form>`,
    { marker: MARKER, formAction: `'self' ${new URL(redirect).origin}` },
  );
}

/** A page for what went wrong: what it is and what to do. */
export function problemPage(status: number, title: string, words: string): Page {
  return page(status, title, `<p>${escapeMarkup(words)}</p>`, { marker: '', formAction: "'none'" });
}

function page(status: number, title: string, body: string, allow: { marker: string; formAction: string }): Page {
  return {
    status,
    html: `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
${allow.marker}
<title>${escapeMarkup(title)} · Verbatim demo</title>
<style>${STYLE}</style>
</head>
<body>
<main>
<h1>${escapeMarkup(title)}</h1>
${body}
</main>
</body>
</html>
`,
    headers: {
      'Content-Type': 'text/html; charset=utf-8',
      'Content-Security-Policy': `default-src 'none'; style-src 'sha256-${STYLE_HASH}'; form-action ${allow.formAction}; frame-ancestors 'none'; base-uri 'none'`,
      // Not `no-referrer`: under it browsers send `Origin: null` with the form, and the origin check needs the real one.
      'Referrer-Policy': 'same-origin',
      'X-Content-Type-Options': 'nosniff',
      'X-Frame-Options': 'DENY',
      'Cache-Control': 'no-store',
    },
  };
}
