/**
 * That a session was used, told to other replicas: one may serve it all day while another, which served it once, would
 * end it as idle. Each replica notes its own use of a session once in ten minutes.
 */
import type { Store } from '../store/store.ts';

export interface Activity {
  /** Never throws and is not waited for: at worst a session ends early, on a replica whose state can't be written. */
  note(session: string): void;
  /** When another replica last used it, to ten minutes, in milliseconds since the epoch; 0 where none has. */
  elsewhere(session: string): Promise<number>;
  forget(session: string): void;
}

const SLOT_MS = 600_000;

/** `replica`: a name that no other replica has, of characters that a name in a store may have. */
export function createActivity(deps: { state: Store; now: () => number; replica: string }): Activity {
  const { state, now, replica } = deps;
  const noted = new Map<string, number>();
  const folderOf = (session: string): string => `used/${session}/`;
  return {
    note(session) {
      const slot = Math.floor(now() / SLOT_MS);
      if (noted.get(session) === slot) return;
      noted.set(session, slot);
      state.create(`${folderOf(session)}${slot}.${replica}.json`, Buffer.from('{}')).catch(() => noted.delete(session));
    },
    async elsewhere(session) {
      let last = 0;
      for await (const name of state.list(folderOf(session))) {
        const [slot = '', owner] = name.slice(folderOf(session).length).split('.');
        if (owner !== replica) last = Math.max(last, (Number(slot) + 1) * SLOT_MS);
      }
      return Math.min(last, now());
    },
    forget: (session) => void noted.delete(session),
  };
}
