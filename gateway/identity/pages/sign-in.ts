/** Where a person says who they are: one identity provider, or several chosen by the domain of the e-mail address. */
import { exact, type Html, html, outside } from './html.ts';
import { type Page, renderPage } from './page.ts';

export interface PageProvider {
  readonly name: string;
  readonly title: string;
}

interface SignIn {
  /** Where the form goes, with `csrf`, `action=continue` and, where there are several providers, `email`. */
  readonly action: string;
  readonly csrf: string;
  /** Where the form leads on to: see `PageContent`. */
  readonly formOrigins: readonly string[];
  /** What for. */
  readonly heading?: string;
}

/** To see one's connections, with one identity provider. */
export function signInPage(page: SignIn & { readonly provider: PageProvider }): Page {
  return signIn(
    page,
    html`<p class="soft">You log in with ${outside(page.provider.title)}, as you do elsewhere.</p>
<form class="buttons" method="post" action="${exact(page.action)}">
${csrfField(page.csrf)}<button class="primary" name="action" value="continue">Continue with ${outside(page.provider.title, 40)}</button>
</form>`,
  );
}

/** To see one's connections, with several identity providers. */
export function chooseProviderPage(
  page: SignIn & EmailQuestion & { readonly providers: readonly PageProvider[] },
): Page {
  return signIn(
    page,
    html`<form class="stack" method="post" action="${exact(page.action)}">
${csrfField(page.csrf)}${emailField(page, page.providers)}
<div class="buttons"><button class="primary" name="action" value="continue">Continue</button></div>
</form>`,
  );
}

function signIn(page: SignIn, body: Html): Page {
  return renderPage({
    status: 200,
    title: 'Log in',
    width: 'narrow',
    formOrigins: page.formOrigins,
    opener: 'cut',
    main: html`<div class="card stack">
<h1>${page.heading ?? 'Log in to see your connections'}</h1>
${body}
</div>`,
  });
}

export function csrfField(csrf: string): Html {
  return html`<input type="hidden" name="csrf" value="${exact(csrf)}">`;
}

export interface EmailQuestion {
  /** As known, or as given before. */
  readonly email?: string;
  /** Why the address given before does not do: what is wrong and what to do. */
  readonly problem?: string;
}

export function emailField({ email, problem }: EmailQuestion, providers: readonly PageProvider[]): Html {
  const titles = providers.map((provider, index) => html`${index > 0 && ', '}${outside(provider.title, 40)}`);
  return html`<div class="stack near">
<label for="email">Work e-mail</label>
<input id="email" type="email" name="email" value="${email ?? ''}" required maxlength="254" autocomplete="email" autocapitalize="none" spellcheck="false" aria-describedby="email-hint${problem !== undefined && ' email-problem'}"${problem !== undefined && html` aria-invalid="true"`}>
${problem !== undefined && html`<p class="note bad" id="email-problem">${outside(problem, 400)}</p>`}
<p class="small soft" id="email-hint">Its domain decides where you log in: ${titles}.</p>
</div>`;
}
