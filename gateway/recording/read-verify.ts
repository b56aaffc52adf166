/**
 * Verifying a whole store: every ledger, every object that a ledger names, and that nothing lies there which none names.
 *
 * Names are listed before the ledgers are read: whatever was there then is either named by a ledger read later, or is
 * on its way to one (pending), or does not belong there.
 */
import { createHash } from 'node:crypto';
import { parseVerifierKey } from '../ledger/checkpoint.ts';
import type { ObjectManifest } from '../ledger/manifest.ts';
import type { Store } from '../store/store.ts';
import { readInOrder } from './read-ahead.ts';
import { createIndex } from './read-index.ts';
import { type OpenedLedger, readOpenedLedgers } from './read-keys.ts';
import type { Problem } from './read-problem.ts';
import { judgeUncovered } from './read-uncovered.ts';
import { type LedgerReport, verifyLedger } from './read-verify-ledger.ts';
import { verifyStrand } from './read-verify-strand.ts';

export interface VerifyOptions {
  /** Verifier keys (`name+hash+key`) to trust. None: those that the audit store names, trusted on first use. */
  readonly verifierKeys?: readonly string[];
  /** Where ledgers' openings were recorded. */
  readonly audit?: Store;
  readonly onProgress?: (done: number, total: number) => void;
  /** Now, milliseconds. */
  readonly now: number;
}

export interface Verification {
  readonly ok: boolean;
  /** `given`: by the caller. `first use`: read from the audit store, so whoever could write both could forge both. */
  readonly trust: 'given' | 'first use';
  readonly ledgers: readonly LedgerReport[];
  readonly checkpoints: number;
  readonly leaves: number;
  readonly segments: number;
  readonly frames: number;
  /** Objects stored that no checkpoint covers yet: not wrong, not yet evidence. */
  readonly pending: number;
  readonly problems: readonly Problem[];
}

/** What is opened and has no checkpoint after this time has lost it; longer than anything may stay unsealed. */
const OPENED_WITHOUT_CHECKPOINT_MS = 15 * 60 * 1000;

/** Throws `VerificationError` `key_malformed` for a given key that is none; what is wrong in the store is in the result. */
export async function verifyStore(store: Store, options: VerifyOptions): Promise<Verification> {
  const given = options.verifierKeys ?? [];
  for (const key of given) parseVerifierKey(key);
  const opened =
    options.audit === undefined
      ? { ledgers: new Map<string, OpenedLedger>(), problems: [] }
      : await readOpenedLedgers(options.audit);
  const listed = await listAll(store);
  const index = createIndex();
  const problems: Problem[] = [...opened.problems];

  const ledgers: LedgerReport[] = [];
  const waiting = new Map<string, ObjectManifest>();
  const closed = new Set<string>();
  const newest = new Map<string, string | undefined>();
  for (const [ledger, objects] of byLedger(listed.ledger)) {
    const keys = { given, audit: opened.ledgers.get(ledger)?.verifierKey };
    const verified = await verifyLedger(store, ledger, { keys, index, objects });
    ledgers.push(verified.report);
    problems.push(...verified.problems);
    newest.set(ledger, verified.report.newest);
    if (verified.report.closed !== undefined) closed.add(ledger);
    for (const [object, manifest] of verified.pending) waiting.set(object, manifest);
  }
  problems.push(...lostLedgers(opened.ledgers.values(), ledgers, options.now));

  const strands = await verifyStrands(store, index.strands.values(), options.onProgress);
  problems.push(...strands.problems);

  const uncovered = [...listed.recordings, ...listed.sessions].filter((object) => !index.covers(object));
  const judged = await judgeUncovered(store, uncovered, { index, waiting, newest, closed });
  problems.push(...judged.problems);
  problems.push(...(await verifyDigests(store, strands.digests, listed.digests)));
  if (ledgers.length === 0 && opened.ledgers.size === 0) {
    problems.push({
      code: 'ledger_missing',
      object: store.url,
      words: 'There is no ledger here, so nothing is proved. Is this the store?',
    });
  }
  const broken = new Set(problems.map(({ object }) => object));
  return {
    ok: problems.length === 0,
    trust: given.length > 0 ? 'given' : 'first use',
    ledgers: ledgers.map((report) => ({
      ...report,
      ok: report.ok && ![...broken].some((object) => object.includes(`.${report.ledger}.`)),
    })),
    checkpoints: ledgers.reduce((sum, report) => sum + report.checkpoints, 0),
    leaves: ledgers.reduce((sum, report) => sum + report.leaves, 0),
    segments: strands.segments,
    frames: strands.frames,
    pending: judged.pending.length,
    problems,
  };
}

async function listAll(store: Store) {
  const list = async (prefix: string): Promise<string[]> => {
    const names: string[] = [];
    for await (const name of store.list(prefix)) names.push(name);
    return names;
  };
  return {
    recordings: await list('recordings/'),
    sessions: await list('sessions/'),
    digests: [...(await list('configurations/')), ...(await list('policies/'))],
    ledger: await list('ledger/'),
  };
}

function byLedger(objects: readonly string[]): Map<string, string[]> {
  const ledgers = new Map<string, string[]>();
  for (const object of objects) {
    const ledger = object.split('/')[1] ?? '';
    const there = ledgers.get(ledger);
    if (there === undefined) ledgers.set(ledger, [object]);
    else there.push(object);
  }
  return ledgers;
}

/** A ledger that was opened and is nowhere: all that it held is gone, and only the audit store remembers. */
function lostLedgers(opened: Iterable<OpenedLedger>, ledgers: readonly LedgerReport[], now: number): Problem[] {
  const there = new Set(ledgers.filter((report) => report.checkpoints > 0).map((report) => report.ledger));
  return [...opened]
    .filter(({ ledger, at }) => !there.has(ledger) && !(now - Date.parse(at) < OPENED_WITHOUT_CHECKPOINT_MS))
    .map(({ ledger, at }) => ({
      code: 'ledger_missing',
      object: `ledger/${ledger}/`,
      words: `It was opened at ${at} and the store has no checkpoint of it.`,
    }));
}

async function verifyStrands(
  store: Store,
  strands: Iterable<Parameters<typeof verifyStrand>[1]>,
  onProgress: VerifyOptions['onProgress'],
) {
  const all = [...strands];
  const total = all.reduce((sum, strand) => sum + strand.segments.length, 0);
  const problems: Problem[] = [];
  const digests = new Map<string, string>();
  let done = 0;
  let frames = 0;
  onProgress?.(0, total);
  for (const strand of all) {
    const verified = await verifyStrand(store, strand, () => onProgress?.(++done, total));
    frames += verified.frames;
    problems.push(...verified.problems);
    for (const { object, namedBy } of verified.digests) if (!digests.has(object)) digests.set(object, namedBy);
  }
  return { segments: total, frames, problems, digests };
}

/** What was in force: each object that a recording names is there, and each that is there is what its name says. */
async function verifyDigests(
  store: Store,
  named: ReadonlyMap<string, string>,
  listed: readonly string[],
): Promise<Problem[]> {
  const problems: Problem[] = [];
  const read = async (object: string) => ({ object, bytes: await store.get(object) });
  for await (const { object, bytes } of readInOrder(new Set([...named.keys(), ...listed]), read)) {
    const digest = /\/([0-9a-f]{64})\.json$/.exec(object)?.[1];
    if (bytes === undefined) {
      problems.push({
        code: 'digest_missing',
        object,
        words: `It is not in the store, and ${named.get(object)} names it.`,
      });
    } else if (createHash('sha256').update(bytes).digest('hex') !== digest) {
      problems.push({ code: 'digest_mismatch', object, words: 'Its bytes do not hash to its name.' });
    }
  }
  return problems;
}
