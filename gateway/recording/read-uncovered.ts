/**
 * Objects that no checkpoint covers. Sealing stores segments first, then the entries that name them, then the checkpoint,
 * so a few may be on their way at any moment. Anything else was not put there by a gateway.
 *
 * Nobody has signed the entries either, so what they name is looked at like what nothing names yet. Only its age does not
 * matter: while the signer is away it may wait for long.
 */
import { createHash } from 'node:crypto';
import { promisify } from 'node:util';
import { gunzip, type ZlibOptions } from 'node:zlib';
import type { ObjectManifest } from '../ledger/manifest.ts';
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
  /** What stored entries say that no checkpoint covers yet, by object. */
  readonly waiting: ReadonlyMap<string, ObjectManifest>;
  /** Per ledger the time of its newest manifest under a checkpoint. */
  readonly newest: ReadonlyMap<string, string | undefined>;
  /** Ledgers that a checkpoint closed. */
  readonly closed: ReadonlySet<string>;
}

export async function judgeUncovered(
  store: Store,
  objects: readonly string[],
  known: Known,
): Promise<{ pending: string[]; problems: Problem[] }> {
  const pending: string[] = [];
  const problems: Problem[] = [];
  // What the entries name was stored before them, so it is there whether or not it was listed.
  for (const object of new Set([...objects, ...known.waiting.keys()])) {
    const problem = await judge(store, object, known);
    if (problem === undefined) pending.push(object);
    else problems.push(problem);
  }
  return { pending, problems };
}

async function judge(store: Store, object: string, known: Known): Promise<Problem | undefined> {
  const manifest = known.waiting.get(object);
  // Without a manifest its name is looked at before anything is read.
  const bytes = manifest === undefined ? undefined : await store.get(object);
  const problem = manifest === undefined ? undefined : against(manifest, bytes);
  if (problem !== undefined) return problem;
  const words = await whyUncovered(object, async () => bytes ?? store.get(object), known);
  return words === undefined ? undefined : { code: 'uncovered', object, words: `No ledger covers it. ${words}` };
}

function against({ kind, object, size, sha256 }: ObjectManifest, bytes: Uint8Array | undefined): Problem | undefined {
  if (bytes === undefined) {
    return { code: `${kind}_missing`, object, words: `The newest entries name this ${kind}, the store has it not.` };
  }
  if (bytes.byteLength !== size && kind === 'segment') {
    return { code: 'segment_size', object, words: 'It has another size than its manifest says.' };
  }
  if (bytes.byteLength !== size || createHash('sha256').update(bytes).digest('hex') !== sha256) {
    return { code: `${kind}_hash`, object, words: 'Its bytes are not those of its manifest.' };
  }
  return undefined;
}

/** Why it can't be on its way to a checkpoint; `undefined` where it can. */
async function whyUncovered(
  object: string,
  read: () => Promise<Uint8Array | undefined>,
  known: Known,
): Promise<string | undefined> {
  const segment = readSegmentName(object);
  const name = segment ?? readSummaryName(object);
  if (name === undefined) return 'No recording has such a name.';
  if (!known.newest.has(name.ledger)) return `There is no ledger ${name.ledger}.`;
  const bytes = await read();
  if (bytes === undefined) return undefined; // Retention took it between the listing and now.
  if (known.closed.has(name.ledger)) return 'Its ledger is closed.';
  const strand = known.index.strands.get(name.strand);
  if (strand?.summary !== undefined) return 'Its strand has ended.';
  const last = segment === undefined ? readSummary(bytes)?.ended : await lastOfSegment(bytes, segment);
  if (last === undefined) return 'It is not an object of its strand.';
  if (segment !== undefined && segment.number < (strand?.segments.length ?? 0)) {
    return 'Its strand has another segment of this number.';
  }
  if (known.waiting.has(object)) return undefined;
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
