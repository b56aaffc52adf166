/**
 * Google's Admin SDK, in the name of an administrator (domain-wide delegation) and without a key: Google signs for the
 * service account, on behalf of this gateway, what a key would have signed.
 */
import type { GoogleAddresses } from '../../config.ts';
import type { GoogleConfig } from '../../config-login.ts';
import { type GoogleApi, googleAddress, isRecord } from '../../google-api.ts';
import { credentialError } from '../../proxy/credential-error.ts';
import type { CredentialFetch } from '../../proxy/credential-fetch.ts';
import { PAGE_SIZE, type Page } from './google-pages.ts';
import { refusal } from './refusal.ts';

const SCOPE = 'https://www.googleapis.com/auth/admin.directory.group.readonly';
const TOKEN_ENDPOINT = 'https://oauth2.googleapis.com/token';
const HOUR_S = 3600;
/** A token is not used any more this long before it ends. */
const SPARE_MS = 5 * 60_000;

/** Direct groups alone. */
export function createDirectory(deps: {
  directory: NonNullable<GoogleConfig['directory']>;
  google: GoogleAddresses;
  api: GoogleApi;
  fetch: CredentialFetch;
  now: () => number;
}): (email: string) => Page {
  const { google, fetch } = deps;
  const delegated = createDelegatedToken(deps);

  async function get(path: string): Promise<Response> {
    const base = googleAddress(google.directory ?? 'https://admin.googleapis.com', 'directory');
    const attempt = async (): Promise<Response> => {
      const headers = { authorization: `Bearer ${await delegated.token()}`, accept: 'application/json' };
      return fetch(`${base}${path}`, { method: 'GET', headers });
    };
    const response = await attempt();
    if (response.status !== 401) return response;
    delegated.forget();
    return attempt();
  }

  return (email) => async (pageToken) => {
    const asked = new URLSearchParams({ userKey: email, maxResults: String(PAGE_SIZE) });
    if (pageToken !== undefined) asked.set('pageToken', pageToken);
    const response = await get(`/admin/directory/v1/groups?${asked}`);
    const answer: unknown = await response.json().catch(() => undefined);
    // The person, since there is no other part of the request that could not be found.
    if (response.status === 404 && isRecord(answer) && isRecord(answer.error)) {
      throw refusal('provider_refused', 'the directory does not know this person');
    }
    if (response.status !== 200 || !isRecord(answer)) {
      throw credentialError(
        'Google did not answer as it should.',
        `listing groups: HTTP ${response.status}`,
        ![400, 403].includes(response.status),
      );
    }
    const { groups = [], nextPageToken } = answer;
    if (!Array.isArray(groups)) throw refusal('groups_unknown', 'groups is not a list');
    return { groups: groups.map((one) => (isRecord(one) ? one.email : undefined)), next: nextPageToken };
  };
}

interface DelegatedToken {
  token(): Promise<string>;
  forget(): void;
}

/** RFC 7523, section 2.1. One token is shared, and asked for once at a time. */
function createDelegatedToken(deps: {
  directory: { serviceAccount: string; admin: string };
  google: GoogleAddresses;
  api: GoogleApi;
  fetch: CredentialFetch;
  now: () => number;
}): DelegatedToken {
  const { directory, google, api, fetch, now } = deps;
  const { serviceAccount, admin } = directory;
  let held: { token: string; deadAt: number } | undefined;
  let asking: Promise<string> | undefined;

  async function signed(): Promise<string> {
    const iat = Math.floor(now() / 1000);
    const claims = { iss: serviceAccount, sub: admin, scope: SCOPE, aud: TOKEN_ENDPOINT, iat, exp: iat + HOUR_S };
    const path = `/v1/projects/-/serviceAccounts/${serviceAccount}:signJwt`;
    const body = { payload: JSON.stringify(claims) };
    const { signedJwt } = await api.call('iamCredentials', path, `signing for ${serviceAccount}`, { body });
    if (typeof signedJwt === 'string') return signedJwt;
    throw credentialError('Google did not answer as it should.', `signing for ${serviceAccount}: no signedJwt`, true);
  }

  async function ask(): Promise<string> {
    try {
      const body = new URLSearchParams({
        grant_type: 'urn:ietf:params:oauth:grant-type:jwt-bearer',
        assertion: await signed(),
      });
      const began = now();
      const response = await fetch(googleAddress(google.token ?? TOKEN_ENDPOINT, 'token'), {
        method: 'POST',
        headers: { 'content-type': 'application/x-www-form-urlencoded', accept: 'application/json' },
        body: body.toString(),
      });
      const answer: unknown = await response.json().catch(() => undefined);
      if (response.status !== 200 || !isRecord(answer) || typeof answer.access_token !== 'string') {
        // 400 and 401 are Google's word that this account may not act for that administrator with this scope.
        const transient = ![400, 401, 403].includes(response.status);
        throw credentialError(
          'Google did not answer as it should.',
          `delegation to ${serviceAccount}: HTTP ${response.status}`,
          transient,
        );
      }
      const life = typeof answer.expires_in === 'number' ? answer.expires_in * 1000 : 0;
      held = { token: answer.access_token, deadAt: began + life - SPARE_MS };
      return answer.access_token;
    } finally {
      asking = undefined;
    }
  }

  return {
    async token() {
      if (held !== undefined && now() < held.deadAt) return held.token;
      asking ??= ask();
      return asking;
    },
    forget() {
      held = undefined;
    },
  };
}
