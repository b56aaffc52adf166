import type { ClientAuth, Configuration, CustomFetch, ServerMetadata } from 'openid-client';
import { parseSafeUrl } from '../../config-values.ts';
import { CREDENTIAL_DEADLINE_MS, type CredentialFetch } from '../../proxy/credential-fetch.ts';
import { refusalOf } from './oidc-refusal.ts';
import { createProviderFetch } from './provider-fetch.ts';
import { loggedWords, refusal } from './refusal.ts';

/** What one OpenID Connect provider is to this gateway. */
export interface Registration {
  readonly issuer: string;
  readonly clientId: string;
  /** Read anew for each request, so that a changed secret needs no restart. */
  readonly clientSecret: () => Promise<string>;
}

/** Asymmetric alone: a client secret is no key to sign with, and `none` is no signature. */
const ALGORITHMS = new Set(
  'RS256 RS384 RS512 PS256 PS384 PS512 ES256 ES384 ES512 EdDSA Ed25519 ML-DSA-44 ML-DSA-65 ML-DSA-87'.split(' '),
);
const KEPT_FOR = 60 * 60_000;
/** After a failure the provider is left alone this long, so that who only opens login pages can not hammer it. */
const RETRY_AFTER = 2000;

/**
 * The provider's metadata (OpenID Connect Discovery 1.0), read at first use and once an hour; one that was read goes on
 * while it can not be read anew. The library keeps the keys and asks again for one that it does not know, at most once
 * a minute.
 */
export function createDiscovery(deps: Registration & { fetch: CredentialFetch; now: () => number }): {
  /** Throws `provider_unavailable`. */
  configuration(): Promise<Configuration>;
} {
  const { issuer, now } = deps;
  const fetch = createProviderFetch({ home: issuer, fetch: deps.fetch });
  let known: { configuration: Configuration; readAt: number } | undefined;
  let reading: Promise<Configuration> | undefined;
  let failedAt = Number.NEGATIVE_INFINITY;

  async function read(): Promise<Configuration> {
    try {
      const configuration = await discover(deps, fetch);
      known = { configuration, readAt: now() };
      return configuration;
    } catch (error) {
      failedAt = now();
      if (known !== undefined) return known.configuration;
      throw error;
    } finally {
      reading = undefined;
    }
  }

  return {
    async configuration() {
      if (known !== undefined && now() - known.readAt < KEPT_FOR) return known.configuration;
      if (reading === undefined && now() - failedAt < RETRY_AFTER) {
        if (known !== undefined) return known.configuration;
        throw refusal('provider_unavailable', `${new URL(issuer).host} failed a moment ago`);
      }
      reading ??= read();
      return reading;
    },
  };
}

async function discover(registration: Registration, fetch: CredentialFetch): Promise<Configuration> {
  const library = await import('openid-client');
  const { issuer, clientId } = registration;
  const execute = new URL(issuer).protocol === 'http:' ? [library.allowInsecureRequests] : [];
  const asked: CustomFetch = (url, { method, headers, body, signal }) => {
    if (method !== 'GET' && method !== 'POST') throw new Error('not a request of a login');
    const form = body instanceof URLSearchParams ? { body: body.toString() } : {};
    return fetch(url, { method, headers, signal, ...form });
  };
  const timeout = CREDENTIAL_DEADLINE_MS / 1000;
  const options = { [library.customFetch]: asked, execute, timeout };
  const found = await library
    .discovery(new URL(issuer), clientId, undefined, undefined, options)
    .catch((error: unknown) => {
      // An issuer in the document that is no address at all.
      const why = error instanceof TypeError ? 'malformed' : loggedWords(refusalOf(library, error, 'login'));
      // Whatever is wrong with the document: nobody's login is.
      throw refusal('provider_unavailable', `the metadata of ${new URL(issuer).host}: ${why}`);
    });
  const server = checkedMetadata(found.serverMetadata(), issuer);
  const configuration = new library.Configuration(server, clientId, undefined, authentication(server, registration));
  configuration[library.customFetch] = asked;
  configuration.timeout = timeout;
  for (const apply of execute) apply(configuration);
  // The token endpoint's TLS already speaks for an ID token (OpenID Connect Core, section 3.1.3.7); a proxy that opens
  // TLS must not.
  library.enableNonRepudiationChecks(configuration);
  return configuration;
}

function checkedMetadata(found: ServerMetadata, issuer: string): ServerMetadata {
  const { host, protocol } = new URL(issuer);
  // The library compares addresses, the specification (section 4.3) characters. Tokens carry these.
  if (found.issuer !== issuer) {
    throw refusal('provider_unavailable', `${host} writes its issuer otherwise; a slash at the end counts`);
  }
  for (const endpoint of ['authorization_endpoint', 'token_endpoint', 'jwks_uri'] as const) {
    const address = parseSafeUrl(found[endpoint]);
    if (address === undefined || (protocol === 'https:' && address.protocol !== 'https:')) {
      throw refusal('provider_unavailable', `${host} has no ${endpoint} with https`);
    }
  }
  const announced = found.id_token_signing_alg_values_supported ?? ['RS256'];
  const accepted = announced.filter((algorithm) => ALGORITHMS.has(algorithm));
  if (accepted.length === 0) throw refusal('provider_unavailable', `${host} signs with no algorithm that is accepted`);
  return { ...found, id_token_signing_alg_values_supported: accepted };
}

/**
 * Basic authentication is what every server has to accept (RFC 6749, section 2.3.1). Some decode what they get and some
 * do not, so no character is encoded that is the same in both.
 */
function authentication(server: ServerMetadata, { clientSecret }: Registration): ClientAuth {
  const announced = server.token_endpoint_auth_methods_supported;
  const byPost = announced?.includes('client_secret_post') === true && !announced.includes('client_secret_basic');
  return async (_server, client, body, headers) => {
    const secret = await clientSecret();
    if (byPost) {
      body.set('client_id', client.client_id);
      body.set('client_secret', secret);
    } else {
      const joined = `${formEncoded(client.client_id)}:${formEncoded(secret)}`;
      headers.set('authorization', `Basic ${Buffer.from(joined).toString('base64')}`);
    }
  };
}

function formEncoded(text: string): string {
  return new URLSearchParams([['', text]]).toString().slice(1);
}
