/**
 * What the disk still has for the journal, and what that means for calls: the marks (recording/watermark.ts), the quotas
 * (recording/quota.ts) and the reserved bytes (recording/reserve.ts), composed. It looks at the disk again and again,
 * since others fill it too, and at the journal with each commit, so that calls come back by themselves.
 */
import { statfs } from 'node:fs/promises';
import type { Config, Durability } from './config.ts';
import { GatewayError } from './errors.ts';
import type { Log } from './log.ts';
import type { Journal } from './recording/journal.ts';
import { type JournalSizes, journalSizes } from './recording/journal-sizes.ts';
import { overQuota } from './recording/quota.ts';
import type { RecorderPressure } from './recording/recorder.ts';
import { isNoSpace, openReserve } from './recording/reserve.ts';
import { createUnsealed, type Holder, KINDS, type Kind } from './recording/unsealed.ts';
import { capacityOf, type Fill, isAtLeast, MARKS, type Mark, markOf } from './recording/watermark.ts';
import { repeat } from './repeat.ts';

/** A call's holder: each kind is known. */
export type CallHolder = Required<Holder>;

export interface Pressure {
  readonly forRecorder: RecorderPressure;
  readonly sizes: JournalSizes;
  readonly mark: Mark;
  /** 0 to 4, for a metric. */
  level(): number;
  /** Bytes that the journal may hold as its disk is now; that the disk has left; that should be reserved and are not. */
  capacity(): number;
  free(): number;
  missing(): number;
  /** Nothing may be promised any more to anybody. */
  isFull(): boolean;
  /** Why no session may begin now. */
  refusesSession(durability: Durability): GatewayError | undefined;
  /** Why this holder's call is refused, though others' may pass. */
  refusesCall(holder: CallHolder, durability: Durability): GatewayError | undefined;
  /** Why what the upstream still answers ends now, with so many bytes. */
  refusesAnswer(holder: CallHolder, durability: Durability, bytes: number): GatewayError | undefined;
  /** Begins to look; `announce` records a crossing. */
  watch(journal: Watched, announce: (details: Record<string, unknown>) => Promise<void>): void;
  stop(): Promise<void>;
}

type Watched = Pick<Journal, 'bytes' | 'failed' | 'onCommit'>;

interface DiskSpace {
  /** Bytes that are left, for who is not root, and bytes in all. */
  readonly free: number;
  readonly total: number;
}

export interface PressureDeps {
  /** The disk's folder. */
  readonly path: string;
  readonly log: Log;
  config(): Config;
  /** Told of each refusal, by what it is for. */
  refused(by: Kind | 'sessions' | 'answers'): void;
  /** For tests: what the disk has; how often it is looked at, milliseconds. */
  readonly space?: (path: string) => Promise<DiskSpace>;
  readonly every?: number;
}

/** An answer up to this is always taken: its call was made, and withholding it would cost more than it takes. */
const SMALL_ANSWER = 64 * 1024;
/** A disk that others fill can go from one mark to the next in a second. The first look takes the reserve. */
const LOOK_MS = 250;

export async function openPressure(deps: PressureDeps): Promise<Pressure> {
  const { path, log, config, refused, space = spaceOf, every = LOOK_MS } = deps;
  const unsealed = createUnsealed();
  const limit = (): number => config().journal.limit;
  let disk = await space(path);
  const sizes = journalSizes(limit(), disk.total);
  const reserve = await openReserve(path, sizes.reserve);
  let journal: Watched | undefined;
  let mark: Mark = 'none';
  /** What the journal held when the disk was looked at: what it has written since is gone from `free`. */
  let usedThen = 0;
  let announced: Mark = 'none';
  /** Since it was announced: one that came and went between two looks is recorded too. */
  let highest: Mark = 'none';
  let looking: { stop(): Promise<void> } | undefined;

  function fill(): Fill {
    const used = journal?.bytes() ?? 0;
    return { used, limit: limit(), free: Math.max(0, disk.free - Math.max(0, used - usedThen)), total: disk.total };
  }

  function weigh(): void {
    const now = fill();
    const before = mark;
    mark = markOf(before, now);
    if (isAtLeast(mark, highest)) highest = mark;
    if (mark !== before) tell(before, now);
  }

  function tell(before: Mark, { used, free }: Fill): void {
    const facts = { mark, before, bytes: used, limit: limit(), free };
    if (!isAtLeast(mark, before)) {
      log.info({ event: 'journal_relieved', ...facts }, 'The journal has room again.');
    } else if (isAtLeast(mark, 'calls')) {
      log.error({ event: 'journal_full', ...facts }, 'The journal has no room: calls are refused until it has.');
    } else {
      log.warn({ event: 'journal_filling', ...facts }, 'The journal fills up, or its disk does.');
    }
  }

  async function takeReserve(): Promise<void> {
    if (reserve.isWhole()) return;
    try {
      await reserve.take();
    } catch (err) {
      // No reason not to start: sealing is what makes room.
      if (!isNoSpace(err)) throw err;
      log.warn({ event: 'journal_reserve_missing', err }, 'There is no room for the reserved bytes of the journal.');
    }
  }

  async function look(announce: (details: Record<string, unknown>) => Promise<void>): Promise<void> {
    disk = await space(path);
    usedThen = journal?.bytes() ?? 0;
    weigh();
    // Held again once nothing waits for room: before that, what they would take is what is needed.
    const roomy = disk.free > 4 * sizes.reserve && !isAtLeast(mark, 'calls');
    if (!reserve.isWhole() && roomy) {
      await takeReserve();
      disk = await space(path);
    }
    for (const saying of [highest, mark]) {
      // While it can't be recorded it is said in the log alone, and recorded once it can.
      if (announced === saying || journal?.failed() !== false) continue;
      const { used, free } = fill();
      await announce({ mark: saying, before: announced, bytes: used, limit: limit(), free });
      announced = saying;
    }
    if (announced === mark) highest = mark;
  }

  /** The first kind for which this holder is over its share. */
  function overShare(holder: Holder, least: 'calls' | 'answers'): Kind | undefined {
    if (mark === 'none') return undefined;
    const now = fill();
    const capacity = capacityOf(now);
    return KINDS.find((kind) => {
      const name = holder[kind];
      if (name === undefined) return false;
      const holding = {
        used: now.used,
        capacity,
        own: unsealed.held(kind, name),
        others: unsealed.others(kind, name),
        holders: holdersOf(kind),
      };
      const over = overQuota(holding);
      return over === 'answers' || over === least;
    });
  }

  /** How many may come: of principals one more than there are, of the others those of the configuration. */
  function holdersOf(kind: Kind): number {
    const connections = Object.values(config().connections);
    if (kind === 'connection') return connections.length;
    if (kind === 'upstream') return new Set(connections.map(({ upstream }) => upstream.url)).size;
    return unsealed.count(kind) + 1;
  }

  return {
    sizes,
    forRecorder: {
      unsealed,
      reserve: {
        async give(what) {
          // Somebody met the end of the disk, so that nobody has to look for it.
          disk = { ...disk, free: 0 };
          usedThen = journal?.bytes() ?? 0;
          weigh();
          const given = await reserve.give(what);
          if (given) {
            log.warn({ event: 'journal_reserve_used', what }, 'The disk is full: bytes held back for this are used.');
          }
          return given;
        },
      },
      upstreamOf: (connection) => config().connections[connection]?.upstream.url,
      isFullFor: (holder) => isAtLeast(mark, 'calls') || overShare(holder, 'calls') !== undefined,
    },
    get mark() {
      return mark;
    },
    level: () => MARKS.indexOf(mark),
    capacity: () => capacityOf(fill()),
    free: () => fill().free,
    missing: () => Math.max(0, 2 * sizes.reserve - reserve.bytes()),
    isFull: () => isAtLeast(mark, 'calls'),
    refusesSession(durability) {
      if (durability === 'memory' || !isAtLeast(mark, 'sessions')) return undefined;
      refused('sessions');
      return new GatewayError('recording_full', 'not_forwarded', 'New sessions have to wait.');
    },
    refusesCall(holder, durability) {
      if (mark === 'none' || durability === 'memory') return undefined;
      const over = overShare(holder, 'calls');
      if (over === undefined) return undefined;
      refused(over);
      return new GatewayError('recording_quota', 'not_forwarded', WHOSE[over]);
    },
    refusesAnswer(holder, durability, bytes) {
      if (mark === 'none' || durability === 'memory' || bytes <= SMALL_ANSWER) return undefined;
      const full = isAtLeast(mark, 'answers');
      const over = full ? undefined : overShare(holder, 'answers');
      if (!full && over === undefined) return undefined;
      refused('answers');
      return over === undefined
        ? new GatewayError('recording_full', 'outcome_withheld')
        : new GatewayError('recording_quota', 'outcome_withheld', WHOSE[over]);
    },
    watch(opened, announce) {
      journal = opened;
      usedThen = opened.bytes();
      weigh();
      opened.onCommit(weigh);
      looking = repeat(
        () => look(announce),
        every,
        (err) => log.warn({ event: 'journal_look_failed', err }, "The journal's disk could not be looked at."),
      );
    },
    stop: async () => looking?.stop(),
  };
}

const WHOSE: Readonly<Record<Kind, string>> = {
  principal: 'It is your own calls whose recordings wait.',
  connection: 'It is recordings of this connection that wait.',
  upstream: 'It is recordings of this MCP server that wait.',
};

async function spaceOf(path: string): Promise<DiskSpace> {
  const { bavail, blocks, bsize } = await statfs(path);
  return { free: bavail * bsize, total: blocks * bsize };
}
