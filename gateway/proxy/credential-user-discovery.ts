/**
 * Who issues tokens for an upstream: its protected resource metadata (RFC 9728), then the authorization server's own
 * (RFC 8414, OpenID Connect Discovery). All of it is a stranger's until it is compared with what was asked for.
 */
import { z } from 'zod';
import type { ConnectionConfig } from '../config.ts';
import type { UserOauthConfig } from '../config-credential.ts';
import { credentialError } from './credential-error.ts';
import { addressProblem, type UserFetch } from './credential-user-fetch.ts';

/** What a token is asked for, and whom. */
export interface UpstreamResource {
  /** RFC 8707, as the metadata spells it. */
  readonly resource: string;
  /** The authorization server's identifier, to the letter. */
  readonly issuer: string;
  /** What the upstream asks for; undefined where it does not say. */
  readonly scopes: readonly string[] | undefined;
}

const texts = z.array(z.string().max(512)).max(256);
const scopes = z.array(z.string().regex(/^[\x21\x23-\x5b\x5d-\x7e]{1,512}$/)).max(256);
const address = z
  .string()
  .max(2048)
  .regex(/^https?:\/\/[^\s\\@#]+$/)
  .refine((value) => URL.canParse(value));

const resourceMetadata = z.object({
  resource: address,
  authorization_servers: z.array(z.string().max(2048)).min(1).max(16),
  scopes_supported: scopes.optional(),
});

const serverMetadata = z.object({
  issuer: address,
  authorization_endpoint: address,
  token_endpoint: address,
  registration_endpoint: address.optional(),
  revocation_endpoint: address.optional(),
  scopes_supported: texts.optional(),
  code_challenge_methods_supported: texts.optional(),
  token_endpoint_auth_methods_supported: texts.optional(),
  id_token_signing_alg_values_supported: texts.optional(),
  authorization_response_iss_parameter_supported: z.boolean().optional(),
  client_id_metadata_document_supported: z.boolean().optional(),
});

export type AuthorizationServer = z.output<typeof serverMetadata>;

/** The URL that is called: a connection's first path. */
export function calledUrl({ upstream, paths, sse }: ConnectionConfig): string {
  return `${upstream.url}${paths[0] ?? sse?.path ?? '/mcp'}`;
}

/** Throws `credential_unavailable`. */
export async function discoverResource(
  connection: ConnectionConfig,
  config: UserOauthConfig,
  fetch: UserFetch,
): Promise<UpstreamResource> {
  const url = calledUrl(connection);
  const expected = config.resource ?? url;
  if (config.authorizationServer !== undefined) {
    return { resource: expected, issuer: config.authorizationServer, scopes: undefined };
  }
  const challenge = await challengeOf(url, fetch);
  const found = await readResource(url, challenge.metadata, fetch);
  // Another resource's tokens would open that one as well: whoever is called could use them there.
  if (!sameUrl(found.resource, expected)) {
    const words = 'Its metadata is that of another resource.';
    throw credentialError(words, `the metadata of ${url} is for the resource ${printable(found.resource)}`);
  }
  const [issuer = ''] = found.authorization_servers;
  return { resource: found.resource, issuer, scopes: challenge.scopes ?? found.scopes_supported };
}

/** Equal once scheme, host and port are written one way. A path is compared to the letter. */
export function sameUrl(a: string, b: string): boolean {
  const [one, other] = [new URL(a), new URL(b)];
  return one.search === '' && one.href === other.href;
}

/** What a call without a token is answered: RFC 9728, section 5.1; RFC 6750, section 3. */
async function challengeOf(
  url: string,
  fetch: UserFetch,
): Promise<{ metadata: string | undefined; scopes: string[] | undefined }> {
  const headers = { accept: 'text/event-stream, application/json' };
  const { status, headers: answered } = await fetch(url, { method: 'GET', headers, read: 'head' });
  const value = status === 401 ? (answered.get('www-authenticate') ?? '') : '';
  const metadata = address.safeParse(parameterOf(value, 'resource_metadata'));
  const asked = scopes.safeParse(parameterOf(value, 'scope')?.split(' ').filter(Boolean));
  return { metadata: metadata.data, scopes: asked.data };
}

function parameterOf(challenge: string, name: string): string | undefined {
  const found = new RegExp(`(?:^|[\\s,])${name}\\s*=\\s*(?:"([^"\\\\]*)"|([^\\s",]+))`, 'i').exec(challenge);
  return found?.[1] ?? found?.[2];
}

async function readResource(
  url: string,
  named: string | undefined,
  fetch: UserFetch,
): Promise<z.output<typeof resourceMetadata>> {
  const { origin, pathname } = new URL(url);
  const wellKnown = `${origin}/.well-known/oauth-protected-resource`;
  const places = named === undefined ? [`${wellKnown}${pathname.replace(/\/$/, '')}`, wellKnown] : [named];
  for (const place of new Set(places)) {
    const found = resourceMetadata.safeParse(await readJson(place, fetch));
    if (found.success) return found.data;
  }
  throw credentialError(
    'It does not say where it is authorized.',
    `no protected resource metadata at ${[...new Set(places)].map(printable).join(' or ')}`,
  );
}

/** Throws `credential_unavailable`, also for a server without PKCE. */
export async function discoverServer(
  issuer: string,
  allowAddresses: readonly string[],
  fetch: UserFetch,
): Promise<AuthorizationServer> {
  const refused = (why: string) =>
    credentialError(
      'Its authorization server can not be used.',
      `the authorization server ${printable(issuer)} ${why}`,
    );
  if (!address.safeParse(issuer).success || new URL(issuer).search !== '') throw refused('has no usable identifier');
  const { origin, pathname } = new URL(issuer);
  const path = pathname.replace(/\/$/, '');
  const places = new Set([
    `${origin}/.well-known/oauth-authorization-server${path}`,
    `${origin}/.well-known/openid-configuration${path}`,
    `${origin}${path}/.well-known/openid-configuration`,
  ]);
  for (const place of places) {
    const found = serverMetadata.safeParse(await readJson(place, fetch));
    if (!found.success) continue;
    const server = found.data;
    // RFC 8414, section 3.3: to the letter, and no other place is tried, or a mix-up would be a matter of patience.
    if (server.issuer !== issuer) throw refused(`says that it is ${printable(server.issuer)}`);
    if (server.code_challenge_methods_supported?.includes('S256') !== true)
      throw refused('does not say PKCE with S256');
    const { authorization_endpoint, token_endpoint, registration_endpoint, revocation_endpoint } = server;
    for (const one of [authorization_endpoint, token_endpoint, registration_endpoint, revocation_endpoint]) {
      const problem = one === undefined ? undefined : addressProblem(one, allowAddresses);
      if (problem !== undefined) throw refused(`has an endpoint whose address ${problem}`);
    }
    return server;
  }
  throw refused('has no metadata');
}

/** undefined where there is no document: servers answer 404, 401 or a page for people. */
async function readJson(url: string, fetch: UserFetch): Promise<unknown> {
  const answer = await fetch(url, { method: 'GET', headers: { accept: 'application/json' } });
  if (answer.status !== 200) return undefined;
  return answer.json().catch(() => undefined);
}

/** A stranger's address, for the log. */
function printable(value: string): string {
  return value.replaceAll(/[^\x21-\x7e]/g, '?').slice(0, 200);
}
