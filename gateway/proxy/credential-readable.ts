import type { ConnectionConfig } from '../config.ts';
import { mapReferences } from '../config-references.ts';
import { readReferenced, readSecret } from '../secret-ref.ts';
import { loggableReason } from './credential-error.ts';

/**
 * Why references of a connection's credentials can not be read now, in words that may be logged: before the first call
 * finds out. Only what is on this machine is read; what stands in Secret Manager, and whether an issuer gives a token,
 * shows at the first call.
 */
export async function unreadableCredentials(connection: ConnectionConfig): Promise<string[]> {
  const attempts = new Map<string, () => Promise<unknown>>();
  mapReferences(connection, (ref, key) => {
    // The certificate authority was read when the upstream was opened.
    if (key !== 'ca' && !ref.startsWith('gcp-secret:')) {
      attempts.set(ref, () => (key === 'key' ? readReferenced(ref) : readSecret(ref)));
    }
    return ref;
  });
  const reasons = await Promise.all(
    [...attempts.values()].map((attempt) => attempt().then(() => undefined, loggableReason)),
  );
  return reasons.filter((reason) => reason !== undefined);
}
