/**
 * Values that are put once and taken once, on any replica: a login that is under way, a ticket. The name of the object is
 * the hash of the secret that finds it, its content is sealed, and "create if absent" decides who takes it.
 */

import { createHash } from 'node:crypto';
import { stateFacts } from '../../state-facts.ts';
import type { Store } from '../../store/store.ts';
import type { Keyring, SealingPurpose } from '../keyring.ts';

export interface OneTime<T> {
  /** `secret` must be unguessable. Resolves when any replica can take it, for `life` milliseconds. */
  put(secret: string, value: T, life: number): Promise<void>;
  /** The value, to the first who asks; undefined to all others, for an unknown secret, and after its time. */
  take(secret: string): Promise<T | undefined>;
  /** The value without taking it; undefined once it was taken. */
  look(secret: string): Promise<T | undefined>;
}

export function createOneTime<T>(deps: {
  readonly folder: string;
  readonly purpose: SealingPurpose;
  readonly state: Store;
  readonly keyring: Keyring;
  readonly now: () => number;
}): OneTime<T> {
  const { folder, purpose, state, keyring, now } = deps;
  const nameOf = (secret: string): string => `${folder}/${sha256(secret)}`;

  async function look(secret: string): Promise<T | undefined> {
    const name = nameOf(secret);
    const [bytes, used] = await Promise.all([state.get(`${name}.json`), state.get(`${name}.used.json`)]);
    if (bytes === undefined || used !== undefined) return undefined;
    const stored = stateFacts<{ expires: number; sealed: string }>(bytes, folder);
    if (stored.expires <= now()) return undefined;
    const text = keyring.open(purpose, stored.sealed, name);
    return text === undefined ? undefined : (JSON.parse(text) as T);
  }

  return {
    async put(secret, value, life) {
      const name = nameOf(secret);
      const stored = { v: 1, expires: now() + life, sealed: keyring.seal(purpose, JSON.stringify(value), name) };
      const outcome = await state.create(`${name}.json`, Buffer.from(JSON.stringify(stored)));
      if (outcome === 'exists') throw new Error('A one-time secret was drawn twice.');
    },
    async take(secret) {
      const value = await look(secret);
      if (value === undefined) return undefined;
      const outcome = await state.create(`${nameOf(secret)}.used.json`, Buffer.from(JSON.stringify({ at: now() })));
      return outcome === 'created' ? value : undefined;
    },
    look,
  };
}

export function sha256(text: string): string {
  return createHash('sha256').update(text).digest('hex');
}
