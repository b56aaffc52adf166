/** Prometheus metrics. Labels hold configured names and stable codes only: nothing that a client can choose. */
import { Counter, collectDefaultMetrics, Gauge, Histogram, Registry } from 'prom-client';

export interface Metrics {
  exchangeEnded(connection: string, seconds: number): void;
  /** `result` is `complete`, `cancelled` or a code of errors.ts. */
  outcome(connection: string, result: string): void;
  /** A message was decided on; `effect` is a decision's. */
  decided(connection: string, effect: string): void;
  /** Values were taken out, each by a detector of the policy. */
  masked(connection: string, masks: readonly { readonly detector: string }[]): void;
  /** A call was found in this state of its approval. */
  approval(connection: string, state: string): void;
  commit(seconds: number): void;
  checkpoint(objects: number): void;
  sealFailed(): void;
  /** A checkpoint, or a key that is to come, got no signature. */
  signingFailed(): void;
  /** A gap frame was recorded. */
  gap(): void;
  /** Refused since the journal fills: whose share is used up, or what may not begin or go on. */
  refusedForRoom(by: 'principal' | 'connection' | 'upstream' | 'sessions' | 'answers'): void;
  /** Text in Prometheus' exposition format. */
  text(): Promise<string>;
  readonly contentType: string;
}

/** What is read when metrics are scraped. */
export interface Gauges {
  sessions(): number;
  /** Recordings that have not ended. */
  strands(): number;
  /** Calls under way. */
  calls(): number;
  journalBytes(): number;
  /** Seconds; 0 where all is sealed. */
  oldestUnsealed(): number;
  clockOffset(): number;
  /** Whether every call is refused. */
  refusing(): boolean;
  readonly pressure: { level(): number; capacity(): number; free(): number; missing(): number };
}

export function createMetrics(gauges: Gauges): Metrics {
  const registry = new Registry();
  collectDefaultMetrics({ register: registry });
  const gauge = (name: string, help: string, read: () => number): void => {
    new Gauge({
      name,
      help,
      registers: [registry],
      collect() {
        this.set(read());
      },
    });
  };
  gauge('verbatim_sessions', 'Open sessions on this replica.', gauges.sessions);
  gauge('verbatim_strands', 'Recordings on this disk that have not ended, system strands included.', gauges.strands);
  gauge('verbatim_calls', 'Calls and logins under way, open streams included.', gauges.calls);
  gauge('verbatim_journal_bytes', 'Bytes of the journal on disk.', gauges.journalBytes);
  gauge('verbatim_oldest_unsealed_seconds', 'Age of the oldest frame that is not sealed.', gauges.oldestUnsealed);
  gauge('verbatim_clock_offset_seconds', 'Wall clock against monotonic clock since start.', gauges.clockOffset);
  gauge('verbatim_refusing', '1 while every call is refused.', () => (gauges.refusing() ? 1 : 0));
  const { pressure } = gauges;
  gauge('verbatim_journal_mark', 'How full the journal is: 0 not, 4 to the brim.', pressure.level);
  gauge('verbatim_journal_limit_bytes', 'Bytes that the journal may take of its disk now.', pressure.capacity);
  gauge('verbatim_journal_free_bytes', 'Bytes that the disk of the journal has left.', pressure.free);
  gauge('verbatim_journal_reserve_missing_bytes', 'Bytes that should be held back and are not.', pressure.missing);
  const registers = [registry];
  const seconds = new Histogram({
    name: 'verbatim_exchange_seconds',
    help: 'Duration of exchanges.',
    labelNames: ['connection'],
    buckets: [0.005, 0.02, 0.1, 0.5, 2, 10, 60, 600],
    registers,
  });
  const outcomes = new Counter({
    name: 'verbatim_exchanges_total',
    help: 'Exchanges by outcome.',
    labelNames: ['connection', 'result'],
    registers,
  });
  const decisions = new Counter({
    name: 'verbatim_decisions_total',
    help: 'Decisions of policy by effect.',
    labelNames: ['connection', 'effect'],
    registers,
  });
  const masks = new Counter({
    name: 'verbatim_masked_values_total',
    help: 'Values that masks took out.',
    labelNames: ['connection', 'detector'],
    registers,
  });
  const approvals = new Counter({
    name: 'verbatim_approvals_total',
    help: 'States of approval that calls were found in.',
    labelNames: ['connection', 'state'],
    registers,
  });
  const commits = new Histogram({
    name: 'verbatim_journal_commit_seconds',
    help: 'Duration of journal commits, fdatasync included.',
    buckets: [0.0005, 0.001, 0.005, 0.02, 0.1, 0.5, 2],
    registers,
  });
  const checkpoints = new Counter({ name: 'verbatim_checkpoints_total', help: 'Checkpoints stored.', registers });
  const objects = new Counter({ name: 'verbatim_sealed_objects_total', help: 'Objects sealed and stored.', registers });
  const failures = new Counter({
    name: 'verbatim_seal_failures_total',
    help: 'Sealing attempts that failed.',
    registers,
  });
  const unsigned = new Counter({
    name: 'verbatim_signing_failures_total',
    help: 'Signatures that the signer did not give.',
    registers,
  });
  const gaps = new Counter({ name: 'verbatim_gaps_total', help: 'Gap frames recorded.', registers });
  const refusals = new Counter({
    name: 'verbatim_journal_refusals_total',
    help: 'What was refused or ended since the journal fills.',
    labelNames: ['by'],
    registers,
  });
  return {
    exchangeEnded: (connection, duration) => seconds.observe({ connection }, duration),
    outcome: (connection, result) => outcomes.inc({ connection, result }),
    decided: (connection, effect) => decisions.inc({ connection, effect }),
    masked(connection, found) {
      for (const { detector } of found) masks.inc({ connection, detector });
    },
    approval: (connection, state) => approvals.inc({ connection, state }),
    commit: (duration) => commits.observe(duration),
    checkpoint(count) {
      checkpoints.inc();
      objects.inc(count);
    },
    sealFailed: () => failures.inc(),
    signingFailed: () => unsigned.inc(),
    gap: () => gaps.inc(),
    refusedForRoom: (by) => refusals.inc({ by }),
    text: () => registry.metrics(),
    contentType: registry.contentType,
  };
}
