import { type Config, type ConnectionConfig, originOf, resourceUrl } from '../config.ts';
import { issuerOf } from './server/issuer.ts';

const WELL_KNOWN = '/.well-known/oauth-protected-resource';

/** RFC 9728, section 2: what a client needs to know to get a token for a connection. */
export interface ProtectedResourceMetadata {
  readonly resource: string;
  readonly authorization_servers: readonly string[];
  readonly bearer_methods_supported: readonly ['header'];
  readonly scopes_supported: readonly ['mcp'];
  readonly resource_name: string;
}

/** `error` of RFC 6750, section 3.1, with words that hold nothing of the token. */
export interface ChallengeError {
  readonly error: 'invalid_request' | 'invalid_token' | 'insufficient_scope';
  readonly description?: string;
}

/** The metadata document of one path of a connection. `resource` is the endpoint's URL to the letter: clients compare. */
export function protectedResourceMetadata(
  config: Config,
  connectionName: string,
  path: string,
): ProtectedResourceMetadata {
  const connection = config.connections[connectionName];
  if (connection === undefined) throw new Error('No connection has this name.');
  return {
    resource: resourceUrl(config, connectionName, path),
    authorization_servers: authorizationServers(config, connection),
    bearer_methods_supported: ['header'],
    scopes_supported: ['mcp'],
    resource_name: connection.title ?? connectionName,
  };
}

/**
 * Where a client gets tokens. With `login` that is the connection's own issuer and no other: clients take the first they
 * are told, and agents know theirs. Else each issuer once, in the order of the connection.
 */
function authorizationServers(config: Config, { name, issuers }: ConnectionConfig): string[] {
  if (config.login !== undefined) return [issuerOf(config, name)];
  return [...new Set(issuers.flatMap((name) => config.issuers[name]?.issuer ?? []))];
}

/** Where that document is served: RFC 9728, section 3.1 inserts the well-known part before the resource's path. */
export function metadataUrl(config: Config, connectionName: string, path: string): string {
  const { host } = config.connections[connectionName] ?? {};
  const origin = host === undefined ? config.publicUrl : originOf(config, host);
  const resourcePath = resourceUrl(config, connectionName, path).slice(origin.length);
  return `${origin}${WELL_KNOWN}${resourcePath.replace(/\/$/, '')}`;
}

/**
 * The value of `WWW-Authenticate` for a 401 (or a 403 with `insufficient_scope`). Without credentials in the request
 * there is no `error`: RFC 6750, section 3.
 */
export function challenge(config: Config, connectionName: string, path: string, error?: ChallengeError): string {
  const parameters = [`resource_metadata=${quoted(metadataUrl(config, connectionName, path))}`, 'scope="mcp"'];
  if (error !== undefined) parameters.push(`error=${quoted(error.error)}`);
  if (error?.description !== undefined) parameters.push(`error_description=${quoted(error.description)}`);
  return `Bearer ${parameters.join(', ')}`;
}

/** RFC 6750 allows no quote, backslash or non-ASCII in its parameters, so they are replaced rather than escaped. */
function quoted(value: string): string {
  return `"${value.replaceAll('"', "'").replaceAll(/[^\x20-\x21\x23-\x5b\x5d-\x7e]/g, '?')}"`;
}
