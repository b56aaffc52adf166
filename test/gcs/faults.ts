import type { Operation } from './route.ts';

/**
 * What may go wrong, in the words of Google's own storage testbench where it has some. `persist-…` does the work before it
 * fails; all others fail without. A stall ends by doing the work.
 */
export type FaultName =
  | `return-${number}`
  | `return-${number}-after-${number}K`
  | 'reset-connection'
  | `reset-connection-after-${number}K`
  | `stall-for-${number}${'ms' | 's'}`
  | `persist-then-${number}`
  | 'persist-then-reset'
  | `persist-then-stall-for-${number}${'ms' | 's'}`
  /** The work is done, no answer comes and the connection stays open. */
  | 'silent-drop-of-response'
  /** Nothing is done, no answer comes and the connection stays open. */
  | 'silent-drop-of-request'
  /** Another writer creates the object just before this call. */
  | 'precondition-race'
  /** The same writer's earlier attempt arrives just before this call: same name, same bytes. */
  | 'duplicate-request'
  | 'clock-skew'
  /** Half of the body that the answer's length promises, then the connection's end. */
  | 'truncated-answer'
  /** A byte of the media is another one than the hash says. */
  | 'corrupt-media'
  /** A list with one name a page, as the real one may. */
  | 'short-page';

export interface FaultPlan {
  readonly fault: FaultName;
  /** Which calls; each that is said must fit. */
  readonly operation?: Operation | readonly Operation[];
  readonly bucket?: string;
  readonly prefix?: string;
  /** A regular expression on the object's name. */
  readonly name?: string;
  /** So many fitting calls pass before it strikes. */
  readonly after?: number;
  /** How often it strikes; without, until it is taken back. */
  readonly times?: number;
  /** Of the fitting calls, by a random sequence of this seed. */
  readonly probability?: number;
  readonly seed?: number;
  /** Seconds, for `return-429` and `return-503`. */
  readonly retryAfter?: number;
  /** Milliseconds, for `clock-skew`. */
  readonly skew?: number;
}

export type Fault =
  | {
      readonly kind: 'return';
      readonly status: number;
      readonly afterBytes: number | undefined;
      readonly retryAfter: number | undefined;
    }
  | { readonly kind: 'reset'; readonly afterBytes: number | undefined }
  | { readonly kind: 'stall'; readonly ms: number }
  | { readonly kind: 'persist-return'; readonly status: number; readonly retryAfter: number | undefined }
  | { readonly kind: 'persist-stall'; readonly ms: number }
  | { readonly kind: 'clock-skew'; readonly ms: number }
  | {
      readonly kind:
        | 'persist-reset'
        | 'drop-response'
        | 'drop-request'
        | 'race'
        | 'duplicate'
        | 'truncate'
        | 'corrupt'
        | 'short-page';
    };

export interface ActiveFault {
  /** Calls that it struck. */
  readonly hits: number;
  remove(): void;
}

export interface Faults {
  add(plan: FaultPlan): ActiveFault;
  /** All that strike this call; each counts its own. */
  strike(call: { operation: Operation; bucket: string; object: string }): readonly Fault[];
  clear(): void;
  list(): readonly { plan: FaultPlan; hits: number }[];
}

export function createFaults(): Faults {
  const active = new Set<{
    plan: FaultPlan;
    fault: Fault;
    fits: Fits;
    hits: number;
    seen: number;
    random: () => number;
  }>();
  return {
    add(plan) {
      const entry = {
        plan,
        fault: parseFault(plan),
        fits: fitsOf(plan),
        hits: 0,
        seen: 0,
        random: sequence(plan.seed ?? 1),
      };
      active.add(entry);
      return {
        get hits() {
          return entry.hits;
        },
        remove: () => void active.delete(entry),
      };
    },
    strike(call) {
      const struck: Fault[] = [];
      for (const entry of active) {
        if (!entry.fits(call) || entry.hits >= (entry.plan.times ?? Number.POSITIVE_INFINITY)) continue;
        if (entry.seen++ < (entry.plan.after ?? 0)) continue;
        if (entry.plan.probability !== undefined && entry.random() >= entry.plan.probability) continue;
        entry.hits++;
        struck.push(entry.fault);
      }
      return struck;
    },
    clear: () => active.clear(),
    list: () => [...active].map(({ plan, hits }) => ({ plan, hits })),
  };
}

type Fits = (call: { operation: Operation; bucket: string; object: string }) => boolean;

function fitsOf(plan: FaultPlan): Fits {
  const operations = plan.operation === undefined ? undefined : [plan.operation].flat();
  const name = plan.name === undefined ? undefined : new RegExp(plan.name);
  return (call) =>
    (operations === undefined || operations.includes(call.operation)) &&
    (plan.bucket === undefined || plan.bucket === call.bucket) &&
    (plan.prefix === undefined || call.object.startsWith(plan.prefix)) &&
    (name === undefined || name.test(call.object));
}

const PLAIN: Partial<Record<FaultName, Fault>> = {
  'persist-then-reset': { kind: 'persist-reset' },
  'silent-drop-of-response': { kind: 'drop-response' },
  'silent-drop-of-request': { kind: 'drop-request' },
  'precondition-race': { kind: 'race' },
  'duplicate-request': { kind: 'duplicate' },
  'truncated-answer': { kind: 'truncate' },
  'corrupt-media': { kind: 'corrupt' },
  'short-page': { kind: 'short-page' },
};

function parseFault({ fault, retryAfter, skew }: FaultPlan): Fault {
  const plain = PLAIN[fault];
  if (plain !== undefined) return plain;
  if (fault === 'clock-skew') return { kind: 'clock-skew', ms: skew ?? 3_600_000 };
  const [, verb, number, unit, kilobytes] =
    /^(return-|persist-then-(?!stall)|stall-for-|persist-then-stall-for-|reset-connection)(?:(\d+)(ms|s)?)?(?:-after-(\d+)K)?$/.exec(
      fault,
    ) ?? [];
  const afterBytes = kilobytes === undefined ? undefined : Number(kilobytes) * 1024;
  const ms = Number(number) * (unit === 's' ? 1000 : 1);
  if (verb === 'reset-connection' && number === undefined) return { kind: 'reset', afterBytes };
  if (number !== undefined && unit === undefined) {
    if (verb === 'return-') return { kind: 'return', status: Number(number), afterBytes, retryAfter };
    if (verb === 'persist-then-' && afterBytes === undefined)
      return { kind: 'persist-return', status: Number(number), retryAfter };
  } else if (number !== undefined && afterBytes === undefined) {
    if (verb === 'stall-for-') return { kind: 'stall', ms };
    if (verb === 'persist-then-stall-for-') return { kind: 'persist-stall', ms };
  }
  throw new Error(`There is no fault ${fault}.`);
}

/** Mulberry32: small, and the same on every machine. */
function sequence(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4_294_967_296;
  };
}
