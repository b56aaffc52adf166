/**
 * Dynamic client registration (RFC 7591) without a store: the client id is the registration itself, sealed. Anybody may
 * register, so an id proves nothing about who holds it; it only says where its logins come back to.
 */
import { z } from 'zod';
import { parseJson } from '../../mcp/parse.ts';
import type { Keyring } from '../keyring.ts';
import { type ProviderClient, personalClient } from './client.ts';
import { cleanName } from './client-name.ts';
import { acceptedRedirects, type RedirectHosts } from './redirects.ts';

export interface RegistrationRules {
  /** `login.redirectHosts`. */
  readonly redirectHosts: RedirectHosts;
}

/** What was registered, which may be less than was asked for (RFC 7591, section 3.2.1). */
export interface RegisteredMetadata {
  readonly client_name?: string;
  readonly redirect_uris: readonly string[];
  readonly grant_types: readonly ('authorization_code' | 'refresh_token')[];
  readonly response_types: readonly ['code'];
  readonly token_endpoint_auth_method: 'none';
  readonly application_type: 'native';
  readonly scope: 'mcp';
}

export type Registration =
  | { readonly ok: true; readonly metadata: RegisteredMetadata }
  | {
      readonly ok: false;
      readonly error: 'invalid_redirect_uri' | 'invalid_client_metadata';
      readonly description: string;
    };

/** Says which format follows, and tells these ids from a person's own and from addresses of documents. */
export const SEALED_PREFIX = 'v1.';
/** Clients keep an id beside their tokens and put it into addresses. Real ones take 130 to 400 characters. */
export const MOST_ID_CHARACTERS = 1000;
/** What fits into an id as Base64 with a nonce of 12 bytes and a tag of 16. */
const MOST_SEALED_BYTES = Math.floor(((MOST_ID_CHARACTERS - SEALED_PREFIX.length) * 3) / 4) - 28;
/** As many digits as any time of these three centuries has. */
const LONGEST_TIME = 9_999_999_999_000;
const MOST_REDIRECTS = 10;

const words = z.array(z.string().max(200)).max(20).nullish();
const request = z.object({
  redirect_uris: z.unknown().optional(),
  client_name: z.unknown().optional(),
  grant_types: words,
  response_types: words,
});
const redirectUris = z.array(z.string()).min(1).max(MOST_REDIRECTS);

/**
 * Reads the body of a registration. Only known fields are read; whatever else a client asks for it does not get: no
 * secret (`token_endpoint_auth_method` is always `none`), no logo, no address that the gateway would show or fetch.
 */
export function readRegistration(body: unknown, rules: RegistrationRules): Registration {
  const asked = request.safeParse(body).data;
  if (asked === undefined) {
    return refused('invalid_client_metadata', 'The body is not a JSON object of client metadata (RFC 7591).');
  }
  const uris = redirectUris.safeParse(asked.redirect_uris).data;
  if (uris === undefined) {
    return refused('invalid_redirect_uri', `redirect_uris has to be a list of 1 to ${MOST_REDIRECTS} addresses.`);
  }
  const accepted = acceptedRedirects(uris, rules.redirectHosts);
  if (accepted === undefined) return refused('invalid_redirect_uri', REDIRECT_WORDS);
  const { grant_types: grants, response_types: responses } = asked;
  if (grants != null && !grants.includes('authorization_code')) {
    return refused('invalid_client_metadata', 'grant_types has to name authorization_code.');
  }
  if (responses != null && !responses.includes('code')) {
    return refused('invalid_client_metadata', 'response_types has to name code.');
  }
  const metadata = registered({
    name: cleanName(asked.client_name),
    redirectUris: accepted,
    refresh: grants == null || grants.includes('refresh_token'),
  });
  if (Buffer.byteLength(sealable(metadata, LONGEST_TIME)) > MOST_SEALED_BYTES) {
    return refused('invalid_redirect_uri', 'The redirect_uris are too long together. Register fewer, or shorter ones.');
  }
  return { ok: true, metadata };
}

const REDIRECT_WORDS =
  'No redirect address of this client is allowed here: http:// on 127.0.0.1, [::1] or localhost, https:// on a host that ' +
  'this gateway lists, or the private-use scheme of a program (com.example.app:/callback), each in its normal spelling.';

function refused(error: 'invalid_redirect_uri' | 'invalid_client_metadata', description: string): Registration {
  return { ok: false, error, description };
}

function registered(client: {
  name: string | undefined;
  redirectUris: readonly string[];
  refresh: boolean;
}): RegisteredMetadata {
  return {
    ...(client.name === undefined ? {} : { client_name: client.name }),
    redirect_uris: client.redirectUris,
    grant_types: client.refresh ? ['authorization_code', 'refresh_token'] : ['authorization_code'],
    response_types: ['code'],
    token_endpoint_auth_method: 'none',
    application_type: 'native',
    scope: 'mcp',
  };
}

/** The members are short because an id is long. `t`: seconds since the epoch. */
const sealed = z.object({
  t: z.number().int().nonnegative(),
  n: z.string().optional(),
  r: z.array(z.string()),
  f: z.literal(1).optional(),
});

function sealable(metadata: RegisteredMetadata, now: number): string {
  const content: z.output<typeof sealed> = {
    t: Math.max(0, Math.floor(now / 1000)),
    ...(metadata.client_name === undefined ? {} : { n: metadata.client_name }),
    r: [...metadata.redirect_uris],
    ...(metadata.grant_types.includes('refresh_token') ? { f: 1 as const } : {}),
  };
  return JSON.stringify(content);
}

/** The client id of a registration, at most 1,000 characters. `now` in milliseconds. */
export function sealClientId(keyring: Keyring, metadata: RegisteredMetadata, now: number): string {
  return SEALED_PREFIX + keyring.seal('client', sealable(metadata, now));
}

/**
 * The client of an id that this gateway gave out; undefined for anything else.
 *
 * An id does not end by itself. Clients keep theirs for good and learn in the browser alone, where no program reads it,
 * that one is not known any more; and who lost one registers again without being asked who they are, so an end would keep
 * nobody out. Instead the rules of today are applied whenever an id is used: a host taken off the list is gone from all
 * ids at once, and an id ends with the last secret that can open it.
 */
export function openClientId(keyring: Keyring, clientId: string, rules: RegistrationRules): ProviderClient | undefined {
  if (clientId.length > MOST_ID_CHARACTERS || !clientId.startsWith(SEALED_PREFIX)) return undefined;
  const text = clientId.slice(SEALED_PREFIX.length);
  // Base64 has several spellings for one sequence of bytes; a client has one id.
  if (Buffer.from(text, 'base64url').toString('base64url') !== text) return undefined;
  const opened = keyring.open('client', text);
  const content = opened === undefined ? undefined : sealed.safeParse(parsed(opened)).data;
  if (content === undefined) return undefined;
  const redirects = acceptedRedirects(content.r, rules.redirectHosts);
  if (redirects === undefined) return undefined;
  const client = { id: clientId, name: content.n, redirectUris: redirects, refresh: content.f === 1 };
  return { ...personalClient(client), client_id_issued_at: content.t };
}

function parsed(text: string): unknown {
  try {
    return parseJson(Buffer.from(text));
  } catch {
    return undefined;
  }
}

/** The body of the answer, HTTP status 201 (RFC 7591, section 3.2.1). `now` in milliseconds. */
export function registrationAnswer(
  clientId: string,
  metadata: RegisteredMetadata,
  now: number,
): RegisteredMetadata & { readonly client_id: string; readonly client_id_issued_at: number } {
  return { client_id: clientId, client_id_issued_at: Math.floor(now / 1000), ...metadata };
}
