/** Clients as oidc-provider reads them: what its `Adapter('Client').find` has to give. Field names are RFC 7591's. */
import type { PublicKeys } from './public-keys.ts';

export interface ProviderClient {
  readonly client_id: string;
  readonly client_name?: string;
  readonly redirect_uris: readonly string[];
  readonly grant_types: readonly ClientGrant[];
  readonly response_types: readonly 'code'[];
  /** Refuses `form_post` and `fragment`: the code goes into the query, where the page behind it expects it. */
  readonly response_modes?: readonly 'query'[];
  readonly token_endpoint_auth_method: ClientAuth;
  /** Its loopback addresses match on any port. oidc-provider's default is `web`, where ports count. */
  readonly application_type: 'native';
  /** What the gateway's keys sign; oidc-provider's default is RS256, for which there is no key. */
  readonly id_token_signed_response_alg: 'ES256';
  readonly client_id_issued_at?: number;
  readonly client_secret?: string;
  readonly jwks?: PublicKeys;
  readonly jwks_uri?: string;
}

export type ClientGrant = 'authorization_code' | 'refresh_token' | 'client_credentials';
export type ClientAuth = 'none' | 'client_secret_basic' | 'client_secret_post' | 'private_key_jwt';

/**
 * A client with which people log in. There is no `scope` on purpose: oidc-provider answers `invalid_scope` to a request
 * for `openid` by a client whose metadata names `mcp` alone, and there is nothing else to have.
 */
export function personalClient(client: {
  id: string;
  name?: string | undefined;
  redirectUris: readonly string[];
  refresh: boolean;
  auth?: Pick<ProviderClient, 'token_endpoint_auth_method' | 'client_secret' | 'jwks' | 'jwks_uri'>;
}): ProviderClient {
  return {
    client_id: client.id,
    ...(client.name === undefined ? {} : { client_name: client.name }),
    redirect_uris: client.redirectUris,
    grant_types: client.refresh ? ['authorization_code', 'refresh_token'] : ['authorization_code'],
    response_types: ['code'],
    response_modes: ['query'],
    ...(client.auth ?? { token_endpoint_auth_method: 'none' }),
    application_type: 'native',
    id_token_signed_response_alg: 'ES256',
  };
}
