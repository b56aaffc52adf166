/** What a Client ID Metadata Document may say (draft-ietf-oauth-client-id-metadata-document, section 4). */
import { z } from 'zod';
import { type ProviderClient, personalClient } from './client.ts';
import { cleanName } from './client-name.ts';
import { type PublicKeys, readPublicKeys } from './public-keys.ts';
import { acceptedRedirects } from './redirects.ts';

/** A client, or one whose keys are still to be fetched: `jwksUri`, on the document's own origin. */
export type ReadDocument =
  | { readonly client: ProviderClient }
  | { readonly jwksUri: string; clientWith(keys: PublicKeys): ProviderClient };

const list = z.array(z.string()).max(50);
const document = z.object({
  client_id: z.string(),
  client_name: z.unknown().optional(),
  redirect_uris: list.min(1).max(20),
  grant_types: list.nullish(),
  response_types: list.nullish(),
  token_endpoint_auth_method: z.enum(['none', 'private_key_jwt']).nullish(),
  jwks: z.unknown().optional(),
  jwks_uri: z.unknown().optional(),
  // Section 4.1: a document is public, so nothing in it is a secret.
  client_secret: z.undefined().optional(),
  client_secret_expires_at: z.undefined().optional(),
});

/**
 * Reads the document that was found at `url`. Only known fields are read. undefined where it isn't acceptable: it names
 * another client, holds or asks for a secret, sends people nowhere that is allowed, or has no usable keys.
 *
 * Redirects may go to the document's own host besides `redirectHosts`: who can place the document there could as well
 * place the page.
 */
export function readDocument(url: URL, json: unknown, redirectHosts: readonly string[]): ReadDocument | undefined {
  const read = document.safeParse(json).data;
  // To the letter (section 4.1): else one host's document could be another client's.
  if (read === undefined || read.client_id !== url.href) return undefined;
  const redirectUris = acceptedRedirects(read.redirect_uris, [...redirectHosts, url.host]);
  if (redirectUris === undefined) return undefined;
  const { grant_types: grants, response_types: responses } = read;
  if (grants != null && !grants.includes('authorization_code')) return undefined;
  if (responses != null && !responses.includes('code')) return undefined;

  const client = {
    id: read.client_id,
    name: cleanName(read.client_name),
    redirectUris,
    refresh: grants == null || grants.includes('refresh_token'),
  };
  if (read.token_endpoint_auth_method !== 'private_key_jwt') return { client: personalClient(client) };
  const clientWith = (jwks: PublicKeys) =>
    personalClient({ ...client, auth: { token_endpoint_auth_method: 'private_key_jwt', jwks } });
  if (read.jwks == null) return typeof read.jwks_uri === 'string' ? { jwksUri: read.jwks_uri, clientWith } : undefined;
  const jwks = readPublicKeys(read.jwks);
  return jwks === undefined || read.jwks_uri != null ? undefined : { client: clientWith(jwks) };
}
