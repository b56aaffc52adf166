/**
 * A browser, one step at a time: it keeps cookies as RFC 6265 says and follows nothing by itself, so that a test decides
 * what arrives where. Steps of a login are functions on it.
 */
import { createHash, randomBytes } from 'node:crypto';
import { type IncomingHttpHeaders, request } from 'node:http';
import { issued, secret } from './canaries.ts';
import type { AttackWorld } from './login-attack-world.ts';
import type { OidcIdp } from './oidc-idp.ts';
import { toolCall } from './raw-client.ts';

export interface Answer {
  readonly status: number;
  readonly headers: IncomingHttpHeaders;
  readonly body: string;
  /** Where a redirect, or the page that goes on by itself, leads. */
  readonly onward: URL | undefined;
}

export interface Sending {
  readonly method?: string;
  readonly form?: Readonly<Record<string, string>> | URLSearchParams;
  readonly body?: string;
  readonly headers?: Readonly<Record<string, string>>;
}

export interface Visitor {
  /** Whom the record names. */
  readonly address: string;
  /** A request at the gateway's public origin. Answers' cookies are kept. */
  send(url: string | URL, sending?: Sending): Promise<Answer>;
  /** The cookies that would go to a URL, by name. */
  cookiesFor(url: string | URL): ReadonlyMap<string, string>;
  /** Puts a cookie there as whoever controls a neighbouring host could. */
  plant(name: string, value: string, path: string): void;
  /** Kinds of what it was given so far: codes, tokens. */
  got(): readonly string[];
}

interface Cookie {
  readonly name: string;
  readonly value: string;
  readonly path: string;
}

let addresses = 0;

/** `replica` says which one serves the next request. */
export function createVisitor(world: AttackWorld, options: { replica?: () => number } = {}): Visitor {
  const { replica = () => 0 } = options;
  const serial = ++addresses;
  const address = `10.${(serial >> 16) & 255}.${(serial >> 8) & 255}.${serial & 255}`;
  let cookies: readonly Cookie[] = [];
  const got: string[] = [];
  const { host } = new URL(world.origin);

  const going = (path: string): Cookie[] =>
    cookies.filter((one) => path === one.path || path.startsWith(one.path.endsWith('/') ? one.path : `${one.path}/`));

  function keep(line: string): void {
    const [pair = '', ...attributes] = line.split(';').map((part) => part.trim());
    const at = pair.indexOf('=');
    const [name, value] = [pair.slice(0, at), pair.slice(at + 1)];
    const path = attributes.find((one) => /^path=/i.test(one))?.slice(5) ?? '/';
    // RFC 6265bis, section 4.1.3.2: what a browser would not keep is not kept.
    const isOwn = path === '/' && attributes.some((one) => /^secure$/i.test(one));
    if (name.startsWith('__Host-') && (!isOwn || attributes.some((one) => /^domain=/i.test(one)))) return;
    const gone = attributes.some((one) => /^max-age=(0|-\d+)$/i.test(one) || /^expires=.*1970/i.test(one));
    cookies = cookies.filter((one) => one.name !== name || one.path !== path);
    if (gone || value === '') return;
    // The id of a login stands in its address too; what makes it this browser's is the signature.
    if (name !== 'verbatim_login' && name !== 'verbatim_resume') issued(value, `the cookie ${name}`);
    cookies = [...cookies, { name, value, path }];
  }

  return {
    address,
    cookiesFor: (url) => new Map(going(new URL(url, world.origin).pathname).map(({ name, value }) => [name, value])),
    plant(name, value, path) {
      cookies = [...cookies, { name, value, path }];
    },
    got: () => got,
    async send(to, { method, form, body, headers = {} } = {}) {
      const url = new URL(to, world.origin);
      const sent = going(url.pathname).map(({ name, value }) => `${name}=${value}`);
      const text =
        body ?? (form === undefined ? undefined : new URLSearchParams(form as Record<string, string>).toString());
      const answer = await exchange(world.replicas[replica()]?.port ?? 0, {
        method: method ?? (text === undefined ? 'GET' : 'POST'),
        path: typeof to === 'string' && to.startsWith('/') ? to : url.pathname + url.search,
        headers: {
          host,
          accept: 'text/html',
          'x-forwarded-for': address,
          ...(sent.length > 0 ? { cookie: sent.join('; ') } : {}),
          ...(form === undefined ? {} : { 'content-type': 'application/x-www-form-urlencoded' }),
          ...headers,
        },
        ...(text === undefined ? {} : { body: text }),
      });
      for (const line of answer.headers['set-cookie'] ?? []) keep(line);
      if (answer.onward?.searchParams.has('code')) got.push('code');
      for (const kind of ['access_token', 'refresh_token', 'id_token'])
        if (answer.body.includes(`"${kind}"`)) got.push(kind);
      return answer;
    },
  };
}

function exchange(
  port: number,
  asked: { method: string; path: string; headers: Record<string, string>; body?: string },
): Promise<Answer> {
  return new Promise((done, fail) => {
    const { body, ...options } = asked;
    const outgoing = request({ host: '127.0.0.1', port, agent: false, ...options }, (incoming) => {
      const chunks: Buffer[] = [];
      incoming.on('data', (chunk: Buffer) => chunks.push(chunk));
      incoming.on('error', fail);
      incoming.on('end', () => {
        const text = Buffer.concat(chunks).toString();
        const { headers, statusCode: status = 0 } = incoming;
        const meta = /<meta http-equiv="refresh" content="0; url=([^"]+)"/.exec(text)?.[1];
        const onward = headers.location ?? meta?.replaceAll('&amp;', '&');
        done({ status, headers, body: text, onward: onward === undefined ? undefined : new URL(onward) });
      });
    });
    outgoing.on('error', fail);
    outgoing.end(body);
  });
}

/** What a client asks for. `changed` is laid over the request's parameters; `undefined` takes one away. */
export interface Asked {
  readonly client?: string;
  readonly redirect?: string;
  readonly connection?: string;
  readonly changed?: Readonly<Record<string, string | undefined>>;
}

/** A client's authorization request, with what only the client knows of it. */
export interface Request {
  readonly url: URL;
  readonly client: string;
  readonly redirect: string;
  readonly connection: string;
  readonly verifier: string;
}

export function requestFor(world: AttackWorld, asked: Asked = {}): Request {
  const { client = 'alpha', redirect = 'http://127.0.0.1:9/callback', connection = 'fixture', changed = {} } = asked;
  const verifier = secret(randomBytes(32).toString('base64url'), "a client's PKCE verifier");
  const url = new URL(`${world.origin}/${connection}/oauth/authorize`);
  const parameters = {
    client_id: client,
    redirect_uri: redirect,
    response_type: 'code',
    scope: 'openid mcp',
    state: 'of-the-client',
    code_challenge: createHash('sha256').update(verifier).digest('base64url'),
    code_challenge_method: 'S256',
    ...changed,
  };
  for (const [name, value] of Object.entries(parameters)) if (value !== undefined) url.searchParams.set(name, value);
  return { url, client, redirect, connection, verifier };
}

/** The consent page of a login that this browser has begun. */
export interface ConsentPage {
  readonly url: URL;
  readonly answer: Answer;
  /** Where its form goes. */
  readonly action: URL;
  readonly csrf: string;
}

export async function toConsent(visitor: Visitor, { url }: Request): Promise<ConsentPage> {
  const begun = await visitor.send(url);
  if (begun.onward === undefined) throw new Error(`The request was answered ${begun.status}: ${begun.body}`);
  return readConsent(begun.onward, await visitor.send(begun.onward));
}

export function readConsent(url: URL, answer: Answer): ConsentPage {
  const csrf = /<input type="hidden" name="csrf" value="([^"]+)"/.exec(answer.body)?.[1];
  const action = /<form[^>]* action="([^"]+)"/.exec(answer.body)?.[1];
  if (csrf === undefined || action === undefined) throw new Error(`No consent page: ${answer.status} ${answer.body}`);
  return { url, answer, action: new URL(action.replaceAll('&amp;', '&')), csrf: issued(csrf, 'the secret of a form') };
}

export function agree(
  visitor: Visitor,
  page: ConsentPage,
  more: Readonly<Record<string, string>> = {},
): Promise<Answer> {
  return visitor.send(page.action, { form: { csrf: page.csrf, action: 'continue', ...more } });
}

/** At the identity provider, as this person: where the browser is sent back to. */
export async function atIdp(idp: OidcIdp, to: URL | undefined, person = idp.chosen): Promise<URL> {
  if (to?.origin !== idp.issuer) throw new Error(`The browser was not sent to the identity provider: ${to?.origin}`);
  const url = new URL(to);
  url.searchParams.set('login_hint', String(idp.people.get(person)?.email));
  issued(url.searchParams.get('state') ?? '', 'the state of a login');
  return idp.browse(url.href);
}

/** Follows the gateway's redirects to the first address elsewhere, or the first answer that is none. */
export async function follow(visitor: Visitor, url: URL, origin: string): Promise<URL | Answer> {
  for (let at = url, steps = 0; steps < 8; steps++) {
    noteTicket(at);
    const answer = await visitor.send(at);
    if (answer.onward === undefined) return answer;
    if (answer.onward.origin !== origin) return answer.onward;
    at = answer.onward;
  }
  throw new Error('It redirects in circles.');
}

function noteTicket(url: URL): void {
  const ticket = url.searchParams.get('ticket');
  if (ticket !== null) issued(ticket, 'a ticket');
}

export interface LoggedIn extends Request {
  readonly visitor: Visitor;
  readonly code: string;
  /** Where the browser arrived at the client. */
  readonly arrived: URL;
}

/** A whole login up to the code. */
export async function logIn(
  world: AttackWorld,
  { person = 'ana', visitor = createVisitor(world), ...asked }: Asked & { person?: string; visitor?: Visitor } = {},
): Promise<LoggedIn> {
  const request = requestFor(world, asked);
  const { onward } = await agree(visitor, await toConsent(visitor, request));
  const arrived = await follow(visitor, await atIdp(world.corp, onward, person), world.origin);
  if (!(arrived instanceof URL)) throw new Error(`The login ended: ${arrived.status} ${arrived.body}`);
  const code = issued(arrived.searchParams.get('code') ?? '', 'a code');
  return { ...request, visitor, code, arrived };
}

export interface TokenAnswer {
  readonly status: number;
  readonly headers: IncomingHttpHeaders;
  readonly json: Readonly<Record<string, string>>;
}

/** Asks the token endpoint, or another one that takes a form and answers JSON. */
export async function post(
  visitor: Visitor,
  path: string,
  form: Readonly<Record<string, string | undefined>> | URLSearchParams,
  headers: Readonly<Record<string, string>> = {},
): Promise<TokenAnswer> {
  const fields =
    form instanceof URLSearchParams
      ? form
      : new URLSearchParams(
          Object.entries(form).flatMap(([name, value]) =>
            value === undefined ? [] : [[name, value] as [string, string]],
          ),
        );
  const answer = await visitor.send(path, { form: fields, headers: { accept: 'application/json', ...headers } });
  const json = answer.body === '' ? {} : (JSON.parse(answer.body) as Record<string, string>);
  for (const name of ['access_token', 'refresh_token', 'id_token']) {
    if (json[name] !== undefined) issued(json[name], `the ${name} of a client`);
  }
  return { status: answer.status, headers: answer.headers, json };
}

export function redeem(
  { visitor, code, verifier, redirect, client, connection }: LoggedIn,
  changed: Readonly<Record<string, string | undefined>> = {},
  by = visitor,
): Promise<TokenAnswer> {
  return post(by, `/${connection}/oauth/token`, {
    grant_type: 'authorization_code',
    code,
    code_verifier: verifier,
    redirect_uri: redirect,
    client_id: client,
    ...changed,
  });
}

export function refresh(
  by: Visitor,
  refreshToken: string,
  changed: Readonly<Record<string, string | undefined>> = {},
  connection = 'fixture',
): Promise<TokenAnswer> {
  return post(by, `/${connection}/oauth/token`, {
    grant_type: 'refresh_token',
    refresh_token: refreshToken,
    client_id: 'alpha',
    ...changed,
  });
}

export interface Tokens {
  readonly access: string;
  readonly refresh: string;
  readonly id: string;
  readonly session: string;
}

export function tokensIn({ status, json }: TokenAnswer): Tokens {
  const { access_token: access = '', refresh_token = '', id_token: id = '' } = json;
  if (status !== 200) throw new Error(`No tokens: ${status} ${JSON.stringify(json)}`);
  return { access, refresh: refresh_token, id, session: String(claimsOf(access).session) };
}

/** Of a token, unverified. */
export function claimsOf(token: string): Readonly<Record<string, unknown>> {
  return JSON.parse(Buffer.from(token.split('.')[1] ?? '', 'base64url').toString());
}

export type Outcome = readonly [status: number, code: string | undefined];

/** A tool call with this token: the status, and the gateway's code where it was refused. */
export async function callWith(
  by: Visitor,
  token: string | undefined,
  at: { connection?: string; query?: string; headers?: Readonly<Record<string, string>> } = {},
): Promise<Outcome> {
  const { connection = 'fixture', query = '', headers = {} } = at;
  const answer = await by.send(`/${connection}/mcp${query}`, {
    body: toolCall(1),
    headers: {
      accept: 'application/json, text/event-stream',
      'content-type': 'application/json',
      ...(token === undefined ? {} : { authorization: `Bearer ${token}` }),
      ...headers,
    },
  });
  return [answer.status, JSON.parse(answer.body).error?.data.code];
}

/** What a redirect to the client, or a page, says it was refused with. */
export function refusalIn(answer: Answer | URL): Outcome {
  if (answer instanceof URL) return [303, answer.searchParams.get('error') ?? undefined];
  // In the fragment for response types whose answers would come there.
  const { searchParams, hash } = answer.onward ?? new URL('none:');
  const error = searchParams.get('error') ?? new URLSearchParams(hash.slice(1)).get('error');
  if (error !== null) return [answer.status, error];
  return [answer.status, /\(([a-z_]+)\)\./.exec(answer.body)?.[1]];
}

export function answered({ status, json }: TokenAnswer): Outcome {
  return [status, json.error];
}
