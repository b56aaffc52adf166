/**
 * Which masks the call had whose answer is fetched later, by its task or its event ids: never fewer than the call had. Where
 * that is not known, the answer gets every mask of its connection (forward.ts).
 *
 * A task's are noted with its handle, for every replica. Events are too many for that: what this replica has released is
 * all that is known of them, and is not enough where another has served the session too.
 */
import { z } from 'zod';
import { keepNewest } from '../keep-newest.ts';
import type { Policy } from '../policy/decide.ts';
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

const noted = z.object({
  /** Digest of the policy under which the names mean what they meant. */
  policy: z.string(),
  detectors: z.array(z.string()),
  replaceBlobs: z.array(z.string()),
});

/** What is noted with a task's handle. */
export function noteOfMasks({ detectors, replaceBlobs }: Masks, policy: Policy): z.output<typeof noted> {
  return { policy: policy.set.digest, detectors: detectors.map(({ name }) => name), replaceBlobs: [...replaceBlobs] };
}

/** The masks that were noted; `undefined` where they are of another policy, or nothing was noted. */
export function masksOfNote(note: unknown, policy: Policy, connection: string): Masks | undefined {
  const read = noted.safeParse(note);
  if (!read.success || read.data.policy !== policy.set.digest) return undefined;
  const { detectors: names, replaceBlobs } = read.data;
  const all = new Map(policy.masksOfConnection(connection).masks.map((detector) => [detector.name, detector]));
  const detectors = names.flatMap((name) => all.get(name) ?? []);
  return detectors.length === names.length ? { detectors, replaceBlobs } : undefined;
}

/** Whether what was noted takes out all that these do. */
export function covers(note: unknown, { detectors, replaceBlobs }: Masks): boolean {
  const read = noted.safeParse(note);
  const names = new Set(read.data?.detectors);
  const blobs = new Set(read.data?.replaceBlobs);
  return detectors.every(({ name }) => names.has(name)) && replaceBlobs.every((blob) => blobs.has(blob));
}
