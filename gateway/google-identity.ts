/**
 * The gateway's own Google identity (application default credentials: metadata server, workload identity federation, a
 * file on a developer's machine). Its token goes to google-api.ts and nowhere else: never to an upstream.
 */

import { loadGoogleAuth, NO_PROJECT } from './google-auth.ts';
import { credentialError, networkCode } from './proxy/credential-error.ts';
import { CREDENTIAL_DEADLINE_MS } from './proxy/credential-fetch.ts';

export interface GoogleIdentity {
  /** Throws `credential_unavailable`. */
  accessToken(): Promise<string>;
  /** After Google's 401: the next token is a new one. */
  forget(): void;
}

const SCOPE = 'https://www.googleapis.com/auth/cloud-platform';

interface TokenSource {
  getAccessToken(): Promise<{ token?: string | null | undefined }>;
}

export function createGoogleIdentity(deadline = CREDENTIAL_DEADLINE_MS): GoogleIdentity {
  let source: Promise<TokenSource> | undefined;
  return {
    async accessToken() {
      source ??= openSource();
      const mine = source;
      try {
        const { token } = await within(
          deadline,
          mine.then((one) => one.getAccessToken()),
        );
        if (typeof token !== 'string' || !/^[\x21-\x7e]{1,16384}$/.test(token)) throw new Error('no token');
        return token;
      } catch (error) {
        // The library shares one attempt among all who ask; one that hangs would hang for ever.
        if (source === mine) source = undefined;
        throw credentialError("The gateway's own Google identity has no token.", reasonOf(error), true);
      }
    },
    forget() {
      source = undefined;
    },
  };
}

/** One for the process: all connections share its token. */
export const ownGoogleIdentity = createGoogleIdentity();

const NO_IDENTITY =
  'This machine has no Google identity. On Google Cloud attach a service account to it; elsewhere set GOOGLE_APPLICATION_CREDENTIALS.';

/** The beginnings of the library's messages are constant; what follows them is not repeated. */
function reasonOf(error: unknown): string {
  const message = error instanceof Error ? error.message : '';
  if (message.startsWith('Could not load the default credentials')) return NO_IDENTITY;
  if (message.startsWith('Unable to read the credential file')) {
    return 'The file that GOOGLE_APPLICATION_CREDENTIALS names can not be read as Google credentials.';
  }
  return `no token for the gateway's own Google identity (${networkCode(error)})`;
}

async function openSource(): Promise<TokenSource> {
  const { GoogleAuth } = await loadGoogleAuth();
  return new GoogleAuth({ scopes: SCOPE, projectId: NO_PROJECT }).getClient();
}

function within<T>(milliseconds: number, work: Promise<T>): Promise<T> {
  const { promise, resolve, reject } = Promise.withResolvers<T>();
  const timer = setTimeout(() => reject(new DOMException('deadline', 'TimeoutError')), milliseconds);
  timer.unref();
  work.then(resolve, reject);
  return promise.finally(() => clearTimeout(timer));
}
