/** Verifying one ledger: numbers without holes, entries, tree, signatures, heartbeats. What its manifests name comes after. */
import { keyNameOf, openCheckpoint, parseVerifierKey } from '../ledger/checkpoint.ts';
import type { ObjectManifest } from '../ledger/manifest.ts';
import { checkpointName } from '../ledger/names.ts';
import { createLedgerVerifier, type LedgerVerifier } from '../ledger/verify.ts';
import type { Store } from '../store/store.ts';
import { type LedgerIndex, namedTwice } from './read-index.ts';
import { type Batch, createLedgerCursor } from './read-ledger.ts';
import { type Problem, problemOf } from './read-problem.ts';

export interface LedgerReport {
  readonly ledger: string;
  readonly ok: boolean;
  /** The key on which the trust in it rests, and who gave it. Absent where none is known. */
  readonly key?: { readonly verifierKey: string; readonly from: 'given' | 'audit' };
  /** Every key that signed, and the number of the first checkpoint that it did. */
  readonly keys: readonly { readonly verifierKey: string; readonly checkpoint: number }[];
  readonly checkpoints: number;
  readonly leaves: number;
  readonly heartbeats: number;
  /** Gaps that the gateway itself recorded. */
  readonly gaps: number;
  /** Root of the newest checkpoint that holds, base64. */
  readonly root?: string;
  /** Time of the newest manifest under a checkpoint. */
  readonly newest?: string;
  /** When its disk was retired: the ledger ends there. Absent where it goes on, or its disk is lost. */
  readonly closed?: string;
  /** Manifests stored that no checkpoint covers yet. */
  readonly pending: number;
}

export interface VerifiedLedger {
  readonly report: LedgerReport;
  readonly problems: readonly Problem[];
  /** Stored and not yet evidence: what the newest entries name, by object. */
  readonly pending: ReadonlyMap<string, ObjectManifest>;
}

export interface LedgerKeys {
  readonly given: readonly string[];
  readonly audit: string | undefined;
}

/** `objects` are the names below `ledger/<ledger>/` as listed before anything was read. */
export async function verifyLedger(
  store: Store,
  ledger: string,
  deps: { keys: LedgerKeys; index: LedgerIndex; objects: readonly string[] },
): Promise<VerifiedLedger> {
  const problems: Problem[] = [];
  const cursor = createLedgerCursor(store, ledger);
  const counts = { checkpoints: 0, leaves: 0, heartbeats: 0, gaps: 0 };
  let newest: string | undefined;
  let closed: string | undefined;
  let root: string | undefined;
  let key: LedgerReport['key'];
  let verifier: LedgerVerifier | undefined;
  const signed: { verifierKey: string; checkpoint: number }[] = [];
  const own = deps.keys.given.filter((given) => parseVerifierKey(given).name === keyNameOf(ledger));

  const take = (batch: Batch): void => {
    counts.checkpoints++;
    problems.push(...batch.problems);
    for (const { manifest, entries } of batch.manifests) {
      if (closed !== undefined) problems.push(afterClosed(entries, closed));
      if (manifest.kind === 'closed') closed = manifest.at;
      counts.leaves++;
      if (manifest.kind === 'heartbeat') counts.heartbeats++;
      if (manifest.kind === 'gap') counts.gaps++;
      if (manifest.kind !== 'unknown' && (newest === undefined || manifest.at > newest)) newest = manifest.at;
      const problem = deps.index.add(manifest, ledger, entries);
      if (problem !== undefined) problems.push(problem);
    }
    if (batch.checkpoint === 0) {
      key = chooseKey(batch.note, { ...deps.keys, own });
      if (key === undefined) problems.push(keyUnknown(ledger));
    }
    try {
      if (batch.checkpoint === 0 && key !== undefined) {
        verifier = createLedgerVerifier({ ledger, verifierKey: key.verifierKey });
      }
      if (verifier === undefined) return;
      for (const { number, bytes } of batch.entries) verifier.entries(number, bytes);
      const { verifierKey } = verifier;
      root = verifier.checkpoint(batch.checkpoint, batch.note).root.toString('base64');
      if (signed.at(-1)?.verifierKey !== verifierKey) signed.push({ verifierKey, checkpoint: batch.checkpoint });
    } catch (error) {
      // What follows would fail for the same reason: the first object that does not hold is the one to look at. What
      // reading has said of this batch already is not said twice.
      const problem = problemOf(error);
      if (!batch.problems.some(({ code }) => code === problem.code)) problems.push(problem);
      verifier = undefined;
    }
  };
  for (let batch = await cursor.next(); batch !== undefined; batch = await cursor.next()) take(batch);

  if (key !== undefined && deps.keys.given.length > 0) {
    if (key.from !== 'given') key = vouched(signed, own);
    // A key that was taken out of use, and is known to somebody, can fork the ledger from where it signed last. Whoever
    // gives the one that came after as well has to be told that it never signed here.
    const foreign = own.some((given) => !signed.some(({ verifierKey }) => verifierKey === given));
    if (verifier !== undefined && (key === undefined || foreign)) problems.push(keyForeign(ledger, foreign));
  }

  const rest = await cursor.rest();
  const known = deps.keys.audit !== undefined || own.length > 0;
  if (counts.checkpoints === 0 && rest.entries.length > 0 && !known) problems.push(ledgerUnknown(ledger));
  const pending = new Map<string, ObjectManifest>();
  let end = closed;
  for (const { manifest, entries } of rest.manifests) {
    if (end !== undefined) problems.push(afterClosed(entries, end));
    if (manifest.kind === 'closed') end = manifest.at;
    const problem = deps.index.check(manifest, ledger, entries);
    if (problem !== undefined) problems.push(problem);
    else if (manifest.kind === 'segment' || manifest.kind === 'summary') {
      if (pending.has(manifest.object)) problems.push(namedTwice(manifest.object, entries));
      else pending.set(manifest.object, manifest);
    }
  }
  problems.push(...rest.problems, ...strays(ledger, deps.objects, cursor.position));
  return {
    report: {
      ledger,
      ok: problems.length === 0,
      ...(key === undefined ? {} : { key }),
      keys: signed,
      ...counts,
      ...(root === undefined ? {} : { root }),
      ...(newest === undefined ? {} : { newest }),
      ...(closed === undefined ? {} : { closed }),
      pending: rest.manifests.length,
    },
    problems,
    pending,
  };
}

/**
 * The key to begin with. Somebody who kept only a later one gives that: the audit store's is where it begins then, and
 * the one given has to turn up among those that signed. `own` are the given ones that are named for this ledger: a key of
 * another one proves nothing here.
 */
function chooseKey(
  note: Uint8Array,
  { given, own, audit }: LedgerKeys & { own: readonly string[] },
): LedgerReport['key'] {
  const text = Buffer.from(note).toString('utf8');
  const fits = (verifierKey: string): boolean => {
    try {
      openCheckpoint(text, verifierKey);
      return true;
    } catch {
      return false;
    }
  };
  if (given.length === 0) return audit === undefined ? undefined : { verifierKey: audit, from: 'audit' };
  const fitting = own.find(fits);
  if (fitting === undefined && audit !== undefined && fits(audit)) return { verifierKey: audit, from: 'audit' };
  // None fits: the first one names the failure.
  const verifierKey = fitting ?? own[0];
  return verifierKey === undefined ? undefined : { verifierKey, from: 'given' };
}

/** A later key's checkpoint is over the whole tree, so whoever trusts it needs no other for what came before. */
function vouched(signed: LedgerReport['keys'], own: readonly string[]): LedgerReport['key'] {
  const found = signed.find(({ verifierKey }) => own.includes(verifierKey));
  return found === undefined ? undefined : { verifierKey: found.verifierKey, from: 'given' };
}

function keyForeign(ledger: string, foreign: boolean): Problem {
  const words = foreign
    ? 'A key that was given for this ledger has signed no checkpoint of it.'
    : 'No checkpoint of this ledger is signed by a key that was given.';
  return { code: 'checkpoint_signature', object: checkpointName(ledger, 0), words };
}

function afterClosed(object: string, closed: string): Problem {
  return { code: 'ledger_closed', object, words: `The ledger was closed at ${closed}, and this comes after it.` };
}

function keyUnknown(ledger: string): Problem {
  return {
    code: 'key_unknown',
    object: checkpointName(ledger, 0),
    words: 'No verifier key is known for this ledger, so its signatures prove nothing. Give one with --key.',
  };
}

/** Entries alone are signed by nobody. A ledger whose first checkpoint is on its way was opened in the audit store before. */
function ledgerUnknown(ledger: string): Problem {
  return {
    code: 'key_unknown',
    object: checkpointName(ledger, 0),
    words: 'It has entries and no checkpoint, and neither the audit store nor a given key knows of this ledger.',
  };
}

/** Objects behind a hole in the numbers, and names that no ledger has. */
function strays(
  ledger: string,
  objects: readonly string[],
  position: { readonly checkpoint: number; readonly entries: number },
): Problem[] {
  const problems: Problem[] = [];
  for (const object of objects) {
    const [, kind, digits] =
      /^(checkpoint|entries)\/(\d{10})(?:\.ndjson)?$/.exec(object.slice(`ledger/${ledger}/`.length)) ?? [];
    const next = kind === 'checkpoint' ? position.checkpoint : position.entries;
    const named = kind === 'checkpoint' ? !object.endsWith('.ndjson') : object.endsWith('.ndjson');
    if (kind === undefined || !named) {
      problems.push({ code: 'uncovered', object, words: 'A ledger has no object of this name.' });
    } else if (Number(digits) >= next) {
      problems.push({ code: `${kind}_gap`, object, words: `Number ${next} is missing before it.` });
    }
  }
  return problems;
}
