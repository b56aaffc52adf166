/**
 * What the store asks of Google Cloud Storage, through Google's library, which is loaded at the first request. The
 * library brings addresses, credentials, proxies and sockets that are kept; its retries are off (gcs.ts has its own, with
 * a budget), and its uploads and downloads are not used: they stream what is a buffer here, check a sum only where a
 * header says so, and delete an object whose sum is wrong, which nothing here may.
 */
import type { AuthClient } from 'google-auth-library';
import { loadGoogleAuth, NO_PROJECT } from '../google-auth.ts';
import { attempt, codeOf, TooLarge } from './gcs-attempt.ts';

/** Google's answer, of whatever status. */
export interface Answer<T> {
  readonly status: number;
  readonly headers: Readonly<Record<string, string>>;
  readonly content: T;
}

export interface GcsClient {
  /** An answer in JSON, or the text that came in its place. Rejects with `NoAnswer` or `NoCredentials`. */
  ask(path: string, options: AskOptions): Promise<Answer<unknown>>;
  /** An object's bytes, at most `most` of them; more reject with `TooLarge`. */
  download(path: string, options: { within: number; most: number }): Promise<Answer<Buffer>>;
}

export interface AskOptions {
  /** Milliseconds without an answer. */
  readonly within: number;
  readonly post?: { readonly type: string; readonly body: Buffer };
}

/** There is no token for a request. */
export class NoCredentials extends Error {
  override readonly name = 'NoCredentials';
  /** What to do, in our own words; absent where trying again may help. */
  readonly fix: string | undefined;

  constructor(reason: string, fix: string | undefined) {
    super(reason);
    this.fix = fix;
  }
}

interface TokenSource {
  getAccessToken(): Promise<unknown>;
}

interface Library {
  readonly storage: import('@google-cloud/storage').Storage;
  /** Absent at an emulator. */
  readonly auth: TokenSource | undefined;
}

export interface GcsClientOptions {
  /** Another address than Google's, for tests: anonymous, with these credentials, or with the application's default ones. */
  readonly at?: { readonly endpoint: string; readonly auth?: AuthClient | 'default' };
}

const SCOPE = 'https://www.googleapis.com/auth/cloud-platform';
/** A metadata server may be slow when a machine starts; without one the library takes a few seconds to say so. */
const TOKEN_WITHIN_MS = 15_000;
/** Of an answer that is no object. */
const MOST_WORDS = 64 * 1024;

export function createGcsClient({ at }: GcsClientOptions = {}): GcsClient {
  let opened: Promise<Library> | undefined;
  const library = (): Promise<Library> => {
    opened ??= openLibrary(at);
    return opened;
  };

  /** One that is refused for its token is made once more with a new one: a key may have been changed, a clock set. */
  async function request<T>(work: (storage: Library['storage']) => Promise<Answer<T>>): Promise<Answer<T>> {
    const answer = await authorized(work);
    return answer.status === 401 && !isAnonymous(at) ? authorized(work) : answer;
  }

  /** Runs one request with a token. A token that is refused, or does not come, is asked for anew the next time. */
  async function authorized<T>(work: (storage: Library['storage']) => Promise<Answer<T>>): Promise<Answer<T>> {
    const mine = library();
    const { storage, auth } = await mine;
    const again = (): void => {
      if (opened === mine) opened = undefined;
    };
    try {
      if (auth !== undefined) await tokenOf(auth);
      const answer = await work(storage);
      if (answer.status === 401) again();
      return answer;
    } catch (error) {
      // The library shares one attempt to get a token among all who ask; one that hangs would hang for ever.
      if (error instanceof NoCredentials) again();
      throw error;
    }
  }

  return {
    ask: (path, { within, post }) =>
      request((storage) =>
        attempt(within, () => {
          const { promise, resolve, reject } = Promise.withResolvers<Answer<unknown>>();
          const made = {
            uri: `${storage.apiEndpoint}${path}`,
            ...(post === undefined ? {} : { method: 'POST', headers: { 'content-type': post.type }, body: post.body }),
          };
          storage.request(made, (error: unknown, content: unknown, response) => {
            // A refusal's error has the status as its code; what else there is came in the place of an answer.
            const answered =
              error === null || (error instanceof Error && 'code' in error && error.code === response?.statusCode);
            if (response === undefined || !answered) reject(error);
            else resolve({ status: response.statusCode, headers: response.headers, content: asJson(content) });
          });
          return promise;
        }),
      ),

    download: (path, { within, most }) =>
      request((storage) =>
        attempt(within, (moved) => {
          const { promise, resolve, reject } = Promise.withResolvers<Answer<Buffer>>();
          const stream = storage.requestStream({ uri: `${storage.apiEndpoint}${path}` });
          let head: { statusCode: number; headers: Record<string, string> } | undefined;
          const chunks: Buffer[] = [];
          let bytes = 0;
          stream.on('response', (response: typeof head) => {
            head = response;
            moved();
          });
          // By events: what the library returns says nothing to who reads it as an async iterable.
          stream.on('data', (chunk: Buffer) => {
            moved();
            bytes += chunk.byteLength;
            const limit = head?.statusCode === 200 ? most : MOST_WORDS;
            if (bytes > limit) reject(new TooLarge(`more than ${limit} bytes`));
            else chunks.push(chunk);
          });
          stream.on('error', reject);
          stream.on('end', () => {
            if (head === undefined) reject(new Error('no response'));
            else resolve({ status: head.statusCode, headers: head.headers, content: Buffer.concat(chunks) });
          });
          return promise;
        }),
      ),
  };
}

function isAnonymous(at: GcsClientOptions['at']): boolean {
  return at === undefined ? process.env.STORAGE_EMULATOR_HOST !== undefined : at.auth === undefined;
}

async function openLibrary(at: GcsClientOptions['at']): Promise<Library> {
  const { GoogleAuth } = await loadGoogleAuth();
  const { Storage } = await import('@google-cloud/storage');
  const given = at?.auth === 'default' ? undefined : at?.auth;
  const auth = given ?? new GoogleAuth({ scopes: SCOPE, projectId: NO_PROJECT });
  const storage = new Storage({
    authClient: auth,
    projectId: NO_PROJECT,
    retryOptions: { autoRetry: false },
    ...(at === undefined ? {} : { apiEndpoint: at.endpoint, useAuthWithCustomEndpoint: at.auth !== undefined }),
  });
  return { storage, auth: isAnonymous(at) ? undefined : auth };
}

/** Has the library fetch a token, or finds that it has one that is good. */
async function tokenOf(auth: TokenSource): Promise<void> {
  const late = Promise.withResolvers<never>();
  const timer = setTimeout(() => late.reject(new NoCredentials('no token within 15 s', undefined)), TOKEN_WITHIN_MS);
  try {
    await Promise.race([auth.getAccessToken(), late.promise]);
  } catch (error) {
    throw error instanceof NoCredentials ? error : noCredentials(error);
  } finally {
    clearTimeout(timer);
  }
}

/** The beginnings of the library's messages are constant; what follows them is not repeated. */
function noCredentials(error: unknown): NoCredentials {
  const said = error instanceof Error ? error.message : '';
  if (said.startsWith('Could not load the default credentials')) {
    return new NoCredentials(
      'there are none',
      'On Google Cloud attach a service account to the machine; elsewhere run gcloud auth application-default login, or set GOOGLE_APPLICATION_CREDENTIALS.',
    );
  }
  if (/^(Unable to read the credential file|The file at|ENOENT|Unexpected token|The incoming JSON object)/.test(said)) {
    return new NoCredentials(
      'their file can not be read',
      'GOOGLE_APPLICATION_CREDENTIALS must name a file of Google credentials.',
    );
  }
  if (/invalid_grant|invalid_rapt|invalid_client|deleted_client|unauthorized_client/.test(said)) {
    return new NoCredentials(
      'Google does not take them any more',
      'They were revoked or have expired: run gcloud auth application-default login again.',
    );
  }
  return new NoCredentials(`no token came (${codeOf(error)})`, undefined);
}

/** JSON, or the text in its place; a body that broke off is neither. */
function asJson(content: unknown): unknown {
  return typeof content === 'string' || Object.getPrototypeOf(content ?? '') === Object.prototype ? content : undefined;
}
