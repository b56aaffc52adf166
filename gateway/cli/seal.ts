/** `verbatim seal`: seals by hand what is on a disk that no gateway uses, and retires it where that is wanted. */
import { resolve } from 'node:path';
import { DiskBusyError } from '../disk.ts';
import { type DiskReport, openSealableDisk, type SealableDisk, type SealOutcome, WrongStoreError } from '../seal.ts';
import { loadChosen } from './chosen-configuration.ts';
import { auditBeside, openGiven } from './chosen-store.ts';
import { CommandError, type Context } from './context.ts';
import { escapeForTerminal } from './terminal.ts';

export interface SealCommandOptions {
  readonly store?: string;
  readonly auditStore?: string;
  readonly config?: string;
  readonly dryRun?: boolean;
  readonly acceptLoss?: boolean;
  readonly retire?: string;
  readonly json?: boolean;
}

export async function runSeal(context: Context, dir: string, options: SealCommandOptions): Promise<number> {
  const path = resolve(context.cwd, dir);
  if (options.retire?.trim() === '') throw new CommandError(2, 'Say why the disk is retired: --retire "replaced".');
  const into = options.dryRun === true ? undefined : chooseStores(context, options);
  const disk = await openSealableDisk(path).catch((error: unknown) => {
    if (!(error instanceof DiskBusyError)) throw error;
    throw new CommandError(1, `${path} is in use: its gateway seals it by itself. Stop it first.`, { cause: error });
  });
  try {
    return await look(context, path, disk, into, options);
  } finally {
    await disk.release();
  }
}

type Stores = ReturnType<typeof chooseStores>;

async function look(
  context: Context,
  path: string,
  disk: SealableDisk,
  into: Stores | undefined,
  options: SealCommandOptions,
): Promise<number> {
  const { report } = disk;
  const { out } = context;
  const accepts = options.acceptLoss === true;
  const say = async (lines: readonly string[]): Promise<void> => {
    if (options.json !== true) await out.write(`${escapeForTerminal(lines.join('\n'), { keepNewlines: true })}\n`);
  };
  await say(describe(path, report));
  const isBlocked = report.damage !== undefined && !accepts;
  if (into === undefined || isBlocked || (disk.isSealed && options.retire === undefined)) {
    if (options.json === true) await out.write(`${JSON.stringify({ disk: path, ...facts(report) }, null, 2)}\n`);
    await say(plan(disk, options, into === undefined));
    return isBlocked ? 1 : 0;
  }
  const outcome = await disk
    .seal({
      ...into,
      acceptLoss: accepts,
      ...(options.retire === undefined ? {} : { retire: options.retire }),
    })
    .catch((error: unknown) => {
      if (!(error instanceof WrongStoreError)) throw error;
      throw new CommandError(1, error.message, { cause: error });
    });
  const done = outcome.sealed && (options.retire === undefined || outcome.closed);
  if (options.json === true) {
    const { failures, ...rest } = outcome;
    const words = [...new Set(failures.map(({ message }) => message))];
    const result = { disk: path, store: into.store.url, ...facts(report), ...rest, failures: words };
    await out.write(`${JSON.stringify(result, null, 2)}\n`);
  }
  await say(result(into.store.url, outcome, done));
  return done ? 0 : 1;
}

function chooseStores(context: Context, options: SealCommandOptions) {
  const config = options.config === undefined ? undefined : loadChosen(resolve(context.cwd, options.config));
  const url = options.store ?? config?.stores.recordings ?? context.env.VERBATIM_STORE;
  if (url === undefined) {
    throw new CommandError(2, 'Into which store? Give --store or the gateway’s --config, or only look: --dry-run.');
  }
  const auditUrl = options.auditStore ?? config?.stores.audit ?? context.env.VERBATIM_AUDIT_STORE ?? auditBeside(url);
  if (auditUrl === undefined && (options.retire !== undefined || options.acceptLoss === true)) {
    const what = options.retire === undefined ? 'An accepted loss' : 'A closed ledger';
    throw new CommandError(2, `${what} is told to the audit store. Give --audit-store or the gateway’s --config.`);
  }
  return {
    store: openGiven(context, url),
    ...(auditUrl === undefined ? {} : { audit: openGiven(context, auditUrl) }),
    signing: config?.signing,
    google: config?.google ?? {},
  };
}

function describe(path: string, report: DiskReport): string[] {
  const { ledger, strands, objects, uncovered, newest, closed, damage } = report;
  const frames = strands.reduce((sum, strand) => sum + strand.frames, 0);
  return [
    `Disk ${path}, ledger ${ledger}`,
    frames === 0
      ? '  no frame is unsealed'
      : `  ${counted(frames, 'frame')} of ${counted(strands.length, 'recording')} not sealed`,
    ...(objects === 0 ? [] : [`  ${counted(objects, 'object')} of a round that may not be stored`]),
    ...(uncovered === 0 ? [] : [`  ${counted(uncovered, 'manifest')} stored under no checkpoint`]),
    ...(newest === undefined ? [] : [`  newest frame ${newest}`]),
    ...(closed === undefined ? [] : [`  retired: its ledger was closed at ${closed}`]),
    ...(damage === undefined
      ? []
      : [`  damaged: ${damage.words}`, `  ${counted(damage.bytes, 'byte')} from there on count for nothing`]),
  ];
}

/** Why nothing was done, and what would be. */
function plan({ report, isSealed }: SealableDisk, options: SealCommandOptions, dry: boolean): string[] {
  const { damage } = report;
  if (damage !== undefined && options.acceptLoss !== true) {
    return [
      'Nothing was changed. What is whole can be sealed, and the rest be lost for good and told as a gap: --accept-loss.',
      'Copy the disk first: whoever repairs it can save more.',
    ];
  }
  const retire = options.retire !== undefined && report.closed === undefined;
  if (isSealed && !retire) return ['Everything on this disk is sealed.'];
  if (!dry) return [];
  const steps = [
    ...(damage === undefined ? [] : ['set aside what is damaged and tell it as a gap']),
    ...(isSealed ? [] : ['end what was under way as unknown, and seal']),
    ...(retire ? ['end every recording, close the ledger and retire the disk'] : []),
  ];
  return [`Nothing was changed. Without --dry-run this would ${steps.join('; then ')}.`];
}

function result(url: string, { sealed, closed, objects, failures, gaps, lost }: SealOutcome, done: boolean): string[] {
  const last = failures.at(-1);
  return [
    ...(gaps.length === 0 ? [] : [`${counted(gaps.length, 'gap')} written into recordings that go on.`]),
    ...(lost === undefined ? [] : [`What was lost is kept in ${lost}.`]),
    ...(sealed ? [`Sealed into ${url}: ${counted(objects, 'object')}.`] : []),
    ...(closed ? ['The ledger is closed: no gateway uses this disk again.'] : []),
    ...(done ? [] : ['Not everything is sealed; nothing is lost. Give the command again.']),
    ...(done || last === undefined ? [] : [`because: ${last.message}`]),
  ];
}

function facts({ strands, damage, ...rest }: DiskReport) {
  return {
    ...rest,
    frames: strands.reduce((sum, { frames }) => sum + frames, 0),
    strands,
    ...(damage === undefined ? {} : { damage: { words: damage.words, ...damage.at, bytes: damage.bytes } }),
  };
}

function counted(count: number, noun: string): string {
  return `${count.toLocaleString('en')} ${noun}${count === 1 ? '' : 's'}`;
}
