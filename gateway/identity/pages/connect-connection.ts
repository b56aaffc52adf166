/** One connection on the page /connect. */
import { type ClientHowTo, clientCommands, type HowTo } from './client-commands.ts';
import { exact, type Html, html, lines, outside } from './html.ts';
import { csrfField } from './sign-in.ts';
import { time } from './times.ts';

/** All times in milliseconds since the epoch. */
export interface PageConnection {
  /** As configured: `[a-z][a-z0-9-]*`. */
  readonly name: string;
  readonly title: string;
  /** What a client is given. */
  readonly url: string;
  readonly recording: 'on' | 'off';
  /** When the person last had a session here, where none is open. */
  readonly lastUsed?: number;
  /** Those that are open. */
  readonly sessions: readonly {
    readonly id: string;
    /** The client's name. */
    readonly client: string;
    readonly since: number;
    /** When it ends at the latest. */
    readonly until: number;
  }[];
  /** Which clients need not ask again. */
  readonly consents: readonly {
    readonly id: string;
    readonly client: string;
    /** Where it sends the browser: a host, or words for a program on this computer. */
    readonly redirect: string;
    readonly until: number;
  }[];
  readonly lastError?: {
    readonly at: number;
    /** What happened and what to do. */
    readonly words: string;
    /** Id of the request. */
    readonly reference?: string;
  };
  /** The person's own account at the upstream, where the connection works with one. */
  readonly account:
    | { readonly state: 'not_needed' }
    | { readonly state: 'needed' }
    | { readonly state: 'connected'; readonly since: number }
    | { readonly state: 'failed'; readonly words: string };
  /** Where it is entered for a time: how, and where one asks. */
  readonly access?: { readonly words: string; readonly href: string };
}

interface Around {
  readonly action: string;
  readonly csrf: string;
  readonly now: number;
}

export function connectionCard(connection: PageConnection, around: Around): Html {
  const { name, title, url, sessions } = connection;
  return html`<section class="card stack" aria-labelledby="c-${name}">
<div class="title"><h2 id="c-${name}">${outside(title, 200)}</h2><div class="pills">${access(connection, around.now)}${
    connection.recording === 'on'
      ? html`<span class="pill">Recorded</span>`
      : html`<span class="pill warn">Not recorded</span>`
  }</div></div>
${
  connection.access !== undefined &&
  html`<div class="note stack near"><p>${connection.access.words}</p>
<p><a class="button little" href="${exact(connection.access.href)}">Get access<span class="unseen"> to ${outside(title, 60)}</span></a></p></div>`
}
${account(connection, around)}
${lastError(connection.lastError, around.now)}
<div class="stack near">
<label for="u-${name}">Address</label>
<input id="u-${name}" readonly value="${url}">
</div>
${sessionList(connection, around)}
${consentList(connection, around)}
<details class="how"${sessions.length === 0 && connection.lastUsed === undefined && html` open`}>
<summary>Connect a client</summary>
<div class="clients">
${clientCommands(name, url).map((one, index) => howTo(one, `${name}-${index}`, name))}
</div>
</details>
</section>`;
}

function access({ sessions, lastUsed }: PageConnection, now: number): Html {
  const [session] = sessions;
  if (session !== undefined) {
    const last = sessions.reduce((latest, { until }) => Math.max(latest, until), session.until);
    const count = sessions.length === 1 ? 'Session open' : `${sessions.length} sessions open`;
    return html`<span class="pill good">${count} until ${time(last, now)}</span>`;
  }
  if (lastUsed === undefined) return html`<span class="pill">Never used</span>`;
  return html`<span class="pill">Last used ${time(lastUsed, now)}</span>`;
}

function account({ account, name, title }: PageConnection, around: Around): Html | undefined {
  switch (account.state) {
    case 'not_needed':
      return undefined;
    case 'connected':
      return html`<ul class="rows"><li><div>Your own account there<p>Connected since ${time(account.since, around.now)}</p></div>
${form(around, name, 'account', 'disconnect', html`Disconnect<span class="unseen"> your account for ${outside(title, 60)}</span>`)}</li></ul>`;
    case 'needed':
    case 'failed':
      return html`<div class="note ${account.state === 'failed' ? 'bad' : 'warn'} stack">
<p>${account.state === 'failed' ? outside(account.words, 600) : 'Calls go upstream with your own account there. Connect it once; its keys stay in the gateway.'}</p>
${form(around, name, 'account', 'connect', html`Connect account<span class="unseen"> for ${outside(title, 60)}</span>`)}
</div>`;
  }
}

function lastError(error: PageConnection['lastError'], now: number): Html | undefined {
  if (error === undefined) return undefined;
  return html`<div class="note">
<p><strong class="was">Last error, ${time(error.at, now)}.</strong> ${outside(error.words, 600)}</p>
${error.reference !== undefined && html`<p>Reference <span class="mono">${outside(error.reference)}</span></p>`}
</div>`;
}

function sessionList({ sessions, name }: PageConnection, around: Around): Html | undefined {
  if (sessions.length === 0) return undefined;
  return html`<div class="stack near">
<h3>Open sessions</h3>
<ul class="rows">
${sessions.map(
  ({
    id,
    client,
    since,
    until,
  }) => html`<li><div>${outside(client, 80)}<p>Since ${time(since, around.now)}, until ${time(until, around.now)} at the latest</p></div>
${form(around, name, 'end', id, html`End<span class="unseen"> the session of ${outside(client, 80)}</span>`)}</li>`,
)}
</ul>
</div>`;
}

function consentList({ consents, name }: PageConnection, around: Around): Html | undefined {
  if (consents.length === 0) return undefined;
  return html`<div class="stack near">
<h3>Remembered clients</h3>
<ul class="rows">
${consents.map(
  ({
    id,
    client,
    redirect,
    until,
  }) => html`<li><div>${outside(client, 80)}<p>Goes back to ${outside(redirect, 260)}. Not asked again until ${time(until, around.now)}</p></div>
${form(around, name, 'forget', id, html`Forget<span class="unseen"> ${outside(client, 80)}</span>`)}</li>`,
)}
</ul>
</div>`;
}

function form({ action, csrf }: Around, connection: string, name: string, value: string, label: Html): Html {
  return html`<form method="post" action="${exact(action)}">${csrfField(csrf)}<input type="hidden" name="connection" value="${exact(connection)}"><button class="little${name === 'account' && ' primary'}" name="${name}" value="${exact(value)}">${label}</button></form>`;
}

/** One at a time stands open: `name` makes an accordion of them. */
function howTo({ client, ways, next }: ClientHowTo, id: string, connection: string): Html {
  return html`<details name="how-${connection}"><summary>${client}</summary><div class="stack">
${ways.map((way, index) => wayOf(way, `w-${id}-${index}`, client))}
<p class="soft">${next}</p>
</div></details>
`;
}

/** Text to copy is in fields: they take the keyboard, and what is selected there is nothing else of the page. */
function wayOf(way: HowTo, id: string, client: string): Html {
  switch (way.kind) {
    case 'command':
      return html`<textarea readonly rows="${Math.ceil(way.text.length / 90)}" aria-label="Command for ${client}">${way.text}</textarea>`;
    case 'link':
      return html`<p><a class="button little" href="${exact(way.href)}">${way.text}</a></p>`;
    case 'json':
      return html`<div class="stack near"><label for="${id}">${way.file}</label>
<textarea id="${id}" readonly rows="${way.text.split('\n').length}">${lines(way.text)}</textarea></div>`;
    case 'steps':
      return html`<ol>${way.steps.map((step) => html`<li>${step}</li>`)}</ol>`;
  }
}
