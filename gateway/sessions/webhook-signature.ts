/** Headers of a delivery as Standard Webhooks (standardwebhooks.com, 1.0) has them. */
import { createHmac } from 'node:crypto';
import { GatewayError } from '../errors.ts';

const LEAST_SECRET_BYTES = 32;
const BASE64_PREFIX = 'whsec_';

/** `id`: the event's, the same in every delivery. `now`: milliseconds since the epoch. */
export function webhookHeaders(
  id: string,
  now: number,
  body: string,
  secret: string | undefined,
): Record<string, string> {
  const timestamp = String(Math.floor(now / 1000));
  const headers = { 'content-type': 'application/json', 'webhook-id': id, 'webhook-timestamp': timestamp };
  if (secret === undefined) return headers;
  const mac = createHmac('sha256', keyOf(secret)).update(`${id}.${timestamp}.${body}`).digest('base64');
  return { ...headers, 'webhook-signature': `v1,${mac}` };
}

/** `whsec_` and base64, or the text itself. Throws `credential_unavailable` where it is too short to sign anything. */
function keyOf(secret: string): Buffer {
  const key = secret.startsWith(BASE64_PREFIX)
    ? Buffer.from(secret.slice(BASE64_PREFIX.length), 'base64')
    : Buffer.from(secret);
  if (key.length < LEAST_SECRET_BYTES) throw new GatewayError('credential_unavailable');
  return key;
}
