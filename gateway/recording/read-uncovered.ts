/**
 * Objects that no checkpoint covers. Sealing stores segments first, then the entries that name them, then the checkpoint,
 * so a few may be on their way at any moment. Anything else was not put there by a gateway.
 */
import { promisify } from 'node:util';
import { gunzip, type ZlibOptions } from 'node:zlib';
import type { Store } from '../store/store.ts';
import { readPlace } from './read-frame.ts';
import type { LedgerIndex } from './read-index.ts';
import { readSegmentName, readSummaryName, type StrandName } from './read-name.ts';
import type { Problem } from './read-problem.ts';
import { readSummary } from './read-summary.ts';

const inflate = promisify<Uint8Array, ZlibOptions, Buffer>(gunzip);
/** Nothing vouches for these bytes, so they may not inflate without bound. The writer's segments are far smaller. */
const MOST_INFLATED = 256 * 1024 * 1024;

/**
 * A frame takes its time before it is durable, a manifest when its round is cut, so the segment after a checkpoint may
 * begin a moment before it.
 */
const STRAGGLING_MS = 5000;

interface Known {
  readonly index: LedgerIndex;
  /** Objects that stored entries name, which no checkpoint covers yet. */
  readonly waiting: ReadonlySet<string>;
  /** Per ledger the time of its newest manifest under a checkpoint. */
  readonly newest: ReadonlyMap<string, string | undefined>;
}

export async function judgeUncovered(
  store: Store,
  objects: readonly string[],
  known: Known,
): Promise<{ pending: string[]; problems: Problem[] }> {
  const pending: string[] = [];
  const problems: Problem[] = [];
  for (const object of objects) {
    const words = known.waiting.has(object) ? undefined : await whyUncovered(store, object, known);
    if (words === undefined) pending.push(object);
    else problems.push({ code: 'uncovered', object, words: `No ledger covers it. ${words}` });
  }
  return { pending, problems };
}

/** Why it can't be on its way to a checkpoint; `undefined` where it can. */
async function whyUncovered(store: Store, object: string, known: Known): Promise<string | undefined> {
  const segment = readSegmentName(object);
  const name = segment ?? readSummaryName(object);
  if (name === undefined) return 'No recording has such a name.';
  if (!known.newest.has(name.ledger)) return `There is no ledger ${name.ledger}.`;
  const bytes = await store.get(object);
  if (bytes === undefined) return undefined; // Retention took it between the listing and now.
  const strand = known.index.strands.get(name.strand);
  if (strand?.summary !== undefined) return 'Its strand has ended.';
  const last = segment === undefined ? readSummary(bytes)?.ended : await lastOfSegment(bytes, segment);
  if (last === undefined) return 'It is not an object of its strand.';
  if (segment !== undefined && segment.number < (strand?.segments.length ?? 0)) {
    return 'Its strand has another segment of this number.';
  }
  const newest = known.newest.get(name.ledger);
  if (newest !== undefined && Date.parse(last) < Date.parse(newest) - STRAGGLING_MS)
    return 'It is older than the newest checkpoint of its ledger.';
  return undefined;
}

/** When the segment's last frame was recorded; `undefined` where it is no segment of its strand. */
async function lastOfSegment(bytes: Uint8Array, name: StrandName): Promise<string | undefined> {
  const inflated = await inflate(bytes, { maxOutputLength: MOST_INFLATED }).catch(() => undefined);
  let last: string | undefined;
  for (const line of inflated?.toString('utf8').split('\n') ?? []) {
    if (line === '') continue;
    const read = readPlace(line);
    if (!('place' in read) || read.place.strand !== name.strand || read.place.session !== name.session)
      return undefined;
    last = read.place.at;
  }
  return last;
}
