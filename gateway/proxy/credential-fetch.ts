/**
 * Requests to who issues credentials: token endpoints and Google's APIs. They carry secrets and bring secrets, so each
 * has a deadline, a size limit and a checked address, and none follows a redirect.
 */
import { Agent, request } from 'undici';
import { GatewayError } from '../errors.ts';
import { classifyHost, createPinnedLookup, mayConnect } from './address.ts';
import { credentialError, networkCode } from './credential-error.ts';

export interface CredentialRequest {
  readonly method: 'GET' | 'POST';
  readonly headers: Record<string, string>;
  readonly body?: string;
  readonly signal?: AbortSignal | undefined;
}

/** The whole answer, whatever its status. Throws `credential_unavailable`, transient, where there is none. */
export type CredentialFetch = (url: string, init: CredentialRequest) => Promise<Response>;

/** Milliseconds from the first attempt to connect to the last byte. */
export const CREDENTIAL_DEADLINE_MS = 10_000;
/** A secret has at most 64 KiB, a third more in base64. */
const MOST_BYTES = 256 * 1024;

export function createCredentialFetch(deadline = CREDENTIAL_DEADLINE_MS): CredentialFetch {
  const agents = new Map<boolean, Agent>();
  const agentFor = (loopback: boolean): Agent => {
    const there = agents.get(loopback);
    if (there !== undefined) return there;
    const made = new Agent({
      // No socket stays open between two requests: they are minutes apart, and a POST on a socket that the other side
      // has just closed fails.
      pipelining: 0,
      allowH2: false,
      connect: { timeout: deadline, lookup: createPinnedLookup(loopback ? ['loopback'] : []) },
    });
    agents.set(loopback, made);
    return made;
  };

  return async (url, { method, headers, body, signal }) => {
    const { hostname, host } = new URL(url);
    const kind = classifyHost(hostname);
    // http: is for this machine alone (config-values.ts), so loopback is there only where it was written.
    const loopback = kind === 'loopback';
    if (kind !== undefined && !mayConnect(kind, ['loopback'])) {
      throw credentialError('Its issuer has an address that is refused.', `${host} is a ${kind} address`);
    }
    const ends = [AbortSignal.timeout(deadline), ...(signal == null ? [] : [signal])];
    try {
      const answer = await request(url, {
        method,
        headers: { 'accept-encoding': 'identity', ...headers },
        body: body ?? null,
        signal: AbortSignal.any(ends),
        dispatcher: agentFor(loopback),
      });
      const bytes = await readAtMost(answer.body, host);
      const noBody = answer.statusCode === 204 || answer.statusCode === 205 || answer.statusCode === 304;
      const contentType = answer.headers['content-type'];
      return new Response(noBody ? null : bytes, {
        status: answer.statusCode,
        headers: typeof contentType === 'string' ? { 'content-type': contentType } : {},
      });
    } catch (error) {
      if (error instanceof GatewayError && error.code === 'credential_unavailable') throw error;
      throw credentialError('Its issuer did not answer.', `no answer from ${host} (${networkCode(error)})`, true);
    }
  };
}

/** The whole body, within the limit of what issuers of credentials may send. `host` is said in the error. */
export async function readAtMost(body: AsyncIterable<Buffer>, host: string): Promise<Buffer<ArrayBuffer>> {
  const chunks: Buffer[] = [];
  let length = 0;
  // Leaving the loop destroys the body, and with it the socket.
  for await (const chunk of body) {
    length += chunk.length;
    if (length > MOST_BYTES) {
      throw credentialError(
        'The answer of its issuer is too large.',
        `${host} sent more than ${MOST_BYTES} bytes`,
        true,
      );
    }
    chunks.push(chunk);
  }
  return Buffer.concat(chunks);
}
