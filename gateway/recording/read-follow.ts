/** Tailing the ledgers: frames as checkpoints cover them, so that what is shown is already evidence. */
import { setTimeout as sleep } from 'node:timers/promises';
import type { Store } from '../store/store.ts';
import { createLedgerCursor, type LedgerCursor, listLedgers } from './read-ledger.ts';
import { readSegmentName } from './read-name.ts';
import { type ReadItem, readLine, readSegment } from './read-strand.ts';

export interface FollowOptions {
  /** Ends the iteration, quietly. */
  readonly signal: AbortSignal;
  /** Only this ledger; otherwise all, those that appear later too. */
  readonly ledger?: string;
  /** Only this session's frames. */
  readonly session?: string;
  /** `start`: everything that is stored first. `now` (default): only what is sealed from now on. */
  readonly from?: 'start' | 'now';
  /** Milliseconds between polls; each is one read a ledger. Default 500. */
  readonly every?: number;
  /** Called once the place to follow from is known: what is sealed after that will be seen. */
  readonly onReady?: () => void;
}

/** How many polls pass between looks for new ledgers, which take a listing. */
const POLLS_PER_LISTING = 10;

export async function* followLedgers(store: Store, options: FollowOptions): AsyncGenerator<ReadItem> {
  const { signal } = options;
  const cursors = new Map<string, LedgerCursor>();
  const admit = async (from: 'start' | 'now'): Promise<void> => {
    for (const ledger of await listLedgers(store)) {
      if (cursors.has(ledger) || (options.ledger !== undefined && ledger !== options.ledger)) continue;
      const cursor = createLedgerCursor(store, ledger);
      if (from === 'now') await cursor.skipToNewest();
      cursors.set(ledger, cursor);
    }
  };
  await admit(options.from ?? 'now');
  options.onReady?.();
  for (let poll = 1; !signal.aborted; poll++) {
    for (const cursor of cursors.values()) yield* newFrames(store, cursor, options);
    // A ledger that appears while following is new as a whole.
    if (cursors.size === 0 || poll % POLLS_PER_LISTING === 0) await admit('start');
    await sleep(options.every ?? 500, undefined, { signal }).catch(() => undefined);
  }
}

async function* newFrames(store: Store, cursor: LedgerCursor, options: FollowOptions): AsyncGenerator<ReadItem> {
  while (!options.signal.aborted) {
    const batch = await cursor.next();
    if (batch === undefined) return;
    for (const problem of batch.problems) yield { kind: 'problem', problem };
    for (const { manifest } of batch.manifests) {
      if (options.signal.aborted) return;
      if (manifest.kind !== 'segment') continue;
      if (options.session !== undefined && manifest.session !== options.session) continue;
      const strand = readSegmentName(manifest.object)?.strand;
      const segment = await readSegment(store, manifest);
      if ('problem' in segment) yield { kind: 'problem', problem: segment.problem };
      else for (const line of segment.lines) yield readLine(line, strand ?? '', manifest.object);
    }
  }
}
