/** What is wrong with a load run, in words, and its figures. */
import { medianOf, slopeOf } from './flatness.ts';
import type { AttackReport, Held, LoadReport, SteadyReport } from './run.ts';

const MB = 1e6;
/** Milliseconds: of the event loop's delay, 99 of 100 turns. */
const LOOP_P99_MS = 50;
/** Milliseconds that an honest call may take while others attack. */
const SLOWEST_CALL_MS = 10_000;
/** Of the resident memory, over the time that is judged: allocators and collections move that much. */
const GROWTH_SHARE = 0.03;
const GROWTH_LEAST = 16 * MB;
/** Of the heap of an idle gateway, after all that has been: code that was compiled meanwhile. */
const HEAP_MORE = 16 * MB;

export interface Verdict {
  readonly problems: readonly string[];
  readonly figures: Readonly<Record<string, unknown>>;
}

/** `timed`: also what depends on how fast the machine is and what else it does. */
export function verdictOf(report: LoadReport, { timed }: { timed: boolean }): Verdict {
  const [before, ...afterwards] = report.idle;
  const problems = [
    ...steadyProblems(report.steady, report.order.idle, timed),
    ...afterwards.flatMap((held) => leftBehind(held, before).map((words) => `Idle again: ${words}`)),
    ...report.attacks.flatMap((attack) =>
      attackProblems(attack, before, timed).map((words) => `${attack.kind}: ${words}`),
    ),
    ...Object.entries(report.errors).map(
      ([event, count]) => `The gateway logged ${event} as an error, ${count} times.`,
    ),
    ...(report.stop.code === 0 ? [] : [`The gateway stopped with ${report.stop.code ?? 'a signal'}.`]),
  ];
  return { problems, figures: figuresOf(report, problems) };
}

function steadyProblems(steady: SteadyReport, idle: number, timed: boolean): string[] {
  const problems: string[] = [];
  if (steady.opened !== idle) problems.push(`${steady.opened} of ${idle} streams were opened.`);
  if (steady.broken > 0) problems.push(`${steady.broken} streams ended by themselves.`);
  if (steady.deaf > 0) problems.push(`${steady.deaf} streams did not hear the last event.`);
  problems.push(...callProblems(steady.calls));
  if (!timed) return problems;
  if (steady.delay.p99 >= LOOP_P99_MS) problems.push(`The event loop's delay was ${steady.delay.p99} ms at p99.`);
  const grown = growthOf(steady);
  const allowed = Math.max(GROWTH_LEAST, GROWTH_SHARE * medianOf(steady.resident.map(({ value }) => value)));
  if (grown > allowed) problems.push(`Memory grew by ${megabytes(grown)} MB, more than ${megabytes(allowed)} MB.`);
  const heap = steady.heap.last - steady.heap.first;
  if (heap > HEAP_MORE) problems.push(`The heap grew by ${megabytes(heap)} MB under a steady load.`);
  return problems;
}

/** Bytes that the resident memory would have grown by, had it grown all the time as it did at the median. */
function growthOf({ resident }: SteadyReport): number {
  const [first, last] = [resident.at(0), resident.at(-1)];
  return first === undefined || last === undefined ? 0 : slopeOf(resident) * (last.at - first.at);
}

function callProblems(lap: { calls: number; failed: number; errors: readonly string[] }): string[] {
  if (lap.failed > 0) return [`${lap.failed} of ${lap.calls} calls failed: ${lap.errors[0]}`];
  return lap.calls === 0 ? ['No call was answered.'] : [];
}

function attackProblems({ during, left }: AttackReport, idle: Held, timed: boolean): string[] {
  const slow = timed && during.max > SLOWEST_CALL_MS ? [`A call of somebody else took ${during.max} ms.`] : [];
  return [...callProblems(during), ...slow, ...leftBehind(left, idle)];
}

/** What is still held once nobody calls any more. */
function leftBehind(held: Held, idle: Held): string[] {
  const problems: string[] = [];
  for (const kind of ['sessions', 'strands', 'calls', 'descriptors'] as const) {
    if (held[kind] > idle[kind]) problems.push(`${held[kind]} ${kind} are left, ${idle[kind]} at first.`);
  }
  if (held.heap > idle.heap + HEAP_MORE) {
    problems.push(`The heap is ${megabytes(held.heap)} MB, ${megabytes(idle.heap)} MB at first.`);
  }
  return problems;
}

function figuresOf({ order, idle, steady, attacks, stop }: LoadReport, problems: readonly string[]) {
  const { calls, delay, work, resident, heap } = steady;
  return {
    minutes: round(order.seconds / 60, 2),
    idle: steady.opened,
    busy: order.busy,
    calls: calls.calls,
    perSecond: round(calls.calls / calls.seconds, 0),
    failed: calls.failed,
    p50: calls.p50,
    p99: calls.p99,
    loop: delay,
    work,
    cpu: round(steady.cpu, 2),
    resident: {
      first: megabytes(resident.at(0)?.value ?? 0),
      last: megabytes(resident.at(-1)?.value ?? 0),
      grown: megabytes(growthOf(steady)),
    },
    heap: { first: megabytes(heap.first), last: megabytes(heap.last) },
    journal: megabytes(steady.journal.most),
    descriptors: idle.map(({ descriptors }) => descriptors),
    idleHeap: idle.map((held) => megabytes(held.heap)),
    attacks: attacks.map(({ kind, sockets, before, during, counts, resident: bytes }) => ({
      kind,
      sockets,
      closed: counts.closed,
      answers: counts.answers,
      before: { perSecond: round(before.calls / before.seconds, 0), p99: before.p99 },
      during: { perSecond: round(during.calls / during.seconds, 0), p99: during.p99, max: during.max },
      failed: during.failed,
      resident: megabytes(bytes),
    })),
    stop: round(stop.seconds, 2),
    problems,
  };
}

export function megabytes(bytes: number): number {
  return round(bytes / MB, 1);
}

function round(value: number, digits: number): number {
  return Math.round(value * 10 ** digits) / 10 ** digits;
}
