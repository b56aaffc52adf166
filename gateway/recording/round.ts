/**
 * Builds a sealing round: what the journal holds behind the sealed position, cut into one segment a strand, with the
 * manifests that will name them. Nothing here writes or stores.
 */
import { createHash } from 'node:crypto';
import { promisify } from 'node:util';
import { gzip } from 'node:zlib';
import { encodeManifest, type Manifest } from '../ledger/manifest.ts';
import { entriesName } from '../ledger/names.ts';
import { appendLeaf, leafHash } from '../ledger/tree.ts';
import type { Journal } from './journal.ts';
import { isAfter, type Position } from './journal-file.ts';
import { createLineGroup, type LineGroup, type Part, seqOf, sessionOf } from './line-group.ts';
import { segmentName, summaryName } from './objects.ts';
import type { StrandState } from './strand.ts';
import { snapshotOf } from './strand-snapshot.ts';
import type { LedgerState, Loss, Round, StoredObject } from './write-ahead.ts';

/** Journal bytes that one round takes at most: a bound of memory, not of durability. */
export const ROUND_LIMIT = 32 * 1024 * 1024;
/** Comments (SSE keep-alives) wait this long for a real frame before they get a segment of their own. */
const CARRY_LIMIT_MS = 5 * 60 * 1000;

const compress = promisify(gzip);

export interface RoundInput {
  readonly journal: Journal;
  readonly state: LedgerState;
  readonly strands: ReadonlyMap<string, { readonly state: StrandState }>;
  /** ISO time for the manifests. */
  readonly at: string;
  readonly now: number;
  readonly heartbeat?: { readonly clockOffset: number };
  /** A key to announce, and the one before it. */
  readonly key?: { readonly verifierKey: string; readonly previous: string };
  /** Why the ledger is closed: with this round, if it takes all that the journal holds. */
  readonly close?: string;
  /** The gateway stops: carried lines are sealed too. */
  readonly last: boolean;
  /** Journal bytes that it takes at most, or one record; `ROUND_LIMIT` where absent. */
  readonly limit?: number;
}

/** Where a sealed round leaves a strand; applied to the strand itself once the round is on this disk. */
interface StrandMove {
  readonly session: string;
  readonly nextSegment: number;
  readonly sealedThrough: number;
  readonly carried: StrandState['carried'];
  readonly done: boolean;
}

export interface BuiltRound {
  readonly round: Round;
  readonly moves: readonly StrandMove[];
  /** Bytes of the journal that it takes, by strand. */
  readonly taken: ReadonlyMap<string, number>;
}

/** The next round, or undefined where there is nothing to seal. */
export async function buildRound(input: RoundInput): Promise<BuiltRound | undefined> {
  const { groups, to, taken } = await readGroups(input);
  const building = createBuilding(input);
  for (const session of groups.keys()) {
    if (!input.strands.has(session)) throw new Error(`The journal holds frames of the unknown strand ${session}.`);
  }
  for (const [session, strand] of input.strands) {
    const fresh = groups.get(session);
    if (fresh !== undefined || building.isDue(strand.state)) await building.addStrand(strand.state, fresh);
  }
  if (input.heartbeat !== undefined) building.addHeartbeat(input.heartbeat.clockOffset);
  if (input.key !== undefined) building.addKey(input.key);
  if (input.state.loss !== undefined) building.addLoss(input.state.loss);
  if (input.close !== undefined && !isAfter(input.journal.end(), to)) building.addClosed(input.close);
  return building.finish(to, taken);
}

interface ReadGroups {
  readonly groups: Map<string, LineGroup>;
  readonly to: Position;
  readonly taken: Map<string, number>;
}

async function readGroups(input: RoundInput): Promise<ReadGroups> {
  const { limit = ROUND_LIMIT } = input;
  const groups = new Map<string, LineGroup>();
  const taken = new Map<string, number>();
  let to = input.state.sealed;
  let all = 0;
  while (all < limit) {
    const { lines, to: reached } = await input.journal.read(to, Math.min(limit, 1024 * 1024));
    if (reached.file === to.file && reached.offset === to.offset) break;
    to = reached;
    for (const line of lines) {
      const session = sessionOf(line);
      let group = groups.get(session);
      if (group === undefined) {
        group = carriedGroup(input.strands.get(session)?.state);
        groups.set(session, group);
      }
      group.add(line);
      taken.set(session, (taken.get(session) ?? 0) + line.length);
      all += line.length;
    }
  }
  return { groups, to, taken };
}

/** A group that begins with the lines that the strand carries. */
function carriedGroup(strand: StrandState | undefined): LineGroup {
  const group = createLineGroup();
  for (const line of strand?.carried?.lines ?? []) group.add(Buffer.from(line));
  return group;
}

/** A round in the making. */
function createBuilding(input: RoundInput) {
  const { state, strands, at, now, last } = input;
  const manifests: string[] = [];
  const objects: StoredObject[] = [];
  const moves = new Map<string, StrandMove>();
  let { keys, loss, closed } = state;

  function note(manifest: Manifest): void {
    manifests.push(encodeManifest(manifest));
  }

  /** An object and what its manifest says of it. */
  function store(name: string, bytes: Buffer) {
    objects.push({ name, bytes });
    return { object: name, size: bytes.length, sha256: sha256(bytes) };
  }

  function move(strand: StrandState, to: Pick<StrandMove, 'nextSegment' | 'sealedThrough' | 'carried'>): void {
    moves.set(strand.session, { session: strand.session, ...to, done: strand.endedAt === to.sealedThrough });
  }

  async function addSegment(strand: StrandState, number: number, first: number, part: Part): Promise<void> {
    const { session, day, connection, summary } = strand;
    const found = seqOf(part.firstLine);
    const final = seqOf(part.lastLine);
    if (found !== first || final !== first + part.count - 1) {
      throw new Error(`Strand ${session} goes on at ${found}…${final}, expected ${first}+${part.count}.`);
    }
    const bytes = await compress(Buffer.concat(part.runs), { level: 3 });
    const stored = store(segmentName({ day, connection, strand: summary.strand, number }), bytes);
    note({ v: 1, kind: 'segment', ...stored, session, first, last: final, at });
  }

  function addGap(line: Buffer): void {
    const frame = JSON.parse(line.toString()) as { session: string; gap: { reason: string; from: string; to: string } };
    note({ v: 1, kind: 'gap', session: frame.session, ...frame.gap, at });
  }

  function addSummary({ session, day, summary }: StrandState, segments: number): void {
    const bytes = Buffer.from(`${JSON.stringify({ ...summary, segments })}\n`);
    note({ v: 1, kind: 'summary', ...store(summaryName(day, summary.strand), bytes), session, at });
  }

  /** Whether what it carries has waited long enough. Asked of every strand in every round: there may be thousands. */
  function isDue({ carried }: StrandState): boolean {
    return carried !== undefined && (last || now - carried.since >= CARRY_LIMIT_MS);
  }

  return {
    isDue,

    async addStrand(strand: StrandState, fresh: LineGroup | undefined): Promise<void> {
      const group = fresh ?? carriedGroup(strand);
      const since = strand.carried?.since ?? now;
      if (!last && group.comments !== undefined && now - since < CARRY_LIMIT_MS) {
        const { nextSegment, sealedThrough } = strand;
        move(strand, { nextSegment, sealedThrough, carried: { lines: group.comments.map(String), since } });
        return;
      }
      let number = strand.nextSegment;
      let first = strand.sealedThrough + 1;
      for (const part of group.parts) {
        await addSegment(strand, number++, first, part);
        first += part.count;
      }
      for (const gap of group.gaps) addGap(gap);
      move(strand, { nextSegment: number, sealedThrough: first - 1, carried: undefined });
      if (strand.endedAt === first - 1) addSummary(strand, number);
    },

    addHeartbeat(clockOffset: number): void {
      const { lastCheckpoint } = state;
      const previous = lastCheckpoint === undefined ? {} : { previous: lastCheckpoint };
      note({ v: 1, kind: 'heartbeat', ...previous, clockOffset, at });
    },

    addKey({ verifierKey, previous }: NonNullable<RoundInput['key']>): void {
      keys = [
        ...(keys ?? [{ verifierKey: previous, leaf: -1 }]),
        { verifierKey, leaf: state.frontier.size + manifests.length },
      ];
      note({ v: 1, kind: 'key', verifierKey, previous, at });
    },

    addLoss(lost: Loss): void {
      if (lost.told === true) return;
      const { reason, from, to } = lost;
      note({ v: 1, kind: 'gap', reason, from, to, at });
      loss = { ...lost, told: true };
    },

    addClosed(reason: string): void {
      note({ v: 1, kind: 'closed', reason, at });
      closed = at;
    },

    finish(to: Position, taken: ReadonlyMap<string, number>): BuiltRound | undefined {
      if (manifests.length === 0 && !isAfter(to, state.sealed)) return undefined;
      let { frontier } = state;
      for (const line of manifests) frontier = appendLeaf(frontier, leafHash(Buffer.from(line)));
      const after: LedgerState = {
        ...state,
        sealed: to,
        frontier,
        nextEntries: state.nextEntries + (manifests.length > 0 ? 1 : 0),
        ...(keys === undefined ? {} : { keys }),
        ...(loss === undefined ? {} : { loss }),
        ...(closed === undefined ? {} : { closed }),
        strands: begun(strands).flatMap((strand) => applyMove(strand, moves.get(strand.session))),
      };
      if (manifests.length > 0) {
        const bytes = Buffer.from(`${manifests.join('\n')}\n`);
        objects.push({ name: entriesName(state.ledger, state.nextEntries), bytes });
      }
      return { round: { objects, after }, moves: [...moves.values()], taken };
    },
  };
}

/** Strands with a durable frame: one whose `session.start` is on its way only must not outlive a crash. */
export function begun(strands: RoundInput['strands']): StrandState[] {
  return [...strands.values()].flatMap(({ state }) => (state.foldedThrough < 0 ? [] : [snapshotOf(state)]));
}

function applyMove(state: StrandState, move: StrandMove | undefined): StrandState[] {
  if (move === undefined) return [state];
  if (move.done) return [];
  const { carried: _, ...rest } = state;
  return [
    {
      ...rest,
      nextSegment: move.nextSegment,
      sealedThrough: move.sealedThrough,
      ...(move.carried === undefined ? {} : { carried: move.carried }),
    },
  ];
}

export function sha256(bytes: Uint8Array): string {
  return createHash('sha256').update(bytes).digest('hex');
}
