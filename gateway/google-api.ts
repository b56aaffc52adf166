/** Calls of Google's APIs with the gateway's own identity. */
import type { Config } from './config.ts';
import { isGoogleApi } from './config-credential.ts';
import { type GoogleIdentity, ownGoogleIdentity } from './google-identity.ts';
import { classifyHost } from './proxy/address.ts';
import { credentialError } from './proxy/credential-error.ts';
import { type CredentialFetch, createCredentialFetch } from './proxy/credential-fetch.ts';

export interface GoogleApi {
  /**
   * The JSON object that Google answered. `what` names the call for the log. Throws `credential_unavailable`, transient
   * unless Google says that it may not be, that there is no such thing or that its state forbids it (403, 404, 400).
   */
  call(
    service: keyof typeof PUBLIC,
    path: string,
    what: string,
    options?: { body?: unknown; signal?: AbortSignal | undefined },
  ): Promise<Record<string, unknown>>;
}

const PUBLIC = {
  iamCredentials: 'https://iamcredentials.googleapis.com',
  secretManager: 'https://secretmanager.googleapis.com',
  cloudIdentity: 'https://cloudidentity.googleapis.com',
  kms: 'https://cloudkms.googleapis.com',
} as const;

/** google.rpc.Code. Anything else in that place is not Google's word and stays out of the log. */
const STATUSES = new Set(
  (
    'CANCELLED UNKNOWN INVALID_ARGUMENT DEADLINE_EXCEEDED NOT_FOUND ALREADY_EXISTS PERMISSION_DENIED UNAUTHENTICATED ' +
    'RESOURCE_EXHAUSTED FAILED_PRECONDITION ABORTED OUT_OF_RANGE UNIMPLEMENTED INTERNAL UNAVAILABLE DATA_LOSS'
  ).split(' '),
);

export function createGoogleApi(deps: {
  google: Config['google'];
  identity?: GoogleIdentity | undefined;
  fetch?: CredentialFetch | undefined;
}): GoogleApi {
  const { google, identity = ownGoogleIdentity, fetch = createCredentialFetch() } = deps;
  return {
    async call(service, path, what, { body, signal } = {}) {
      const base = googleAddress(google[service] ?? PUBLIC[service], service);
      const attempt = async (): Promise<Response> =>
        fetch(`${base}${path}`, {
          method: body === undefined ? 'GET' : 'POST',
          headers: {
            authorization: `Bearer ${await identity.accessToken()}`,
            accept: 'application/json',
            ...(body === undefined ? {} : { 'content-type': 'application/json' }),
          },
          ...(body === undefined ? {} : { body: JSON.stringify(body) }),
          signal,
        });
      let response = await attempt();
      if (response.status === 401) {
        // The own token was revoked before its end. All of them only read, mint or sign, so once more is safe.
        identity.forget();
        response = await attempt();
      }
      const answer: unknown = await response.json().catch(() => undefined);
      if (response.status === 200 && isRecord(answer)) return answer;
      throw refusal(response.status, answer, what);
    },
  };
}

/** Tokens of Google go to Google, or to a double of it here: the gateway's own opens every connection's service account. */
export function googleAddress(configured: string, service: string): string {
  if (!isGoogleApi(configured) && classifyHost(new URL(configured).hostname) !== 'loopback') {
    throw credentialError('The address of a Google API is not Google’s.', `google.${service} is not Google's`);
  }
  return configured.replace(/\/+$/, '');
}

function refusal(status: number, answer: unknown, what: string): Error {
  const error = isRecord(answer) && isRecord(answer.error) ? answer.error.status : undefined;
  const known = typeof error === 'string' && STATUSES.has(error) ? error : undefined;
  const word = known === undefined ? '' : ` ${known}`;
  // Definite is what Google itself says of the request; a garbled answer or a redirect may come from anybody between.
  const transient = ![400, 403, 404].includes(status);
  return credentialError(`Google answered HTTP ${status}${word}.`, `${what}: HTTP ${status}${word}`, transient, known);
}

export function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
