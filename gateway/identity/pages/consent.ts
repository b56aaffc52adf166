/** Asks a person whether a client may call a connection as them. Shown before the identity provider, never framed. */
import { exact, type Html, html, outside } from './html.ts';
import { type Page, renderPage } from './page.ts';
import { csrfField, type EmailQuestion, emailField, type PageProvider } from './sign-in.ts';
import { durationWords } from './times.ts';

export interface ConsentQuestion extends EmailQuestion {
  readonly client: {
    /** Its own word, unless it is registered. */
    readonly name: string;
    readonly id: string;
    /** Who vouches for the name: this gateway's configuration, the host of the client's metadata document, or nobody. */
    readonly verified: 'registered' | 'document' | 'self-registered';
    /** Of the document. */
    readonly host?: string;
  };
  /** Where the browser goes afterwards, whole. Already checked. */
  readonly redirect: string;
  readonly connection: {
    readonly name: string;
    readonly title: string;
    /** Of its address. */
    readonly host: string;
    readonly recording: 'on' | 'off';
  };
  /** Of a session, in milliseconds. */
  readonly lasts: { readonly longest: number; readonly idle: number };
  /** Those who may log in here. Not empty; with several the person is asked for the e-mail address. */
  readonly providers: readonly PageProvider[];
  /** Where the form goes, with `csrf`, `action=continue|cancel` and, where there are several providers, `email`. */
  readonly action: string;
  readonly csrf: string;
  /** Where the form leads on to: see `PageContent`. */
  readonly formOrigins: readonly string[];
}

export function consentPage(question: ConsentQuestion): Page {
  const { client, connection, providers } = question;
  const [provider] = providers;
  const several = providers.length > 1;
  return renderPage({
    status: 200,
    title: 'Allow access',
    width: 'narrow',
    formOrigins: question.formOrigins,
    opener: 'kept',
    main: html`<div class="card stack">
<h1>Allow ${outside(client.name, 60)} to call ${outside(connection.title, 60)} as you?</h1>
<dl class="facts">
${fact('Client', html`<strong>${outside(client.name)}</strong><p>${voucher(client)}</p>`)}
${fact('Connection', html`<strong>${outside(connection.title)}</strong><p class="mono">${outside(connection.host, 253)}</p>`)}
${fact('Goes back to', wayBack(new URL(question.redirect)))}
${fact('Lasts', html`<strong>Up to ${durationWords(question.lasts.longest)}</strong><p>Or until ${durationWords(question.lasts.idle)} pass without a call.</p>`)}
${fact('Recording', recording(connection.recording))}
${question.email !== undefined && !several && fact('You', outside(question.email, 254))}
</dl>
${client.verified === 'self-registered' && html`<p class="note warn"><strong>Nobody has checked this client’s name.</strong> Any program can call itself that. Go on only if you started this login yourself, just now.</p>`}
<form class="stack" method="post" action="${exact(question.action)}">
${csrfField(question.csrf)}${several && emailField(question, providers)}
<div class="buttons side">
<button class="primary" name="action" value="continue">${several || provider === undefined ? 'Continue' : html`Continue with ${outside(provider.title, 40)}`}</button>
<button name="action" value="cancel" formnovalidate>Cancel</button>
</div>
</form>
<p class="small soft">If you continue, this client is remembered for this connection and this way back for 30 days. You can have it forgotten earlier on the page <span class="mono">/connect</span>.</p>
</div>`,
  });
}

function fact(name: string, value: Html): Html {
  return html`<div><dt>${name}</dt><dd>${value}</dd></div>`;
}

function voucher({ verified, host, id }: ConsentQuestion['client']): Html {
  if (verified === 'registered') return html`Registered by this gateway’s administrators.`;
  if (verified === 'document') {
    return html`<strong>${outside(host ?? id, 253)}</strong> says that this is its name.`;
  }
  return html`It gave itself this name.`;
}

/** The host stands out, since it is what counts; the whole address is there to be read. */
function wayBack(redirect: URL): Html {
  const whole = html`<p class="mono">${outside(redirect.href, 300)}</p>`;
  const { protocol, hostname, host } = redirect;
  if (protocol !== 'http:' && protocol !== 'https:') {
    return html`<strong>The program on this computer that opens ${outside(protocol, 60)} links</strong>${whole}`;
  }
  if (['127.0.0.1', 'localhost', '[::1]'].includes(hostname)) {
    return html`<strong>A program on this computer</strong>${whole}`;
  }
  return html`<strong>${outside(host, 260)}</strong>${protocol === 'http:' && html` <span class="pill warn">not encrypted</span>`}${whole}`;
}

function recording(state: 'on' | 'off'): Html {
  return state === 'on'
    ? html`<strong>On</strong><p>Each request and each answer is recorded byte for byte, with your name.</p>`
    : html`<strong>Off</strong><p>Calls of this connection are not recorded.</p>`;
}
