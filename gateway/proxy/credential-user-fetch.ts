/**
 * Requests to a connection's upstream and to the authorization server that it names, for a person's own token. Their
 * addresses come from documents of strangers: each is held to the connection's `allowAddresses`, as its calls are.
 */
import type { LookupAddress } from 'node:dns';
import { rootCertificates } from 'node:tls';
import { Agent, request } from 'undici';
import type { ConnectionConfig } from '../config.ts';
import { readReferenced, type SecretSources } from '../secret-ref.ts';
import { classifyHost, createPinnedLookup, mayConnect } from './address.ts';
import { credentialError, networkCode, ownError } from './credential-error.ts';
import { CREDENTIAL_DEADLINE_MS, type CredentialRequest, readAtMost } from './credential-fetch.ts';

/**
 * The whole answer, whatever its status; with `head` its status and headers. Never follows a redirect. Throws
 * `credential_unavailable`, transient where there is no answer.
 */
export type UserFetch = (
  url: string,
  init: CredentialRequest & { readonly read?: 'whole' | 'head' },
) => Promise<Response>;

type Upstream = ConnectionConfig['upstream'];

export function createUserFetch(
  upstream: Upstream,
  deps: SecretSources & { resolve?: (hostname: string) => Promise<LookupAddress[]>; deadline?: number },
): UserFetch {
  const { deadline = CREDENTIAL_DEADLINE_MS } = deps;
  const agents = new Map<boolean, Promise<Agent>>();
  const agentFor = (own: boolean): Promise<Agent> => {
    const there = agents.get(own);
    if (there !== undefined) return there;
    const made = open(own);
    agents.set(own, made);
    // A file that is not there yet may come.
    made.catch(() => agents.delete(own));
    return made;
  };

  async function open(own: boolean): Promise<Agent> {
    const ca = upstream.ca === undefined ? undefined : await readReferenced(upstream.ca, deps);
    return new Agent({
      // No socket stays open between two requests, which are minutes apart.
      pipelining: 0,
      allowH2: false,
      connect: {
        timeout: deadline,
        lookup: createPinnedLookup(upstream.allowAddresses, deps.resolve),
        // The upstream itself is known by its own authority alone; an authorization server may have a public one.
        ...(ca === undefined ? {} : { ca: own ? ca : [...rootCertificates, ca] }),
      },
    });
  }

  return async (url, { method, headers, body, signal, read = 'whole' }) => {
    const { host, origin } = new URL(url);
    const problem = addressProblem(url, upstream.allowAddresses);
    if (problem !== undefined) {
      throw credentialError('An address of its authorization is refused.', `${host} ${problem}`);
    }
    const ends = [AbortSignal.timeout(deadline), ...(signal == null ? [] : [signal])];
    try {
      const answer = await request(url, {
        method,
        headers: { 'accept-encoding': 'identity', ...headers },
        body: body ?? null,
        signal: AbortSignal.any(ends),
        dispatcher: await agentFor(origin === upstream.url),
      });
      const { statusCode: status } = answer;
      const bytes = read === 'head' ? undefined : await readAtMost(answer.body, host);
      if (read === 'head') answer.body.on('error', () => {}).destroy();
      const noBody = read === 'head' || status === 204 || status === 205 || status === 304;
      return new Response(noBody ? null : bytes, { status, headers: kept(answer.headers) });
    } catch (error) {
      const ours = ownError(error);
      if (ours === undefined) {
        const logged = `no answer from ${host} (${networkCode(error)})`;
        throw credentialError('Its authorization server did not answer.', logged, true);
      }
      if (ours.code === 'credential_unavailable') throw ours;
      throw credentialError('An address of its authorization is refused.', `${host} has a refused address`);
    }
  };
}

/** Why this address may not be asked, and a browser not be sent there. What DNS says of its name shows when it is asked. */
export function addressProblem(url: string, allowAddresses: readonly string[]): string | undefined {
  const { protocol, hostname, username, password } = new URL(url);
  const kind = classifyHost(hostname);
  if (username !== '' || password !== '') return 'has a user name or password';
  if (kind !== undefined && !mayConnect(kind, allowAddresses)) return `is a ${kind} address`;
  if (protocol === 'https:' || (protocol === 'http:' && kind === 'loopback')) return undefined;
  return 'is not https';
}

function kept(headers: Record<string, string | string[] | undefined>): Headers {
  const found = new Headers();
  for (const name of ['content-type', 'www-authenticate']) {
    for (const value of [headers[name] ?? []].flat()) found.append(name, value);
  }
  return found;
}
