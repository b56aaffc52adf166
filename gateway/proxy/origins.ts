/**
 * Which masks the call had whose answer is fetched later, by its task or its event ids. Where this replica does not know, the
 * answer gets every mask of its connection (forward.ts): never fewer than the call had.
 */
import { keepNewest } from '../keep-newest.ts';
import { type Masks, union } from './masking.ts';

type Fetched = 'task' | 'event';

export interface Origins {
  note(session: string, kind: Fetched, id: string, masks: Masks): void;
  of(session: string, kind: Fetched, id: string): Masks | undefined;
}

const MOST_KNOWN = 50_000;
/** Characters: a longer id is not kept, and its answer gets every mask. */
const LONGEST = 512;

export function createOrigins(): Origins {
  const known = new Map<string, Masks>();
  const keyOf = (session: string, kind: Fetched, id: string): string => `${session} ${kind} ${id}`;
  return {
    note(session, kind, id, masks) {
      if (id.length > LONGEST) return;
      const key = keyOf(session, kind, id);
      const before = known.get(key);
      // Two streams of one server may count their events alike: what is resumed may be either.
      keepNewest(known, key, before === undefined ? masks : union([before, masks]), MOST_KNOWN);
    },
    of: (session, kind, id) => known.get(keyOf(session, kind, id)),
  };
}
