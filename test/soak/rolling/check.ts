/** What the clients of a rolling update know, held against what is recorded. */
import {
  createExchangeGrouping,
  type Exchange,
  releasedBytes,
  requestBytes,
} from '../../../gateway/recording/exchange.ts';
import { openRecordings } from '../../../gateway/recording/read.ts';
import { openStore } from '../../../gateway/store/open.ts';
import type { Known } from './ledger.ts';

export interface Checked {
  /** Acknowledged, and not recorded byte for byte. */
  readonly lost: number;
  readonly forwarded: number;
  /** Reached the upstream, and not recorded. */
  readonly unrecorded: number;
  readonly sessions: number;
  /** Sessions whose recording has strands of several ledgers. */
  readonly merged: number;
  readonly gaps: number;
  /** Of the sessions with a gap, those that went on elsewhere. */
  readonly continued: number;
  readonly verified: boolean;
  readonly problems: readonly string[];
}

const MOST_PROBLEMS = 20;

export async function checkRecorded(
  storeUrl: string,
  keys: Iterable<string>,
  known: readonly Known[],
  reached: readonly string[],
): Promise<Checked> {
  const recordings = openRecordings(openStore(storeUrl));
  const problems: string[] = [];
  const problem = (words: string): void => {
    if (problems.length < MOST_PROBLEMS) problems.push(words);
  };
  const exchanges = new Map<string, Exchange[]>();
  const counts = { sessions: 0, merged: 0, gaps: 0, continued: 0 };
  for await (const { session } of recordings.sessions()) {
    const grouping = createExchangeGrouping();
    const strands = new Set<string>();
    let gaps = 0;
    for await (const item of recordings.frames(session)) {
      if (item.kind !== 'frame') {
        problem(`${session}: ${JSON.stringify(item)}`);
        continue;
      }
      strands.add(item.frame.strand);
      if (item.frame.type === 'gap') gaps++;
      const exchange = grouping.add(item.frame);
      if (exchange !== undefined) keep(exchanges, exchange);
    }
    for (const open of grouping.rest()) problem(`${open.id} has no end`);
    counts.sessions++;
    counts.gaps += gaps;
    if (strands.size > 1) counts.merged++;
    if (gaps > 0 && strands.size > 1) counts.continued++;
  }
  let lost = 0;
  for (const { mark, received, state } of known) {
    const [exchange, another] = exchanges.get(mark) ?? [];
    const released = exchange === undefined ? Buffer.alloc(0) : releasedBytes(exchange);
    const holds =
      another === undefined &&
      (state === 'whole'
        ? exchange !== undefined && released.equals(received)
        : released.subarray(0, received.length).equals(received));
    if (holds) continue;
    lost++;
    problem(`${mark.slice(0, 100)}: ${state}, ${received.length} bytes came, ${released.length} are recorded`);
  }
  const unrecorded = reached.filter((body) => (exchanges.get(body) ?? []).length === 0);
  for (const body of unrecorded) problem(`it reached the upstream: ${body.slice(0, 100)}`);
  const proof = await recordings.verifyAll({ verifierKeys: [...keys], now: Date.now() });
  for (const one of proof.problems) problem(`verify: ${one.code} ${one.object}`);
  return {
    ...counts,
    lost,
    forwarded: reached.length,
    unrecorded: unrecorded.length,
    verified: proof.problems.length === 0,
    problems,
  };
}

/** By the mark in its head, or by its body. */
function keep(exchanges: Map<string, Exchange[]>, exchange: Exchange): void {
  const header = exchange.request?.headers.find(({ name }) => name.toLowerCase() === 'x-soak');
  const mark = header !== undefined && 'value' in header ? header.value : undefined;
  const key = mark ?? requestBytes(exchange).toString();
  exchanges.set(key, [...(exchanges.get(key) ?? []), exchange]);
  // What is marked reached the upstream as its body says.
  if (mark !== undefined) exchanges.set(requestBytes(exchange).toString(), [exchange]);
}
