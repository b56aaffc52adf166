/** Every client of the gateway's authorization server, by its id: oidc-provider's `Adapter('Client').find`. */
import type { Keyring } from '../keyring.ts';
import type { ProviderClient } from './client.ts';
import type { MetadataDocuments } from './metadata-document.ts';
import { COMMAND_LINE_CLIENT, commandLineClient } from './registered.ts';
import { openClientId } from './registration.ts';

/**
 * How a client came to be known, which is how far its name can be trusted: the gateway's own, written by the operator,
 * vouched for by the host in its id, or anybody's claim.
 */
export type ClientOrigin = 'builtIn' | 'registered' | 'document' | 'dynamic';

export interface FoundClient {
  readonly origin: ClientOrigin;
  readonly metadata: ProviderClient;
}

export interface Clients {
  /** undefined for an id of nobody. Ids of any length and characters are cheap to refuse. */
  find(clientId: string): Promise<FoundClient | undefined>;
}

export function createClients(deps: {
  /** Of `registeredClients`. They come first, so that the operator has the last word on an id. */
  registered: ReadonlyMap<string, ProviderClient>;
  documents: MetadataDocuments;
  /** undefined where `login.registration` is off: ids that were given out before are refused as well. */
  registration: { keyring: Keyring; redirectHosts: readonly string[] } | undefined;
}): Clients {
  const { registered, documents, registration } = deps;
  return {
    async find(clientId) {
      const written = registered.get(clientId);
      if (written !== undefined) return { origin: 'registered', metadata: written };
      if (clientId === COMMAND_LINE_CLIENT) return { origin: 'builtIn', metadata: commandLineClient };
      const sealed = registration && openClientId(registration.keyring, clientId, registration);
      if (sealed !== undefined) return { origin: 'dynamic', metadata: sealed };
      const described = await documents.find(clientId);
      return described && { origin: 'document', metadata: described };
    },
  };
}
