/**
 * What one replica knows of a session's time, told to the others: that it was used, and until when a renewed token carries
 * it. One may serve it all day while another, which served it once, would end it as idle or expired.
 */
import type { Store } from '../store/store.ts';

export interface Elsewhere {
  /** When another replica last used it, to ten minutes, in milliseconds since the epoch; 0 where none has. */
  readonly used: number;
  /** The latest expiry that any replica has seen, in milliseconds since the epoch; 0 where none was noted. */
  readonly expires: number;
}

export interface Activity {
  /** The first use here. Resolves when it is durable: from then on `elsewhere` tells others of this replica. */
  begin(session: string): Promise<void>;
  /**
   * A use, noted once in ten minutes. Never throws and is not waited for: at worst a session ends early, on a replica
   * whose state can't be written.
   */
  note(session: string): void;
  /** A token that carries the session on until then; likewise. */
  renewed(session: string, expires: number): void;
  elsewhere(session: string): Promise<Elsewhere>;
  forget(session: string): void;
}

const SLOT_MS = 600_000;
const EXPIRES = 'expires';

/** `replica`: a name that no other replica has, of characters that a name in a store may have. */
export function createActivity(deps: { state: Store; now: () => number; replica: string }): Activity {
  const { state, now, replica } = deps;
  const noted = new Map<string, number>();
  const folderOf = (session: string): string => `used/${session}/`;

  async function use(session: string): Promise<void> {
    const slot = Math.floor(now() / SLOT_MS);
    if (noted.get(session) === slot) return;
    noted.set(session, slot);
    try {
      await state.create(`${folderOf(session)}${slot}.${replica}.json`, Buffer.from('{}'));
    } catch (error) {
      noted.delete(session);
      throw error;
    }
  }

  return {
    begin: use,
    note: (session) => void use(session).catch(() => {}),
    renewed: (session, expires) =>
      void state.create(`${folderOf(session)}${EXPIRES}.${expires}.json`, Buffer.from('{}')).catch(() => {}),
    async elsewhere(session) {
      let used = 0;
      let expires = 0;
      for await (const name of state.list(folderOf(session))) {
        const [first = '', second = ''] = name.slice(folderOf(session).length).split('.');
        if (first === EXPIRES) expires = Math.max(expires, Number(second));
        else if (second !== replica) used = Math.max(used, (Number(first) + 1) * SLOT_MS);
      }
      return { used: Math.min(used, now()), expires };
    },
    forget: (session) => void noted.delete(session),
  };
}
