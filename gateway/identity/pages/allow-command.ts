/** Asks a person whether a command on a terminal may read or decide as them. */
import { exact, html, outside } from './html.ts';
import { type Page, renderPage } from './page.ts';
import { csrfField } from './sign-in.ts';

export interface CommandQuestion {
  /** As the command wrote it: anybody can. */
  readonly command: string;
  /** That the terminal shows as well. */
  readonly code: string;
  readonly level: 'read' | 'decide';
  /** As whom. */
  readonly who: string;
  /** Where the browser goes afterwards: a port of 127.0.0.1. Already checked. */
  readonly redirect: string;
  /** Where the form goes, with `csrf` and `action=continue|cancel`. */
  readonly action: string;
  readonly csrf: string;
}

export function allowCommandPage(question: CommandQuestion): Page {
  const { command, code, level, who, redirect, action, csrf } = question;
  const may = level === 'decide' ? 'read and decide approvals and access as you' : 'read and request access as you';
  return renderPage({
    status: 200,
    title: 'Allow a command',
    width: 'narrow',
    formOrigins: [redirect],
    opener: 'cut',
    main: html`<div class="card stack">
<h1>Does your terminal show this code?</h1>
<p class="code">${code}</p>
<dl class="facts">
<div><dt>Command</dt><dd class="mono">${outside(command, 300)}</dd></div>
<div><dt>You</dt><dd>${outside(who, 254)}</dd></div>
<div><dt>May</dt><dd>${may}, for at most ten minutes</dd></div>
<div><dt>Goes back to</dt><dd><strong>A program on this computer</strong><p class="mono">${outside(redirect, 200)}</p></dd></div>
</dl>
<p class="note warn"><strong>Go on only if you typed this command yourself, just now,</strong> and the code is the same. Any page can open this one.</p>
<form class="buttons side" method="post" action="${exact(action)}">
${csrfField(csrf)}<button class="primary" name="action" value="continue">The code is the same: allow</button>
<button name="action" value="cancel">Cancel</button>
</form>
</div>`,
  });
}
