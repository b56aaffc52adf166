import { parseSafeUrl } from '../../config-values.ts';
import { GatewayError } from '../../errors.ts';
import { classifyHost } from '../../proxy/address.ts';
import { loggableReason, networkCode } from '../../proxy/credential-error.ts';
import type { CredentialFetch, CredentialRequest } from '../../proxy/credential-fetch.ts';
import { refusal } from './refusal.ts';

/**
 * Requests to an identity provider or its directory. They throw `provider_unavailable` where there is no answer, or one
 * of 429 or 5xx; any other answer is whole and small. `home` is the configured address: addresses that the provider
 * names itself (endpoints, next pages) may not lead from the network to this machine, nor to http.
 */
export function createProviderFetch(deps: { home: string; fetch: CredentialFetch }): CredentialFetch {
  const { home, fetch } = deps;
  const atHome = classifyHost(new URL(home).hostname) === 'loopback';
  return async (url, init) => {
    const asked = parseSafeUrl(url);
    if (asked === undefined || (classifyHost(asked.hostname) === 'loopback' && !atHome)) {
      throw refusal('provider_unavailable', 'the provider names an address that is not asked');
    }
    const response = await fetched(fetch, url, asked.host, init);
    if (response.status === 429 || response.status >= 500) {
      throw refusal('provider_unavailable', `${asked.host} answered HTTP ${response.status}`);
    }
    return response;
  };
}

async function fetched(fetch: CredentialFetch, url: string, host: string, init: CredentialRequest): Promise<Response> {
  try {
    return await fetch(url, init);
  } catch (error) {
    const reason = error instanceof GatewayError ? loggableReason(error) : `no answer (${networkCode(error)})`;
    throw refusal('provider_unavailable', `${host}: ${reason}`);
  }
}
