/** What the ledgers say is there: per strand its segments and its summary. It grows as checkpoints come. */
import type { Manifest, ObjectManifest, SegmentManifest, UnknownManifest } from '../ledger/manifest.ts';
import type { Store } from '../store/store.ts';
import { type Batch, createLedgerCursor, type LedgerCursor, listLedgers } from './read-ledger.ts';
import { readSegmentName, readSummaryName, type StrandName } from './read-name.ts';
import type { Problem } from './read-problem.ts';

type SummaryManifest = Extract<Manifest, { kind: 'summary' }>;

export interface IndexedStrand extends StrandName {
  readonly connection: string | undefined;
  /** In the order of their numbers where the ledger is sound; readers check. */
  readonly segments: readonly SegmentManifest[];
  readonly summary: SummaryManifest | undefined;
}

interface Growing extends StrandName {
  connection: string | undefined;
  segments: SegmentManifest[];
  summary: SummaryManifest | undefined;
}

export interface LedgerIndex {
  readonly strands: ReadonlyMap<string, IndexedStrand>;
  strandsOf(session: string): readonly IndexedStrand[];
  /** Time of a ledger's newest manifest; `undefined` where it has none, or is closed. */
  heardOf(ledger: string): string | undefined;
  /** Names that a manifest covers. */
  covers(object: string): boolean;
  /** Why an entry of this ledger can't be taken, after those that were added. */
  check(manifest: Manifest | UnknownManifest, ledger: string, entries: string): Problem | undefined;
  add(manifest: Manifest | UnknownManifest, ledger: string, entries: string): Problem | undefined;
}

function nameOf({ kind, object }: ObjectManifest): StrandName | undefined {
  return kind === 'segment' ? readSegmentName(object) : readSummaryName(object);
}

export function namedTwice(object: string, entries: string): Problem {
  return { code: 'manifest_twice', object: entries, words: `${object} has two manifests.` };
}

export function createIndex(): LedgerIndex {
  const strands = new Map<string, Growing>();
  const sessions = new Map<string, Growing[]>();
  const covered = new Set<string>();
  const heard = new Map<string, string>();
  const closed = new Set<string>();

  function hear(manifest: Manifest | UnknownManifest, ledger: string): void {
    if (manifest.kind === 'closed') closed.add(ledger);
    if (manifest.kind === 'unknown') return;
    const before = heard.get(ledger);
    if (before === undefined || manifest.at > before) heard.set(ledger, manifest.at);
  }

  function strandOf(name: StrandName): Growing {
    let strand = strands.get(name.strand);
    if (strand === undefined) {
      const { day, session, ledger } = name;
      strand = { day, session, ledger, strand: name.strand, connection: undefined, segments: [], summary: undefined };
      strands.set(name.strand, strand);
      const siblings = sessions.get(session);
      if (siblings === undefined) sessions.set(session, [strand]);
      else siblings.push(strand);
    }
    return strand;
  }

  function check(manifest: Manifest | UnknownManifest, ledger: string, entries: string): Problem | undefined {
    if (manifest.kind !== 'segment' && manifest.kind !== 'summary') return undefined;
    const name = nameOf(manifest);
    if (name === undefined || name.ledger !== ledger || name.session !== manifest.session) {
      const words = `A ${manifest.kind} manifest of ${ledger} names ${manifest.object}, which is not this ledger's.`;
      return { code: 'manifest_object', object: entries, words };
    }
    return covered.has(manifest.object) ? namedTwice(manifest.object, entries) : undefined;
  }

  return {
    strands,
    strandsOf: (session) => sessions.get(session) ?? [],
    heardOf: (ledger) => (closed.has(ledger) ? undefined : heard.get(ledger)),
    covers: (object) => covered.has(object),
    check,
    add(manifest, ledger, entries) {
      hear(manifest, ledger);
      const problem = check(manifest, ledger, entries);
      if (problem !== undefined) return problem;
      if (manifest.kind !== 'segment' && manifest.kind !== 'summary') return undefined;
      const name = nameOf(manifest);
      if (name === undefined) return undefined;
      covered.add(manifest.object);
      const strand = strandOf(name);
      if (manifest.kind === 'summary') {
        strand.summary = manifest;
        return undefined;
      }
      strand.segments.push(manifest);
      strand.connection ??= readSegmentName(manifest.object)?.connection;
      return undefined;
    },
  };
}

/**
 * An index of the whole store that a refresh brings up to the newest checkpoint of every ledger. With `uncovered` it goes
 * on to what stored entries name behind that, once: such a reader looks at a store that nobody writes any more.
 */
export function createStoreIndex(
  store: Store,
  { uncovered = false }: { uncovered?: boolean } = {},
): { index: LedgerIndex; refresh(): Promise<readonly Problem[]> } {
  const index = createIndex();
  const cursors = new Map<string, LedgerCursor>();
  const problems: Problem[] = [];

  const atEnd = new Set<string>();

  async function advance(cursor: LedgerCursor): Promise<void> {
    if (atEnd.has(cursor.ledger)) return;
    for (let batch = await cursor.next(); batch !== undefined; batch = await cursor.next()) add(cursor, batch);
    if (!uncovered) return;
    add(cursor, await cursor.rest());
    atEnd.add(cursor.ledger);
  }

  function add({ ledger }: LedgerCursor, batch: Pick<Batch, 'manifests' | 'problems'>): void {
    problems.push(...batch.problems);
    for (const { manifest, entries } of batch.manifests) {
      const problem = index.add(manifest, ledger, entries);
      if (problem !== undefined) problems.push(problem);
    }
  }

  let last: Promise<readonly Problem[]> = Promise.resolve(problems);
  return {
    index,
    refresh() {
      // One at a time: two readers of one cursor would each see half of it.
      last = last
        .catch(() => undefined)
        .then(async () => {
          for (const ledger of await listLedgers(store)) {
            if (!cursors.has(ledger)) cursors.set(ledger, createLedgerCursor(store, ledger));
          }
          await Promise.all([...cursors.values()].map(advance));
          return problems;
        });
      return last;
    },
  };
}
