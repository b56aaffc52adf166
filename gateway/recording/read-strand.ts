/**
 * Reading the frames of one session: each segment is checked against its manifest before a line of it is believed, and
 * what is missing shows as a problem in its place, never as silence.
 */
import type { SegmentManifest } from '../ledger/manifest.ts';
import { verifySegment } from '../ledger/verify.ts';
import type { Store } from '../store/store.ts';
import type { Frame } from './frame.ts';
import { readInOrder } from './read-ahead.ts';
import { readFrame } from './read-frame.ts';
import type { IndexedStrand } from './read-index.ts';
import { readSegmentName } from './read-name.ts';
import { type Problem, problemOf } from './read-problem.ts';

/** A frame with the exact line that holds it, or what is wrong at this place. */
export type ReadItem =
  | { readonly kind: 'frame'; readonly frame: Frame; readonly line: string; readonly object: string }
  /** A frame of a type that this version does not know. */
  | {
      readonly kind: 'unknown';
      readonly type: string;
      readonly at: string;
      readonly line: string;
      readonly object: string;
    }
  | { readonly kind: 'problem'; readonly problem: Problem };

/** The lines of one segment, verified against its manifest. */
export async function readSegment(
  store: Store,
  manifest: SegmentManifest,
): Promise<{ lines: string[] } | { problem: Problem }> {
  const bytes = await store.get(manifest.object);
  if (bytes === undefined) {
    const words = `Frames ${manifest.first} to ${manifest.last} are missing: the ledger has their segment, the store has not.`;
    return { problem: { code: 'segment_missing', object: manifest.object, words } };
  }
  try {
    return verifySegment(manifest, bytes);
  } catch (error) {
    return { problem: problemOf(error) };
  }
}

/** What one verified line of a segment is. */
export function readLine(line: string, strand: string, object: string): ReadItem {
  const read = readFrame(line);
  if (read.kind === 'unreadable')
    return { kind: 'problem', problem: { code: 'frame_unreadable', object, words: read.words } };
  if (read.place.strand !== strand) {
    const words = `Frame ${read.place.seq} belongs to another strand.`;
    return { kind: 'problem', problem: { code: 'frame_strand', object, words } };
  }
  if (read.kind === 'unknown') return { kind: 'unknown', type: read.place.type, at: read.place.at, line, object };
  return { kind: 'frame', frame: read.frame, line, object };
}

/** Where a strand's next segment must begin. `check` says what is wrong with one, and goes on behind it. */
export function createContiguity(): { check(manifest: SegmentManifest): Problem | undefined } {
  let number = 0;
  let seq = 0;
  return {
    check({ object, first, last }) {
      const found = readSegmentName(object)?.number;
      const expected = { number, seq };
      number = (found ?? number) + 1;
      seq = last + 1;
      if (found === expected.number && first === expected.seq) return undefined;
      const words =
        `Segment ${expected.number}, beginning with frame ${expected.seq}, should come here; ` +
        `segment ${found ?? 'without a number'} with frames ${first} to ${last} does.`;
      return { code: 'strand_gap', object, words };
    },
  };
}

async function* readStrand(store: Store, strand: IndexedStrand): AsyncGenerator<ReadItem> {
  const contiguity = createContiguity();
  const segments = readInOrder(
    [...strand.segments],
    async (manifest) => ({ manifest, read: await readSegment(store, manifest) }),
    4,
  );
  for await (const { manifest, read } of segments) {
    const gap = contiguity.check(manifest);
    if (gap !== undefined) yield { kind: 'problem', problem: gap };
    if ('problem' in read) yield { kind: 'problem', problem: read.problem };
    else for (const line of read.lines) yield readLine(line, strand.strand, manifest.object);
  }
}

interface Head {
  readonly items: AsyncGenerator<ReadItem>;
  item: ReadItem;
  /** Exchanges begun and not ended here, streams of the client's GET left out. */
  readonly open: Set<string>;
}

/**
 * The frames of a session: its strands merged by exchange, then by time. A strand is followed while one of its exchanges
 * is under way (a GET stream, which may stay open for hours, does not count), then the one with the earliest frame.
 * Inside a strand the order is that of `seq`; between strands none is claimed.
 */
export async function* readSession(store: Store, strands: readonly IndexedStrand[]): AsyncGenerator<ReadItem> {
  const heads: Head[] = [];
  const all = strands.map((strand) => readStrand(store, strand));
  try {
    for (const items of all) {
      const first = await items.next();
      if (!first.done) heads.push({ items, item: first.value, open: new Set() });
    }
    let current = earliest(heads);
    while (current !== undefined) {
      const { item } = current;
      yield item;
      follow(current, item);
      const next = await current.items.next();
      if (next.done) heads.splice(heads.indexOf(current), 1);
      else current.item = next.value;
      if (next.done || current.open.size === 0) current = earliest(heads);
    }
  } finally {
    await Promise.all(all.map((items) => items.return(undefined)));
  }
}

function follow(head: Head, item: ReadItem): void {
  if (item.kind !== 'frame') return;
  if (item.frame.type === 'request' && item.frame.method !== 'GET') head.open.add(item.frame.exchange);
  else if (item.frame.type === 'end') head.open.delete(item.frame.exchange);
}

function earliest(heads: readonly Head[]): Head | undefined {
  // A problem has no time: it comes where its strand is read next, at once.
  const time = ({ item }: Head): string =>
    item.kind === 'frame' ? item.frame.at : item.kind === 'unknown' ? item.at : '';
  return heads.reduce<Head | undefined>(
    (best, head) => (best === undefined || time(head) < time(best) ? head : best),
    undefined,
  );
}
