/**
 * Following one ledger through its numbers: checkpoint after checkpoint, with the manifests that each is the first to
 * cover. Sizes are taken from the notes as they stand; whether the signatures hold is `read-verify.ts`'s question.
 */
import { type Manifest, parseManifest, readEntries, type UnknownManifest } from '../ledger/manifest.ts';
import { checkpointName, entriesName } from '../ledger/names.ts';
import type { Store } from '../store/store.ts';
import { createNumberedReader } from './read-ahead.ts';
import { type Problem, problemOf } from './read-problem.ts';

interface CoveredManifest {
  readonly manifest: Manifest | UnknownManifest;
  /** The entries object that holds it. */
  readonly entries: string;
}

export interface Batch {
  readonly checkpoint: number;
  readonly note: Uint8Array;
  /** The entries objects read for it, as stored; the last may go beyond what it covers. */
  readonly entries: readonly { readonly number: number; readonly bytes: Uint8Array }[];
  readonly manifests: readonly CoveredManifest[];
  readonly problems: readonly Problem[];
}

export interface LedgerCursor {
  readonly ledger: string;
  /** What the next checkpoint adds, or `undefined` while it is not there. */
  next(): Promise<Batch | undefined>;
  /** Goes to just behind the newest checkpoint without reading what is before it. */
  skipToNewest(): Promise<void>;
  /** Reads the entries that no checkpoint covers yet; the cursor can't go on from there. */
  rest(): Promise<Omit<Batch, 'checkpoint' | 'note'>>;
  /** Numbers of the checkpoint and the entries object that would be read next. */
  readonly position: { readonly checkpoint: number; readonly entries: number };
}

/** Ids of all ledgers in the store. */
export async function listLedgers(store: Store): Promise<string[]> {
  const ledgers: string[] = [];
  for await (const name of store.list('ledger/', { delimiter: '/' })) {
    const ledger = /^ledger\/([^/]+)\/$/.exec(name)?.[1];
    if (ledger !== undefined) ledgers.push(ledger);
  }
  return ledgers;
}

export function createLedgerCursor(store: Store, ledger: string): LedgerCursor {
  const checkpoints = createNumberedReader((number) => store.get(checkpointName(ledger, number)));
  const entries = createNumberedReader((number) => store.get(entriesName(ledger, number)));
  let nextCheckpoint = 0;
  let nextEntries = 0;
  let leaves = 0;
  let waiting: CoveredManifest[] = [];

  /** Reads one more entries object into `waiting`; false where there is none. */
  async function more(into: { number: number; bytes: Uint8Array }[], problems: Problem[]): Promise<boolean> {
    const bytes = await entries.get(nextEntries);
    if (bytes === undefined) return false;
    const name = entriesName(ledger, nextEntries);
    into.push({ number: nextEntries, bytes });
    nextEntries++;
    try {
      for (const line of readEntries(bytes, name))
        waiting.push({ manifest: readManifest(line, name, problems), entries: name });
    } catch (error) {
      problems.push(problemOf(error));
    }
    return true;
  }

  return {
    ledger,
    get position() {
      return { checkpoint: nextCheckpoint, entries: nextEntries };
    },
    async next() {
      const note = await checkpoints.get(nextCheckpoint);
      if (note === undefined) return undefined;
      const problems: Problem[] = [];
      const read: { number: number; bytes: Uint8Array }[] = [];
      const size = sizeOf(note);
      const object = checkpointName(ledger, nextCheckpoint);
      if (size === undefined) {
        problems.push({ code: 'checkpoint_malformed', object, words: 'It is no checkpoint of a ledger.' });
      }
      const wanted = (size ?? leaves) - leaves;
      while (waiting.length < wanted) {
        if (await more(read, problems)) continue;
        problems.push({
          code: 'entries_missing',
          object: entriesName(ledger, nextEntries),
          words: `It is not in the store, and checkpoint ${nextCheckpoint} covers it.`,
        });
        break;
      }
      const manifests = waiting.slice(0, wanted);
      waiting = waiting.slice(manifests.length);
      leaves = Math.max(leaves, size ?? leaves);
      const checkpoint = nextCheckpoint++;
      return { checkpoint, note, entries: read, manifests, problems };
    },
    async skipToNewest() {
      const checkpoint = await countNumbered((number) => store.get(checkpointName(ledger, number)));
      const stored = await countNumbered((number) => store.get(entriesName(ledger, number)));
      const note = checkpoint === 0 ? undefined : await store.get(checkpointName(ledger, checkpoint - 1));
      const size = note === undefined ? undefined : sizeOf(note);
      if (checkpoint === stored && size !== undefined) {
        nextCheckpoint = checkpoint;
        nextEntries = checkpoint;
        leaves = size;
        return;
      }
      // After an outage of the signer one checkpoint covers several entries objects, and only counting leaves tells
      // which come next.
      while ((await this.next()) !== undefined);
    },
    async rest() {
      const problems: Problem[] = [];
      const read: { number: number; bytes: Uint8Array }[] = [];
      while (await more(read, problems));
      return { entries: read, manifests: waiting, problems };
    },
  };
}

function readManifest(line: string, name: string, problems: Problem[]): Manifest | UnknownManifest {
  try {
    return parseManifest(line, name);
  } catch (error) {
    problems.push(problemOf(error));
    // Still a leaf: the count must go on.
    return { kind: 'unknown', of: 'malformed', fields: {} };
  }
}

/** The tree size in a checkpoint's note, unverified. */
function sizeOf(note: Uint8Array): number | undefined {
  const line = Buffer.from(note.buffer, note.byteOffset, Math.min(note.byteLength, 4096))
    .toString('utf8')
    .split('\n')[1];
  const size = /^(0|[1-9]\d{0,14})$/.test(line ?? '') ? Number(line) : undefined;
  return size;
}

/** How many objects there are, numbered from 0 without holes, in O(log n) reads. */
async function countNumbered(get: (number: number) => Promise<unknown>): Promise<number> {
  let above = 1;
  while ((await get(above - 1)) !== undefined) above *= 2;
  let there = Math.floor(above / 2); // Objects 0 … there-1 are there, object above-1 is not.
  let absent = above - 1;
  while (there < absent) {
    const middle = Math.floor((there + absent) / 2);
    if ((await get(middle)) === undefined) absent = middle;
    else there = middle + 1;
  }
  return there;
}
