/**
 * The HTTP surface of the authorization server: each connection's issuer, the way back from identity providers, and the
 * pages of a person. What of it is asked by strangers is counted by address; what costs a fetch or a signature comes
 * behind that.
 */
import type { IncomingMessage, ServerResponse } from 'node:http';
import type { default as Provider } from 'oidc-provider';
import type { ConnectionConfig } from '../../config.ts';
import { parseJson } from '../../mcp/parse.ts';
import type { LoginAnswer } from '../broker/identity-provider.ts';
import { LoginRefused } from '../broker/identity-provider.ts';
import type { Rate } from '../clients/rate.ts';
import { readRegistration, registrationAnswer, sealClientId } from '../clients/registration.ts';
import { messagePage, onwardPage } from '../pages/message.ts';
import { type LoginAddress, loginAddressOf } from './address.ts';
import type { Connect } from './connect.ts';
import type { LoginFlow, LoginPurpose } from './flow.ts';
import type { Interactions } from './interaction.ts';
import { issuerOf } from './issuer.ts';
import type { Login } from './login.ts';
import { readBytes, readForm, sendJson, sendPage } from './web.ts';

export interface LoginRoutes {
  /** Whether the request is one of these; if so it is answered. Rejects where that failed in a way nobody foresaw. */
  serve(request: IncomingMessage, response: ServerResponse): Promise<boolean>;
}

export interface LoginRoutesDeps {
  login(): Login | undefined;
  readonly flow: LoginFlow;
  readonly interactions: Interactions;
  readonly connect: Connect;
  readonly rates: { readonly registration: Rate; readonly authorize: Rate; readonly token: Rate; readonly pages: Rate };
  readonly now: () => number;
  addressOf(request: IncomingMessage): string;
  refused(facts: { address: string; reason: string; connection?: string; detail?: string }): void;
  event(name: string, details: Record<string, unknown>): Promise<void>;
  /** Further addresses of the gateway's: whether it is one of them. */
  more?(visit: GatewayVisit): Promise<boolean>;
}

interface Visit {
  readonly login: Login;
  readonly request: IncomingMessage;
  readonly response: ServerResponse;
  readonly query: URLSearchParams;
  /** Of the client. */
  readonly address: string;
}
export type GatewayVisit = Visit & { readonly path: string };
type IssuerVisit = Visit & { readonly connection: ConnectionConfig; readonly prefix: string; readonly path: string };

const MOST_REGISTRATION = 16 * 1024;
/** A SAML response stands in a form. */
const MOST_ANSWER = 384 * 1024;
const INTERACTION = /^\/oauth\/interaction\/([A-Za-z0-9_-]{10,64})(\/finish)?$/;
/** To the letter: what oidc-provider would take in another spelling is on none of the lists here. */
const OF_PROVIDER = /^(\/\.well-known\/[a-z-]+|\/oauth\/(authorize(\/[A-Za-z0-9_-]{10,64})?|token|jwks|revoke))$/;
/** Milliseconds in which the body of a request has to be there. The longest is a form with a SAML response. */
const BODY_MS = 10_000;

export function createLoginRoutes(deps: LoginRoutesDeps): LoginRoutes {
  const { flow, interactions, connect, rates } = deps;

  async function serveIssuer(visit: IssuerVisit): Promise<boolean> {
    const { path, request, response, connection, address } = visit;
    const [, uid, finish] = INTERACTION.exec(path) ?? [];
    if (uid !== undefined) {
      if (isTooMany(rates.pages, visit, connection.name)) return true;
      const step = { ...visit, uid };
      if (request.method === 'POST' && finish === undefined) await interactions.answer(step);
      else if (request.method === 'GET')
        await (finish === undefined ? interactions.show(step) : interactions.finish(step));
      else return false;
      return true;
    }
    if (path === '/oauth/register') return register(visit);
    if (!OF_PROVIDER.test(path)) return false;
    const rate = path === '/oauth/token' || path === '/oauth/revoke' ? rates.token : rates.authorize;
    const isCounted = path.startsWith('/oauth/') && path !== '/oauth/jwks';
    if (isCounted && isTooMany(rate, visit, connection.name)) return true;
    if (path === '/oauth/authorize' && !isQueryMode(visit.query)) {
      deps.refused({ address, reason: 'login_refused', connection: connection.name, detail: 'response_mode' });
      const words = 'This client asks for its code in a way that is not offered here (response_mode).';
      sendPage(response, messagePage({ status: 400, title: 'This login can not go on', words }));
      return true;
    }
    await handOver(await visit.login.serverOf(connection.name), visit);
    return true;
  }

  /** RFC 7591. Public clients of any page in a browser may register, so the answer is for any origin to read. */
  async function register(visit: IssuerVisit): Promise<boolean> {
    const { login, request, response, connection, address } = visit;
    if (login.settings.registration !== 'on') return false;
    const cors = { 'access-control-allow-origin': '*', 'cache-control': 'no-store' };
    if (request.method === 'OPTIONS') {
      const allow = {
        'access-control-allow-methods': 'POST',
        'access-control-allow-headers': 'content-type, mcp-protocol-version',
      };
      response.writeHead(204, { ...cors, ...allow, 'access-control-max-age': '7200' }).end();
      return true;
    }
    if (request.method !== 'POST') return false;
    if (isTooMany(rates.registration, visit, connection.name)) return true;
    const body = parsed(await readBytes(request, MOST_REGISTRATION));
    const read = readRegistration(body, login.settings);
    if (!read.ok) {
      const { error, description } = read;
      deps.refused({ address, reason: 'registration_refused', connection: connection.name, detail: error });
      sendJson(response, 400, { error, error_description: description }, cors);
      return true;
    }
    const id = sealClientId(login.keyring, read.metadata, deps.now());
    const { client_name: client, redirect_uris: redirects } = read.metadata;
    await deps.event('client.registered', { connection: connection.name, client, redirects, address });
    sendJson(response, 201, registrationAnswer(id, read.metadata, deps.now()), cors);
    return true;
  }

  function isTooMany(rate: Rate, { address, response }: Visit, connection?: string): boolean {
    if (rate.take(address)) return false;
    deps.refused({ address, reason: 'too_many_logins', ...(connection === undefined ? {} : { connection }) });
    tooMany(response);
    return true;
  }

  async function serveGateway(visit: GatewayVisit): Promise<boolean> {
    const { path, request } = visit;
    // An answer may take a while to be read (SAML), and what is written costs a state object, whoever sends it.
    if (isTooMany(rates.pages, visit)) return true;
    if (path === '/connect' || path.startsWith('/connect/')) {
      if (request.method !== 'GET' && request.method !== 'POST') return false;
      await connect.serve(visit);
      return true;
    }
    const [, saml] = /^\/oauth\/saml\/([a-z][a-z0-9-]*)$/.exec(path) ?? [];
    if (saml !== undefined) return samlMetadataOf(visit, saml);
    const [, provider] = /^\/oauth\/callback\/([a-z][a-z0-9-]*)$/.exec(path) ?? [];
    if (provider !== undefined) {
      await arrive(visit, provider);
      return true;
    }
    return (await deps.more?.(visit)) ?? false;
  }

  /** The browser is back from the identity provider. It goes on where its own login waits, which alone can use the ticket. */
  async function arrive(visit: GatewayVisit, provider: string): Promise<void> {
    const { login, request, response, address } = visit;
    try {
      const form = request.method === 'POST' ? await readForm(request, MOST_ANSWER) : undefined;
      if (request.method !== 'GET' && form === undefined)
        throw new LoginRefused('login_over', 'This is no answer to a login.');
      const url = new URL(`${login.config.publicUrl}${request.url}`);
      const answer: LoginAnswer = { url, ...(form === undefined ? {} : { form }) };
      const { purpose, ticket } = await flow.callback(login, provider, answer);
      const href = `${backTo(login, purpose)}/finish?ticket=${ticket}`;
      // Not a redirect: the identity provider's page may say where its form may lead to, and browsers apply that to the
      // whole chain of redirects behind it (`form-action`), to the client's own address too.
      sendPage(response, onwardPage({ href, title: 'Verbatim' }));
    } catch (error) {
      if (!(error instanceof LoginRefused)) throw error;
      deps.refused({ address, reason: 'login_refused', detail: error.code });
      const hint = 'Start it again from the program that opened this page.';
      sendPage(response, messagePage({ status: 400, title: 'This login can not go on', words: error.message, hint }));
    }
  }

  return {
    async serve(request, response) {
      const login = deps.login();
      const at: LoginAddress | undefined = login && loginAddressOf(login.config, request);
      if (login === undefined || at === undefined) return false;
      const visit = { login, request, response, address: deps.addressOf(request) };
      const late = setTimeout(() => request.complete || request.destroy(), BODY_MS);
      late.unref();
      response.once('close', () => clearTimeout(late));
      return at.kind === 'connection' ? serveIssuer({ ...visit, ...at }) : serveGateway({ ...visit, ...at });
    },
  };
}

/** Where the browser goes on that has come back from the identity provider. */
function backTo({ config }: Login, purpose: LoginPurpose): string {
  if (purpose.kind === 'browser') return `${config.publicUrl}/connect`;
  if (purpose.kind === 'approver') return `${config.publicUrl}/approvals`;
  return `${issuerOf(config, purpose.connection)}/oauth/interaction/${purpose.uid}`;
}

/**
 * Gives the request to oidc-provider, which builds addresses from what it is told of itself: from the configuration, so
 * that no header of the client's says where tokens go.
 */
async function handOver(server: Provider, { request, response, prefix, path, address }: IssuerVisit): Promise<void> {
  const { url = '' } = request;
  const mark = url.indexOf('?');
  const inner = path + (mark < 0 ? '' : url.slice(mark));
  const { host, protocol } = new URL(server.issuer);
  delete request.headers['x-forwarded-host'];
  request.headers.host = host;
  request.headers['x-forwarded-proto'] = protocol.slice(0, -1);
  request.headers['x-forwarded-for'] = address;
  Object.assign(request, { url: inner, originalUrl: prefix + inner, baseUrl: prefix });
  await server.callback()(request, response);
}

/** What an administrator uploads to a SAML identity provider. */
async function samlMetadataOf({ login, request, response }: GatewayVisit, name: string): Promise<boolean> {
  const config = login.settings.providers[name]?.saml;
  if (config === undefined || request.method !== 'GET') return false;
  const { samlMetadata } = await import('../broker/saml.ts');
  const xml = Buffer.from(samlMetadata({ name, config, publicUrl: login.config.publicUrl }));
  response.writeHead(200, { 'content-type': 'application/samlmetadata+xml', 'content-length': String(xml.length) });
  response.end(xml);
  return true;
}

function isQueryMode(query: URLSearchParams): boolean {
  return query.getAll('response_mode').every((mode) => mode === 'query');
}

function tooMany(response: ServerResponse): void {
  sendJson(
    response,
    429,
    { error: 'temporarily_unavailable', error_description: 'Too many requests. Try again in a minute.' },
    { 'retry-after': '60', connection: 'close' },
  );
}

function parsed(bytes: Buffer | undefined): unknown {
  try {
    return bytes === undefined ? undefined : parseJson(bytes);
  } catch {
    return undefined;
  }
}
