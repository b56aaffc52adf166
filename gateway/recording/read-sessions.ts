/** Listing sessions, newest first: what has ended from its strands' summaries, what is live from its frames so far. */
import { createHash } from 'node:crypto';
import type { SegmentManifest } from '../ledger/manifest.ts';
import type { Store } from '../store/store.ts';
import type { RecordedPrincipal } from './frame.ts';
import { readInOrder } from './read-ahead.ts';
import type { IndexedStrand, LedgerIndex } from './read-index.ts';
import { isSystem, readSummaryName } from './read-name.ts';
import type { Problem } from './read-problem.ts';
import { readLine, readSegment } from './read-strand.ts';
import { readSummary } from './read-summary.ts';
import { emptySummary, foldFrame, type StrandSummary } from './summary.ts';

export interface SessionFilter {
  /** Sessions that started then or later. */
  readonly since?: Date;
  /** E-mail (in any case) or subject. */
  readonly user?: string;
  readonly connection?: string;
  /** Version of the upstream credential that acted for the session, as recordings name it; its beginning suffices. */
  readonly credential?: string;
  /** Only sessions with a denied message. */
  readonly denied?: boolean;
  /** Only sessions that have not ended; `false`: only those that have. */
  readonly live?: boolean;
  /** Only system strands, which are left out otherwise. */
  readonly system?: boolean;
}

export interface SessionInfo {
  readonly session: string;
  readonly state: 'live' | 'ended';
  readonly connection: string;
  readonly principal?: RecordedPrincipal;
  readonly client?: NonNullable<StrandSummary['client']>;
  /** Versions of the upstream credential that acted for it. */
  readonly credentials?: readonly string[];
  readonly started: string;
  readonly ended?: string;
  readonly reason?: string;
  /**
   * Of a live session: time of the newest entry in the ledger of its strands that has been silent for the longest. A replica
   * that is gone writes no end and no gap: only its silence tells.
   */
  readonly heardOf?: string;
  readonly strands: readonly string[];
  /** `tools/call` requests. */
  readonly calls: number;
  readonly frames: number;
  readonly segments: number;
  readonly exchanges: number;
  readonly messages: number;
  readonly denied: number;
  readonly refused: number;
  /** JSON-RPC errors that came back. */
  readonly errors: number;
  /** Tool results with `isError`. */
  readonly toolErrors: number;
  readonly gaps: number;
  /** How often a call was made to wait for a person. */
  readonly approvals: number;
  /** Values that masks took out. */
  readonly masked: number;
  readonly bytes: { readonly request: number; readonly released: number };
  readonly methods: Readonly<Record<string, number>>;
  readonly tools: Readonly<Record<string, number>>;
  readonly problems: readonly Problem[];
}

interface StrandReport {
  readonly summary: StrandSummary;
  readonly live: boolean;
  /** Of a live strand: time of the newest entry in its ledger. */
  readonly heardOf?: string | undefined;
  readonly problems: readonly Problem[];
}

export async function* listSessions(
  store: Store,
  index: LedgerIndex,
  filter: SessionFilter,
): AsyncGenerator<SessionInfo> {
  const wanted = strandsByDay(index, filter);
  for (const day of [...wanted.keys()].sort().reverse()) {
    const reports = new Map<string, StrandReport[]>();
    for await (const report of readInOrder(wanted.get(day) ?? [], (strand) => reportOf(store, strand, index))) {
      const { session } = report.summary;
      reports.set(session, [...(reports.get(session) ?? []), report]);
    }
    const sessions = [...reports.values()].map(joinStrands).filter((info) => matches(info, filter));
    sessions.sort((a, b) => compare(b.started, a.started) || compare(b.session, a.session));
    yield* sessions;
  }
}

/** One session of the index, live or ended. */
export async function describeSession(
  store: Store,
  index: LedgerIndex,
  session: string,
): Promise<SessionInfo | undefined> {
  const strands = index.strandsOf(session);
  if (strands.length === 0) return undefined;
  return joinStrands(await Promise.all(strands.map((strand) => reportOf(store, strand, index))));
}

/** The strands that the filter could want, by the day on which their session started: no more than these are read. */
function strandsByDay(index: LedgerIndex, filter: SessionFilter): Map<string, IndexedStrand[]> {
  const since = filter.since?.toISOString().slice(0, 10);
  const wanted = new Map<string, IndexedStrand[]>();
  for (const strand of index.strands.values()) {
    if (isSystem(strand.session) !== (filter.system === true)) continue;
    if (since !== undefined && strand.day < since) continue;
    if (filter.live !== undefined && filter.live !== (strand.summary === undefined) && !hasSiblings(index, strand))
      continue;
    const day = wanted.get(strand.day);
    if (day === undefined) wanted.set(strand.day, [strand]);
    else day.push(strand);
  }
  return wanted;
}

function hasSiblings(index: LedgerIndex, strand: IndexedStrand): boolean {
  return index.strandsOf(strand.session).length > 1;
}

async function reportOf(store: Store, strand: IndexedStrand, index: LedgerIndex): Promise<StrandReport> {
  if (strand.summary === undefined) {
    return { ...(await countFrames(store, strand, [])), heardOf: index.heardOf(strand.ledger) };
  }
  const { object, size, sha256 } = strand.summary;
  const bytes = await store.get(object);
  const problem = (code: string, words: string): Promise<StrandReport> =>
    countFrames(store, strand, [{ code, object, words: `${words} The counts are from the frames.` }]);
  if (bytes === undefined) return problem('summary_missing', 'The ledger has this summary, the store has not.');
  if (bytes.byteLength !== size || createHash('sha256').update(bytes).digest('hex') !== sha256) {
    return problem('summary_hash', 'Its bytes are not those of its manifest.');
  }
  const summary = readSummary(bytes);
  if (
    summary === undefined ||
    summary.strand !== strand.strand ||
    readSummaryName(object)?.session !== summary.session
  ) {
    return problem('summary_unreadable', 'It is not the summary of its strand.');
  }
  return { summary, live: false, problems: [] };
}

/** A strand counted from its frames, as the writer counts it. */
async function countFrames(store: Store, strand: IndexedStrand, found: Problem[]): Promise<StrandReport> {
  const problems = [...found];
  const summary = emptySummary({
    session: strand.session,
    ledger: strand.ledger,
    connection: strand.connection ?? '',
    at: strand.segments[0]?.at ?? `${strand.day}T00:00:00.000000Z`,
  });
  const read = async (manifest: SegmentManifest) => ({ manifest, segment: await readSegment(store, manifest) });
  for await (const { manifest, segment } of readInOrder([...strand.segments], read, 4)) {
    summary.segments++;
    if ('problem' in segment) {
      problems.push(segment.problem);
      continue;
    }
    for (const line of segment.lines) {
      const item = readLine(line, strand.strand, manifest.object);
      if (item.kind === 'problem') problems.push(item.problem);
      else if (item.kind === 'unknown') summary.frames++;
      else {
        if (item.frame.type === 'session.start') summary.started = item.frame.at;
        foldFrame(summary, item.frame);
      }
    }
  }
  return { summary, live: strand.summary === undefined, problems };
}

function joinStrands(reports: readonly StrandReport[]): SessionInfo {
  const summaries = reports.map(({ summary }) => summary).sort((a, b) => compare(a.started, b.started));
  const [first] = summaries;
  if (first === undefined) throw new RangeError('A session has a strand.');
  const sum = (count: (summary: StrandSummary) => number): number =>
    summaries.reduce((total, summary) => total + count(summary), 0);
  const live = reports.some((report) => report.live);
  const heardOf = reports
    .flatMap((report) => report.heardOf ?? [])
    .sort(compare)
    .at(0);
  const ended = summaries.reduce<StrandSummary>(
    (last, summary) => ((summary.ended ?? '') > (last.ended ?? '') ? summary : last),
    first,
  );
  const principal = summaries.find((summary) => summary.principal !== undefined)?.principal;
  const client = summaries.find((summary) => summary.client !== undefined)?.client;
  const credentials = [...new Set(summaries.flatMap((summary) => summary.credentials ?? []))];
  const methods = addUp(summaries.map((summary) => summary.methods));
  return {
    session: first.session,
    state: live ? 'live' : 'ended',
    connection: first.connection,
    ...(principal === undefined ? {} : { principal }),
    ...(client === undefined ? {} : { client }),
    ...(credentials.length === 0 ? {} : { credentials }),
    started: first.started,
    ...(live || ended.ended === undefined ? {} : { ended: ended.ended }),
    ...(live || ended.reason === undefined ? {} : { reason: ended.reason }),
    ...(heardOf === undefined ? {} : { heardOf }),
    strands: summaries.map((summary) => summary.strand),
    calls: methods['tools/call'] ?? 0,
    frames: sum((summary) => summary.frames),
    segments: sum((summary) => summary.segments),
    exchanges: sum((summary) => summary.exchanges),
    messages: sum((summary) => summary.messages),
    denied: sum((summary) => summary.denied),
    refused: sum((summary) => summary.refused),
    errors: sum((summary) => summary.errors),
    toolErrors: sum((summary) => summary.toolErrors),
    gaps: sum((summary) => summary.gaps),
    approvals: sum((summary) => summary.approvals ?? 0),
    masked: sum((summary) => summary.masked ?? 0),
    bytes: { request: sum((summary) => summary.bytes.request), released: sum((summary) => summary.bytes.released) },
    methods,
    tools: addUp(summaries.map((summary) => summary.tools)),
    problems: reports.flatMap((report) => report.problems),
  };
}

/** Names come from clients: `__proto__` is a method like any other. */
function addUp(counts: readonly Readonly<Record<string, number>>[]): Record<string, number> {
  const total = new Map<string, number>();
  for (const count of counts) {
    for (const [name, number] of Object.entries(count)) total.set(name, (total.get(name) ?? 0) + number);
  }
  return Object.fromEntries(total);
}

function matches(info: SessionInfo, filter: SessionFilter): boolean {
  if (filter.since !== undefined && Date.parse(info.started) < filter.since.getTime()) return false;
  if (filter.connection !== undefined && info.connection !== filter.connection) return false;
  if (filter.denied === true && info.denied === 0) return false;
  if (filter.live !== undefined && (info.state === 'live') !== filter.live) return false;
  const { credential } = filter;
  if (credential !== undefined && !info.credentials?.some((version) => version.startsWith(credential))) return false;
  if (filter.user === undefined) return true;
  const { email, subject } = info.principal ?? {};
  return subject === filter.user || email?.toLowerCase() === filter.user.toLowerCase();
}

function compare(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0;
}
