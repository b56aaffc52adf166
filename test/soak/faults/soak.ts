/**
 * Faults × what is stored. Recorders, logins and approvals of this process work on a double of the bucket, on disks and
 * with a key service that fail in turn; then all that was acknowledged is held against what a reader can prove.
 */
import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { killAll } from '../../../gateway/recording/test-recorder.ts';
import { playApprovals } from './approvals.ts';
import { openSickBuckets, type Patience, type SickBuckets } from './bucket.ts';
import { soakDisk } from './disk.ts';
import { createFindings, type Figures, type Findings } from './findings.ts';
import { soakForeign } from './foreign.ts';
import { soakFullDisk } from './full-disk.ts';
import { BUCKET_FAULTS, type BucketFault, type Kind, READ_FAULTS } from './kinds.ts';
import { openLogins } from './logins.ts';
import { soakSigner } from './signer.ts';
import { switchable } from './switchable.ts';
import { createTape } from './tape.ts';

export interface FaultsSoakOptions {
  /** Goes on until the bucket has so many segments. */
  readonly segments: number;
  readonly seed: number;
  /** Without what takes seconds by itself, each fault once, and all that is recorded struck together. */
  readonly short: boolean;
  /** A folder of its own, which the caller removes. */
  readonly folder: string;
  readonly say: (line: string) => void;
}

export interface FaultsSoakReport extends Figures {
  readonly ok: boolean;
  /** What this machine can not do. */
  readonly skipped: readonly string[];
  readonly problems: readonly string[];
}

const RECORDED = ['segment', 'entries', 'checkpoint'] as const satisfies readonly Kind[];
const KEPT = ['login', 'approval'] as const satisfies readonly Kind[];
const KMS_TROUBLES = [503, 429, 500, 'garbage', 403, 'stall'] as const;
const PATIENCE: readonly Patience[] = ['patient', 'impatient'];

export async function runFaultsSoak(options: FaultsSoakOptions): Promise<FaultsSoakReport> {
  const { short, say } = options;
  const findings = createFindings(say);
  const skipped: string[] = [];
  const buckets = await openSickBuckets({ hasty: short });
  const folder = async (name: string): Promise<string> => {
    const path = join(options.folder, name);
    await mkdir(path);
    return path;
  };
  const faults = BUCKET_FAULTS.filter(({ isSlow }) => !(short && isSlow));
  try {
    const parts = await Promise.allSettled([
      soakRecordings({ ...options, faults, buckets, findings, folder: await folder('recordings') }),
      soakState({ ...options, faults, buckets, findings }),
      soakForeign(folder, buckets, findings),
      soakSigner(await folder('signer'), findings, short ? [503] : KMS_TROUBLES),
      soakDisk(
        await folder('disk'),
        findings,
        short ? { passes: 1, codes: ['EIO'] } : { passes: 10, codes: ['EIO', 'ENOSPC'] },
      ),
      soakFullDisk(findings, short ? 2 : 20).then((why) => {
        if (why !== undefined) skipped.push(why);
      }),
    ]);
    // Each is let finish: what one finds says nothing of the others.
    for (const part of parts) if (part.status === 'rejected') findings.wrong(String(part.reason));
  } finally {
    // A part that failed half-way leaves its recorder open, and a process that does not end.
    await killAll();
    await buckets.close();
  }
  const { figures, problems } = findings;
  const ok = figures.lost + figures.doubled + figures.wrong === 0 && figures.segments >= options.segments;
  return { ...figures, ok, skipped, problems };
}

interface Part extends FaultsSoakOptions {
  readonly faults: readonly BucketFault[];
  readonly buckets: SickBuckets;
  readonly findings: Findings;
}

const applies = ({ only }: BucketFault, kind: Kind): boolean => only === undefined || only.includes(kind);

async function soakRecordings(part: Part): Promise<void> {
  const { faults, buckets, findings, folder, short, say } = part;
  const stores = {
    patient: buckets.store('recordings', 'patient'),
    impatient: buckets.store('recordings', 'impatient'),
  };
  const { store, use } = switchable(stores.patient);
  const tape = await createTape({ folder, store });
  let seed = part.seed;

  async function cell(fault: BucketFault, kinds: readonly Kind[], patience: Patience): Promise<void> {
    const struck = kinds.filter((kind) => applies(fault, kind));
    if (struck.length === 0) return;
    use(stores[patience]);
    const strikes = struck.map((kind) =>
      buckets.strike(fault, { bucket: 'recordings', kind, times: short ? 2 : 8, seed: seed++ }),
    );
    await tape.record({ sessions: short ? 3 : 16, rounds: short ? 2 : 6, bytes: fault.bytes ?? 0 });
    const hits = strikes.reduce((sum, strike) => sum + strike.hits, 0);
    for (const strike of strikes) strike.remove();
    findings.cell(`${nameOf(fault)} × ${struck.join(', ')}, ${patience}`, hits);
    await tape.kill();
  }

  for (let pass = 0, turn = 0; pass === 0 || buckets.count('recordings', 'segment') < part.segments; pass++) {
    for (const fault of faults) {
      // What takes seconds by itself is not made better by being done often.
      if (fault.isSlow && pass > 0) continue;
      if (fault.isSlow) await cell(fault, RECORDED, 'patient');
      else if (short) await cell(fault, RECORDED, PATIENCE[turn++ % 2] ?? 'patient');
      else for (const kind of RECORDED) for (const patience of PATIENCE) await cell(fault, [kind], patience);
    }
    say(`pass ${pass + 1}: ${buckets.count('recordings', 'segment')} segments`);
  }
  use(stores.patient);
  await tape.seal();
  // It has to be read on a bad day, too.
  const strikes = READ_FAULTS.map((fault) =>
    buckets.strike(fault, { bucket: 'recordings', times: short ? 2 : 50, seed: seed++ }),
  );
  await findings.prove('bucket', tape, buckets.reader('recordings'));
  strikes.forEach((strike, index) => {
    findings.cell(`${nameOf(READ_FAULTS[index] ?? { fault: 'return-503' })} × reading`, strike.hits);
    strike.remove();
  });
  await tape.stop();
}

async function soakState(part: Part): Promise<void> {
  const { faults, buckets, findings, short } = part;
  const states = { patient: buckets.store('state', 'patient'), impatient: buckets.store('state', 'impatient') };
  const audit = buckets.store('audit', 'patient');
  const logins = await openLogins();
  const count = short ? 2 : 20;
  let seed = part.seed;

  async function cell(fault: BucketFault, kind: 'login' | 'approval', patience: Patience): Promise<void> {
    const strike = buckets.strike(fault, { bucket: 'state', kind, times: short ? 3 : 20, seed: seed++ });
    const name = `${nameOf(fault)} × ${kind}, ${patience}`;
    const taken = (): number => (fault.fault === 'precondition-race' ? strike.hits : 0);
    const state = states[patience];
    if (kind === 'login') findings.tally('logins', name, await logins.play(state, count, taken));
    else findings.tally('approvals', name, await playApprovals({ state, audit }, count, taken));
    findings.cell(name, strike.hits);
    strike.remove();
  }

  try {
    for (const [index, fault] of faults.entries()) {
      const kinds = KEPT.filter((kind) => applies(fault, kind));
      const patiences = fault.isSlow ? PATIENCE.slice(0, 1) : PATIENCE;
      const cells = kinds.flatMap((kind) => patiences.map((patience) => ({ kind, patience })));
      // Where time counts, another one of them for each fault.
      const chosen = short ? cells.filter((_, at) => at === index % cells.length) : cells;
      for (const { kind, patience } of chosen) await cell(fault, kind, patience);
    }
  } finally {
    logins.close();
  }
}

function nameOf({ fault, operation, retryAfter }: BucketFault): string {
  const of = operation === undefined || operation === 'objects.insert' ? '' : ` of ${[operation].flat().join(' and ')}`;
  return `${fault}${retryAfter === undefined ? '' : ', Retry-After'}${of}`;
}
