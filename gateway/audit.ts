import { uuidv7 } from 'uuidv7';
import { dayOf, isoMicros } from './clock.ts';

/** An object of the audit store: its name and bytes. It is created before the fact that it names takes effect. */
export function auditObject(
  micros: number,
  facts: { readonly kind: string; readonly actor: string; readonly [member: string]: unknown },
): { readonly name: string; readonly bytes: Buffer } {
  const object = { v: 1, at: isoMicros(micros), ...facts };
  return { name: `audit/dt=${dayOf(micros)}/${uuidv7()}.json`, bytes: Buffer.from(`${JSON.stringify(object)}\n`) };
}
