/** Clients that are known without asking anybody: those of the configuration, and Verbatim's own command line. */
import type { RegisteredClientConfig } from '../../config-login.ts';
import { type ProviderClient, personalClient } from './client.ts';
import { readPublicKeys } from './public-keys.ts';
import { judgeRedirect } from './redirects.ts';
import { SEALED_PREFIX } from './registration.ts';

/** What a client's references say, read by the caller. */
export interface ReadReferences {
  readonly secret?: string | undefined;
  /** The text of a JSON Web Key Set. */
  readonly jwks?: string | undefined;
}

export const COMMAND_LINE_CLIENT = 'verbatim-cli';
/** An agent's secret is all there is between anybody and its groups. */
const LEAST_SECRET_CHARACTERS = 16;

/** `verbatim login`: it listens on a port that its system gives it. */
export const commandLineClient: ProviderClient = personalClient({
  id: COMMAND_LINE_CLIENT,
  name: 'Verbatim command line',
  redirectUris: ['http://127.0.0.1/callback'],
  refresh: true,
});

/** A client of the configuration can't be used as it is written. The words hold nothing that was read. */
export class ClientNotUsable extends Error {
  override readonly name = 'ClientNotUsable';
  /** Below `login.clients`. */
  readonly path: readonly string[];

  constructor(path: readonly string[], words: string) {
    super(`login.clients.${path.join('.')} ${words}`);
    this.path = path;
  }
}

/**
 * The clients of `login.clients` by id, for oidc-provider. `read` has what the references of each say. A client's id may
 * be the address of a metadata document: then it is not fetched. Throws `ClientNotUsable`.
 */
export function registeredClients(
  clients: Readonly<Record<string, RegisteredClientConfig>>,
  read: Readonly<Record<string, ReadReferences>> = {},
): ReadonlyMap<string, ProviderClient> {
  return new Map(
    Object.entries(clients).map(([id, config]) => {
      refuseUnusableId(id);
      const references = Object.hasOwn(read, id) ? read[id] : undefined;
      return [id, registeredClient(id, config, references ?? {})];
    }),
  );
}

function refuseUnusableId(id: string): void {
  if (!/^[\x21-\x7e]{1,256}$/.test(id)) {
    throw new ClientNotUsable([JSON.stringify(id.slice(0, 40))], 'is no client id. Write up to 256 ASCII characters.');
  }
  if (id === COMMAND_LINE_CLIENT) throw new ClientNotUsable([id], 'is built in. Give this client another id.');
  if (id.startsWith(SEALED_PREFIX)) {
    throw new ClientNotUsable([id], `begins with ${SEALED_PREFIX}, as ids of dynamic registrations do. Write another.`);
  }
}

function registeredClient(id: string, config: RegisteredClientConfig, read: ReadReferences): ProviderClient {
  const auth = authOf(id, config, read);
  const { name, agent, redirectUris } = config;
  if (agent === undefined) {
    const unusable = redirectUris.findIndex((uri) => judgeRedirect(uri, 'any') !== 'accepted');
    if (unusable >= 0) {
      const words =
        'is not a redirect address in its normal spelling. Write an https:// address, http:// on a loopback address, or ' +
        'a private-use scheme, without userinfo, fragment or dot segments.';
      throw new ClientNotUsable([id, 'redirectUris', String(unusable)], words);
    }
    return personalClient({ id, name, redirectUris, refresh: true, auth });
  }
  if (redirectUris.length > 0) {
    throw new ClientNotUsable([id, 'redirectUris'], 'is of no use to an agent, which has no browser. Take it out.');
  }
  if (auth.token_endpoint_auth_method === 'none') {
    throw new ClientNotUsable([id, 'agent'], 'would let anybody in. Give the client a secret, jwks or jwksUri.');
  }
  return {
    client_id: id,
    ...(name === undefined ? {} : { client_name: name }),
    redirect_uris: [],
    grant_types: ['client_credentials'],
    response_types: [],
    ...auth,
    application_type: 'native',
    id_token_signed_response_alg: 'ES256',
  };
}

type Auth = Pick<ProviderClient, 'token_endpoint_auth_method' | 'client_secret' | 'jwks' | 'jwks_uri'>;

function authOf(id: string, config: RegisteredClientConfig, read: ReadReferences): Auth {
  if (config.secret !== undefined) {
    if (read.secret === undefined || !/^[\x20-\x7e]+$/.test(read.secret)) {
      throw new ClientNotUsable([id, 'secret'], 'is not a line of ASCII characters (RFC 6749, appendix A.2).');
    }
    if (read.secret.length < LEAST_SECRET_CHARACTERS) {
      const words = `has less than ${LEAST_SECRET_CHARACTERS} characters. Generate one: openssl rand -base64 32.`;
      throw new ClientNotUsable([id, 'secret'], words);
    }
    return { token_endpoint_auth_method: config.secretAuth, client_secret: read.secret };
  }
  if (config.jwks !== undefined) {
    const jwks = readPublicKeys(parsed(read.jwks ?? ''));
    if (jwks === undefined) {
      const words = 'is not a JSON Web Key Set of public RSA, EC or OKP keys. Take out private members and other keys.';
      throw new ClientNotUsable([id, 'jwks'], words);
    }
    return { token_endpoint_auth_method: 'private_key_jwt', jwks };
  }
  if (config.jwksUri !== undefined) return { token_endpoint_auth_method: 'private_key_jwt', jwks_uri: config.jwksUri };
  return { token_endpoint_auth_method: 'none' };
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
