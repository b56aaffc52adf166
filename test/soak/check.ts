/** What is recorded, held against what the clients were told and what reached the upstream. */
import { hash } from 'node:crypto';
import {
  createExchangeGrouping,
  type Exchange,
  releasedBytes,
  requestBytes,
} from '../../gateway/recording/exchange.ts';
import type { Recordings } from '../../gateway/recording/read.ts';
import { keyOf } from './call-key.ts';
import { checkGaps, type StrandLife } from './gaps.ts';
import type { Joined, Told } from './joined.ts';

export interface Checked {
  /** Answers without a failure in them that clients have whole. */
  acknowledged: number;
  /** Whole answers, or the beginnings of broken ones, that clients have and that are not recorded byte for byte. */
  lost: number;
  /** Calls that reached the upstream, whole or in part. */
  forwarded: number;
  /** Of these, those that are not recorded byte for byte. */
  unrecorded: number;
  /** Answers that say what is not so: `not_forwarded` of what was, another fate than the recorded one. */
  untrue: number;
  cut: number;
  not_forwarded: number;
  outcome_withheld: number;
  /** Exchanges that a recovery ended. */
  unknown: number;
  exchanges: number;
  frames: number;
  gaps: number;
  /** Everything that is wrong, the first of it in words. */
  wrong: number;
  readonly problems: string[];
}

const MOST_PROBLEMS = 20;

export async function check(recordings: Recordings, joined: Joined, killed: readonly number[]): Promise<Checked> {
  const counts: Checked = {
    acknowledged: 0,
    lost: 0,
    forwarded: 0,
    unrecorded: 0,
    untrue: 0,
    cut: 0,
    not_forwarded: 0,
    outcome_withheld: 0,
    unknown: 0,
    exchanges: 0,
    frames: 0,
    gaps: 0,
    wrong: 0,
    problems: [],
  };
  const wrong = (words: string): void => {
    counts.wrong++;
    if (counts.problems.length < MOST_PROBLEMS) counts.problems.push(words);
  };
  const judge = createJudge(joined, counts, wrong);
  for await (const { session } of recordings.sessions()) {
    const life = await readStrand(recordings, session, counts, judge.recorded, wrong);
    for (const words of checkGaps(life, killed)) wrong(words);
  }
  judge.finish();
  return counts;
}

async function readStrand(
  recordings: Recordings,
  session: string,
  counts: Checked,
  take: (exchange: Exchange) => void,
  wrong: (words: string) => void,
): Promise<StrandLife> {
  const grouping = createExchangeGrouping();
  const gaps: { from: number; to: number }[] = [];
  let began = Number.NaN;
  let ended = Number.POSITIVE_INFINITY;
  for await (const item of recordings.frames(session)) {
    if (item.kind !== 'frame') {
      wrong(item.kind === 'problem' ? `${item.problem.code} ${item.problem.object}` : `unknown type ${item.type}`);
      continue;
    }
    const { frame } = item;
    counts.frames++;
    if (frame.type === 'session.start') began = Date.parse(frame.at);
    if (frame.type === 'strand.end') ended = Date.parse(frame.at);
    if (frame.type === 'gap') gaps.push({ from: Date.parse(frame.gap.from), to: Date.parse(frame.gap.to) });
    const whole = grouping.add(frame);
    if (whole !== undefined) take(whole);
  }
  for (const { id } of grouping.rest()) wrong(`Exchange ${id} of ${session} has no end.`);
  counts.gaps += gaps.length;
  return { session, began, ended, gaps };
}

/** Judges each recorded exchange as it comes, and at the end what is not recorded. */
function createJudge(joined: Joined, counts: Checked, wrong: (words: string) => void) {
  const seen = new Uint8Array(joined.size);
  const lost = (words: string): void => {
    counts.lost++;
    wrong(words);
  };
  const unrecorded = (words: string): void => {
    counts.unrecorded++;
    wrong(words);
  };
  const untrue = (words: string): void => {
    counts.untrue++;
    wrong(words);
  };

  function recorded(exchange: Exchange): void {
    counts.exchanges++;
    const request = requestBytes(exchange);
    const key = keyOf(request);
    if (key === undefined || key >= joined.size) {
      wrong(`Exchange ${exchange.id} is nobody's.`);
      return;
    }
    if (seen[key] === 1) {
      wrong(`${shown(key)} is recorded twice.`);
      return;
    }
    seen[key] = 1;
    const { outcome } = exchange.end ?? {};
    if (outcome?.result === 'unknown') {
      counts.unknown++;
      if (outcome.fate !== 'outcome_withheld') untrue(`${shown(key)} is unknown and recorded as ${outcome.fate}.`);
    }
    const reached = joined.reached(key);
    if (reached !== undefined) {
      const length = reached.whole ? request.length : reached.length;
      if (reached.length !== length || !hashes(request.subarray(0, length), reached.hash))
        unrecorded(`${shown(key)} reached the upstream with other bytes than are recorded.`);
    }
    const told = joined.told(key);
    if (told === undefined) {
      wrong(`${shown(key)} is recorded and no client sent it.`);
      return;
    }
    if (!hashes(request, told.sent)) lost(`${shown(key)} was sent with other bytes than are recorded.`);
    const released = releasedBytes(exchange);
    // Of a response that was cut the recording may have more: it was recorded before it went out.
    const length = told.state === 'whole' ? released.length : told.length;
    if (told.length !== length || !hashes(released.subarray(0, length), told.received))
      lost(`${shown(key)} was answered with other bytes than are recorded.`);
    if (told.state === 'whole' && outcome?.fate !== told.fate)
      untrue(`${shown(key)} was told ${told.fate}; recorded is ${outcome?.fate}.`);
    if (told.state === 'whole' && told.fate === undefined && outcome?.result !== 'complete')
      untrue(`${shown(key)} was answered; recorded is ${outcome?.result}.`);
  }

  function count(told: Told): void {
    if (told.state === 'cut') counts.cut++;
    else counts[told.fate ?? 'acknowledged']++;
  }

  function finish(): void {
    for (const key of joined.twice) wrong(`${shown(key)} reached the upstream twice.`);
    for (let key = 0; key < joined.size; key++) {
      const told = joined.told(key);
      const reached = joined.reached(key);
      if (told !== undefined) count(told);
      if (reached !== undefined) {
        counts.forwarded++;
        if (seen[key] === 0) unrecorded(`${shown(key)} reached the upstream and is not recorded.`);
      }
      if (told === undefined) continue;
      const isRefused = told.fate === 'not_forwarded';
      if (isRefused && reached !== undefined) untrue(`${shown(key)} was told not to be forwarded.`);
      if (told.state === 'whole' && told.fate === undefined && reached?.whole !== true)
        untrue(`${shown(key)} was answered ${told.status} and did not reach the upstream.`);
      // A refusal may be told without a record: what it says is all that has happened.
      const hasSomething = told.state === 'whole' ? !isRefused : told.length > 0;
      if (seen[key] === 0 && hasSomething) lost(`${shown(key)} was answered ${told.status} and is not recorded.`);
    }
  }

  return { recorded, finish };
}

function hashes(bytes: Buffer, expected: Buffer): boolean {
  return hash('sha256', bytes, 'buffer').equals(expected);
}

function shown(key: number): string {
  return key % 2 === 0 ? `Call ${key / 2}` : `The answer s${(key - 1) / 2}`;
}
