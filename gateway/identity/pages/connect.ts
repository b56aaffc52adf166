/** After login: the connections that a person may use, how clients are told of them, and what may be taken back. */
import { connectionCard, type PageConnection } from './connect-connection.ts';
import { exact, type Html, html, outside } from './html.ts';
import { type Page, renderPage } from './page.ts';
import { csrfField } from './sign-in.ts';

export interface ConnectPage {
  readonly person: {
    readonly name?: string;
    readonly email?: string;
    /** Title of the identity provider. */
    readonly provider: string;
  };
  readonly connections: readonly PageConnection[];
  /** What the form before did, in a sentence: said once, at the top. */
  readonly notice?: { readonly kind: 'good' | 'bad'; readonly words: string };
  /** Where all forms but sign-out go, with `csrf`, `connection` and `forget=<consent>`, `end=<session>` or `account=connect|disconnect`. */
  readonly action: string;
  readonly signOutAction: string;
  readonly csrf: string;
  /** Where the forms lead on to (upstreams with an account of one's own): see `PageContent`. */
  readonly formOrigins: readonly string[];
  /** Milliseconds since the epoch. */
  readonly now: number;
}

export function connectPage(page: ConnectPage): Page {
  const { notice, connections } = page;
  return renderPage({
    status: 200,
    title: 'Your connections',
    width: connections.length === 0 ? 'narrow' : 'wide',
    header: whoAndSignOut(page),
    formOrigins: page.formOrigins,
    opener: 'cut',
    main: html`<div class="stack">
${notice !== undefined && html`<p class="note ${notice.kind}" role="status">${outside(notice.words, 400)}</p>`}
${connections.length === 0 ? nothing(page) : [heading(), connections.map((one) => connectionCard(one, page))]}
</div>`,
  });
}

function whoAndSignOut({ person, signOutAction, csrf }: ConnectPage): Html {
  return html`<div class="person">
<span>${outside(person.name ?? person.email ?? 'You', 60)} <span class="soft">· ${outside(person.provider, 40)}</span></span>
<form method="post" action="${exact(signOutAction)}">${csrfField(csrf)}<button class="little" name="action" value="sign-out">Sign out</button></form>
</div>`;
}

function heading(): Html {
  return html`<div class="stack near intro">
<h1>Your connections</h1>
<p class="soft">Give a client the address. It opens the browser, you log in once, and it works until the session ends. There is no token to copy.</p>
</div>`;
}

function nothing({ person }: ConnectPage): Html {
  return html`<div class="card stack">
<h1>There is nothing here for you yet</h1>
<p>You are logged in, but none of your groups may use a connection.</p>
<p>Ask the team whose server you need, or the administrators of this gateway, to let one of your groups in. If that was done a moment ago, sign out and log in again.</p>
<dl class="facts">
<div><dt>You</dt><dd>${outside(person.email ?? person.name ?? 'without an e-mail address', 254)}</dd></div>
<div><dt>Logged in at</dt><dd>${outside(person.provider)}</dd></div>
</dl>
</div>`;
}
