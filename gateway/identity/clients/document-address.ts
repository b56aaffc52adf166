import { classifyHost } from '../../proxy/address.ts';
import { isListedHost } from './host-list.ts';

const MOST_CHARACTERS = 400;

/**
 * The address of a client's metadata document, where its client id is one that this gateway reads: https, a host of the
 * list, one spelling, a path, and no query, which would give one document endless names. undefined for all others; looks
 * at the text alone, so that whoever asks learns nothing about the network from how long it takes.
 */
export function documentAddress(clientId: string, hosts: readonly string[]): URL | undefined {
  if (
    clientId.length > MOST_CHARACTERS ||
    !/^https:\/\/[a-z0-9.:-]+\/[A-Za-z0-9\-._~!$&'()*+,;=:@/%]+$/.test(clientId)
  ) {
    return undefined;
  }
  const url = URL.parse(clientId);
  // A dot segment, encoded or not, an upper-case host or a port 443 would come back changed.
  if (url === null || url.href !== clientId) return undefined;
  // An address in the place of a name could be checked, but nobody's document is there.
  if (classifyHost(url.hostname) !== undefined) return undefined;
  return isListedHost(url.host, hosts) ? url : undefined;
}
