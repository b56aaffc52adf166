/** Verifying one strand: its segments against their manifests, frames without holes, its summary against its frames. */
import { createHash } from 'node:crypto';
import type { SegmentManifest } from '../ledger/manifest.ts';
import type { Store } from '../store/store.ts';
import { readInOrder } from './read-ahead.ts';
import { readPlace } from './read-frame.ts';
import type { IndexedStrand } from './read-index.ts';
import type { Problem } from './read-problem.ts';
import { createContiguity, readSegment } from './read-strand.ts';
import { readSummary } from './read-summary.ts';

export interface VerifiedStrand {
  readonly segments: number;
  readonly frames: number;
  readonly problems: readonly Problem[];
  /** Objects that its frames say were in force, and the segment that says so. */
  readonly digests: readonly { readonly object: string; readonly namedBy: string }[];
}

export async function verifyStrand(
  store: Store,
  strand: IndexedStrand,
  onSegment: () => void,
): Promise<VerifiedStrand> {
  const problems: Problem[] = [];
  const digests: { object: string; namedBy: string }[] = [];
  const contiguity = createContiguity();
  let frames = 0;
  let ended = false;
  const read = async (manifest: SegmentManifest) => ({ manifest, segment: await readSegment(store, manifest) });
  for await (const { manifest, segment } of readInOrder([...strand.segments], read, 4)) {
    onSegment();
    const gap = contiguity.check(manifest);
    if (gap !== undefined) problems.push(gap);
    if ('problem' in segment) {
      problems.push(segment.problem);
      continue;
    }
    for (const line of segment.lines) {
      const found = readPlace(line);
      if (!('place' in found)) {
        problems.push({ code: 'frame_unreadable', object: manifest.object, words: found.words });
        continue;
      }
      frames++;
      const { place } = found;
      if (place.strand !== strand.strand) {
        problems.push({
          code: 'frame_strand',
          object: manifest.object,
          words: `Frame ${place.seq} belongs to another strand.`,
        });
      }
      if (ended) {
        problems.push({
          code: 'strand_end',
          object: manifest.object,
          words: `Frame ${place.seq} comes after the end of its strand.`,
        });
      }
      ended ||= place.type === 'strand.end';
      if (place.type === 'session.start') digests.push(...digestsIn(place.start, manifest.object, problems));
    }
  }
  const summary = await verifySummary(store, strand, {
    frames,
    segments: strand.segments.length,
    sound: problems.length === 0,
  });
  if (summary !== undefined) problems.push(summary);
  return { segments: strand.segments.length, frames, problems, digests };
}

const DIGEST = /^(?:sha256:)?([0-9a-f]{64})$/;

function* digestsIn(
  start: unknown,
  namedBy: string,
  problems: Problem[],
): Generator<{ object: string; namedBy: string }> {
  const fields: Record<string, unknown> = typeof start === 'object' && start !== null ? { ...start } : {};
  for (const [field, folder] of [
    ['configuration', 'configurations'],
    ['policy', 'policies'],
  ] as const) {
    const digest = DIGEST.exec(String(fields[field]))?.[1];
    if (digest !== undefined) yield { object: `${folder}/${digest}.json`, namedBy };
    else
      problems.push({
        code: 'digest_malformed',
        object: namedBy,
        words: `Its session.start names no ${field} by digest.`,
      });
  }
}

async function verifySummary(
  store: Store,
  strand: IndexedStrand,
  counted: { frames: number; segments: number; sound: boolean },
): Promise<Problem | undefined> {
  if (strand.summary === undefined) return undefined;
  const { object, size, sha256 } = strand.summary;
  const bytes = await store.get(object);
  if (bytes === undefined) {
    return { code: 'summary_missing', object, words: 'The ledger has this summary, the store has not.' };
  }
  if (bytes.byteLength !== size || createHash('sha256').update(bytes).digest('hex') !== sha256) {
    return { code: 'summary_hash', object, words: 'Its bytes are not those of its manifest.' };
  }
  const summary = readSummary(bytes);
  if (summary === undefined || summary.strand !== strand.strand) {
    return { code: 'summary_unreadable', object, words: 'It is not the summary of its strand.' };
  }
  // Where frames are missing anyway, that is the problem to name.
  if (counted.sound && (summary.frames !== counted.frames || summary.segments !== counted.segments)) {
    const words =
      `It counts ${summary.frames} frames in ${summary.segments} segments, ` +
      `the ledger has ${counted.frames} in ${counted.segments}.`;
    return { code: 'summary_counts', object, words };
  }
  return undefined;
}
