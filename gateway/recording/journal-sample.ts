/**
 * A journal as a real recorder leaves it after a kill, for tests that harm it: several strands over several files, a file
 * that a failed fsync poisoned, with what it was refused rewritten to the next, open exchanges, bodies of several pieces.
 */
import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { createMemoryStore } from '../store/memory.ts';
import type { JournalFiles } from './examine.ts';
import { createFaultyFileSystem } from './faults.ts';
import type { FrameBody } from './frame.ts';
import { journalNumber, type Position } from './journal-file.ts';
import { attempt, endFrame, event, openTestRecorder, START } from './test-recorder.ts';

export interface JournalSample {
  readonly files: ReadonlyMap<number, Buffer>;
  /** Lines that were acknowledged, in order, and the journal's end when they were. */
  readonly acknowledged: readonly { readonly line: string; readonly end: Position }[];
}

/** Mulberry32: the same numbers for the same seed, from 0 to below 1. */
export function createRandom(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}

export interface SampleShape {
  readonly strands: number;
  readonly commits: number;
  /** Bytes of a body at most. */
  readonly body: number;
  /** Bytes after which a new file is begun. */
  readonly fileLimit: number;
}

/** In `folder`, which is empty. A commit fails (and persists, or does not) every few; some fail for good. */
export async function createJournalSample(
  folder: string,
  random: () => number,
  shape: SampleShape,
): Promise<JournalSample> {
  const fs = createFaultyFileSystem();
  const recorder = await openTestRecorder({
    folder,
    store: createMemoryStore(),
    fileSystem: fs,
    fileLimit: shape.fileLimit,
    unsealed: true,
  });
  const acknowledged: { line: string; end: Position }[] = [];
  const upTo = (most: number): number => Math.floor(random() * most);
  const seen = new Map<string, number>();
  const sessions: string[] = [];

  async function commit(session: string, bodies: readonly FrameBody[]): Promise<void> {
    const strand = recorder.strand(session);
    if (strand === undefined) return;
    const settled = await Promise.all(bodies.map((body) => attempt(strand, body)));
    const kept = bodies.filter((_, index) => settled[index]);
    for (const body of kept) note(session, body);
  }

  function note(session: string, body: FrameBody): void {
    const seq = (seen.get(session) ?? -1) + 1;
    seen.set(session, seq);
    acknowledged.push({ line: `${session} ${seq} ${body.type}`, end: recorder.journal.end() });
  }

  for (let number = 0; number < shape.commits; number++) {
    const kind = number % 5;
    if (kind === 2) fs.fail('fdatasync', { code: 'EIO', persists: random() < 0.5 }, random() < 0.3 ? 3 : 1);
    if (sessions.length < shape.strands && (sessions.length === 0 || random() < 0.3)) {
      const session = `s${sessions.length}`;
      const begun = await recorder.begin(session, START).then(
        () => true,
        () => false,
      );
      if (begun) {
        sessions.push(session);
        note(session, { type: 'session.start', start: START });
      }
      continue;
    }
    const session = sessions[upTo(sessions.length)] ?? 's0';
    await commit(session, bodiesOf(`x${number}`, random, shape.body));
  }
  // What was refused last is behind the header of the file that this one goes to.
  fs.heal();
  await commit('s0', [event(`x${shape.commits}`)]);
  await recorder.kill();
  const journal = join(folder, 'journal');
  const files = new Map<number, Buffer>();
  for (const name of (await readdir(journal)).sort()) {
    const number = journalNumber(name);
    if (number !== undefined) files.set(number, await readFile(join(journal, name)));
  }
  return { files, acknowledged };
}

function bodiesOf(exchange: string, random: () => number, most: number): FrameBody[] {
  const text = (): string => 'é{"\n'.repeat(1 + Math.floor((random() * most) / 4));
  const request: FrameBody = {
    type: 'request',
    exchange,
    method: 'POST',
    path: '/mcp',
    headers: [],
    bytes: 4,
    messages: [],
  };
  const pieces: FrameBody[] = [
    { type: 'data', exchange, from: 'client', more: true, text: text() },
    { type: 'data', exchange, from: 'client', base64: Buffer.from(text()).toString('base64') },
  ];
  const kind = random();
  if (kind < 0.3) return [request, ...pieces];
  if (kind < 0.6) return [request, endFrame(exchange)];
  return [event(text())];
}

export function filesOf(files: ReadonlyMap<number, Buffer>): JournalFiles {
  const bytes = (number: number): Buffer => files.get(number) ?? Buffer.alloc(0);
  return {
    numbers: [...files.keys()].sort((a, b) => a - b),
    size: async (number) => bytes(number).length,
    read: async (number) => bytes(number),
  };
}
