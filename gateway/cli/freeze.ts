/** `verbatim freeze`: refuse calls on every gateway without a deployment, say which are refused, and lift that again. */
import { existsSync } from 'node:fs';
import { userInfo } from 'node:os';
import type { Config } from '../config.ts';
import { nearest } from '../config-problems.ts';
import { parseDuration } from '../config-units.ts';
import { type Freeze, type FreezeScope, freezeFacts, freezeParts, untilOf } from '../sessions/freeze.ts';
import { createFreeze, findFreezes, liftFreeze, listFreezes } from '../sessions/freeze-record.ts';
import { openStore } from '../store/open.ts';
import type { Store } from '../store/store.ts';
import { chosenFile, loadChosen } from './chosen-configuration.ts';
import { openGiven } from './chosen-store.ts';
import { CommandError, type Context } from './context.ts';
import { escapeForTerminal, table } from './terminal.ts';

export interface FreezeOptions {
  readonly connection?: string;
  readonly user?: string;
  readonly tool?: string;
  readonly all?: boolean;
  readonly reason?: string;
  readonly for?: string;
  readonly untilLifted?: boolean;
  readonly actor?: string;
  readonly list?: boolean;
  readonly lift?: string;
  readonly config?: string;
  readonly state?: string;
  readonly audit?: string;
  readonly json?: boolean;
}

const SCOPES = ['connection', 'user', 'tool', 'all'] as const;
const DAY = 86_400_000;
const LONGEST = 365 * DAY;

export async function runFreeze(context: Context, options: FreezeOptions): Promise<number> {
  if (options.list === true) {
    refuseWith('--list', options, [...SCOPES, 'reason', 'for', 'untilLifted', 'actor', 'lift']);
    return list(context, options);
  }
  if (options.lift !== undefined) {
    refuseWith('--lift', options, [...SCOPES, 'for', 'untilLifted']);
    return lift(context, options, options.lift);
  }
  return freeze(context, options);
}

async function freeze(context: Context, options: FreezeOptions): Promise<number> {
  // Everything that was typed is looked at before anything is written.
  const scope = scopeOf(options);
  const { reason, actor } = recordOf(options);
  const at = context.now();
  const expires = expiryOf(options, at);
  const stores = openStores(context, options);
  if (scope.connection !== undefined) mustBeConnection(scope.connection, stores.config);
  const made = await createFreeze(
    { ...stores, now: () => at },
    { scope, reason, actor, ...(expires === undefined ? {} : { expires }) },
  );
  const liftCommand = `npx verbatim freeze --lift ${made.id} --reason "…"${sameStores(options)}`;
  if (options.json === true) {
    await context.out.write(`${JSON.stringify({ ...freezeFacts(made), lift: liftCommand }, null, 2)}\n`);
    return 0;
  }
  const lines = [
    `frozen   ${wordsOf(scope)}`,
    `until    ${untilOf(made)}`,
    `reason   ${reason}`,
    `id       ${made.id}`,
    'In force on every gateway within 5 s. Lift it with:',
    `  ${liftCommand}`,
  ];
  await context.out.write(`${lines.map((line) => escapeForTerminal(line)).join('\n')}\n`);
  if (scope.connection !== undefined && stores.config === undefined) {
    await context.err.write('Whether there is such a connection was not checked: that takes --config.\n');
  }
  return 0;
}

async function lift(context: Context, options: FreezeOptions, wanted: string): Promise<number> {
  const { reason, actor } = recordOf(options);
  const stores = { ...openStores(context, options), now: context.now };
  const id = await idOf(stores, wanted);
  await liftFreeze(stores, { id, reason, actor });
  if (options.json === true) {
    await context.out.write(`${JSON.stringify({ id, lifted: true, reason, actor }, null, 2)}\n`);
  } else {
    await context.out.write(`${escapeForTerminal(`Lifted ${id}: ended on every gateway within 5 s.`)}\n`);
  }
  return 0;
}

async function list(context: Context, options: FreezeOptions): Promise<number> {
  const { state } = openStores(context, options);
  const freezes = await listFreezes({ state, now: context.now });
  if (options.json === true) await context.out.write(`${JSON.stringify(freezes.map(freezeFacts), null, 2)}\n`);
  else if (freezes.length === 0) await context.err.write('Nothing is frozen.\n');
  else {
    const columns = [
      { title: 'ID', value: (one: Freeze) => one.id },
      { title: 'FROZEN', value: (one: Freeze) => wordsOf(one.scope), flexible: true as const },
      { title: 'UNTIL', value: untilOf },
      { title: 'BY', value: (one: Freeze) => one.actor, flexible: true as const },
      { title: 'REASON', value: (one: Freeze) => one.reason, flexible: true as const },
    ];
    await context.out.write(`${table(context.out, columns, freezes).join('\n')}\n`);
  }
  return 0;
}

function refuseWith(flag: string, options: FreezeOptions, others: readonly (keyof FreezeOptions)[]): void {
  for (const other of others) {
    if (options[other] === undefined || options[other] === false) continue;
    const name = other === 'untilLifted' ? 'until-lifted' : other;
    throw new CommandError(2, `--${name} says nothing beside ${flag}: leave it out.`);
  }
}

function scopeOf({ connection, user, tool, all }: FreezeOptions): FreezeScope {
  const parts = {
    ...(connection === undefined ? {} : { connection }),
    ...(user === undefined ? {} : { user }),
    ...(tool === undefined ? {} : { tool }),
  };
  const count = Object.keys(parts).length;
  if (all === true) {
    if (count > 0) throw new CommandError(2, '--all freezes everything: leave it out to freeze only what you named.');
    return { all: true };
  }
  if (count === 0) {
    const words = 'Name a --connection, a --user or a --tool (together they narrow it down), or say --all.';
    throw new CommandError(2, `What is to be frozen? ${words}`);
  }
  mustFit('--connection', freezeParts.connection, connection, 'the name of a connection, as the configuration has it');
  mustFit('--user', freezeParts.user, user, 'an e-mail address or a subject, up to 512 characters of one line');
  mustFit('--tool', freezeParts.tool, tool, "a tool or a glob like 'delete_*', up to 256 characters of one line");
  return parts;
}

export function recordOf({ reason, actor, lift }: Pick<FreezeOptions, 'reason' | 'actor' | 'lift'>): {
  reason: string;
  actor: string;
} {
  if (reason === undefined) {
    // Only a freeze has somebody to tell: calls that it refuses.
    const told = lift === undefined ? ', and clients are told' : '';
    throw new CommandError(2, `Why? Give --reason TEXT: it is recorded${told}.`);
  }
  mustFit('--reason', freezeParts.reason, reason, 'up to 500 characters of one line');
  // What this program saw for itself must not be mistaken for what it was told.
  if (actor?.startsWith('os:')) throw new CommandError(2, '--actor: os: stands before a login name that was seen.');
  mustFit('--actor', freezeParts.actor, actor, 'up to 200 characters of one line');
  return { reason, actor: actor ?? `os:${loginName()}` };
}

function mustFit(flag: string, part: { safeParse(value: unknown): { success: boolean } }, value: unknown, fix: string) {
  if (value !== undefined && !part.safeParse(value).success) throw new CommandError(2, `${flag}: write ${fix}.`);
}

/** The operating system's answer: `USER` and the like say what anybody writes into them. */
function loginName(): string {
  try {
    return userInfo().username;
  } catch (cause) {
    throw new CommandError(2, 'The operating system has no name for this user. Give --actor WHO.', { cause });
  }
}

/** Absent where it is to be lifted by hand. A day where nothing was said: a forgotten freeze ends. */
function expiryOf(options: FreezeOptions, now: number): number | undefined {
  if (options.untilLifted === true) {
    if (options.for !== undefined) throw new CommandError(2, 'Choose one of --for and --until-lifted.');
    return undefined;
  }
  const lasts = options.for === undefined ? DAY : parseDuration(options.for);
  if (lasts === undefined || lasts <= 0 || lasts > LONGEST) {
    throw new CommandError(2, '--for: write a time like 30m, 24h or 7d, at most 365d; or say --until-lifted.');
  }
  return now + lasts;
}

function mustBeConnection(name: string, config: Config | undefined): void {
  if (config === undefined || Object.hasOwn(config.connections, name)) return;
  const known = Object.keys(config.connections);
  const near = nearest(name, known);
  const fix = near === undefined ? `It has: ${known.join(', ')}.` : `Did you mean ${near}?`;
  throw new CommandError(2, `The configuration has no connection "${name}". ${fix}`);
}

/** The stores that the gateways of a configuration poll: that of `--config`, of `--state` and `--audit`, or the demo's. */
export function openStores(
  context: Context,
  options: Pick<FreezeOptions, 'config' | 'state' | 'audit'>,
): { state: Store; audit: Store; config?: Config } {
  const { config: file, state, audit } = options;
  if (state === undefined && audit === undefined) {
    return storesOf(chosenFile(context, file, 'Which gateways? Give the --config FILE that they run with.'));
  }
  if (file !== undefined) throw new CommandError(2, 'Give --config, or --state and --audit, but not both.');
  if (state === undefined || audit === undefined) {
    throw new CommandError(2, 'Give --state and --audit together: everything is recorded before it is in force.');
  }
  // A mistyped address would be a new, empty store that no gateway reads.
  return { state: openExisting(context, state), audit: openExisting(context, audit) };
}

function storesOf(file: string): { state: Store; audit: Store; config: Config } {
  const config = loadChosen(file, ' (Or give the stores themselves: --state URL --audit URL.)');
  return { state: openStore(config.stores.state), audit: openStore(config.stores.audit), config };
}

function openExisting(context: Context, url: string): Store {
  const store = openGiven(context, url);
  if (url === 'memory:') throw new CommandError(2, `No gateway reads what is stored at ${url}.`);
  if (url.startsWith('file:') && !existsSync(new URL(url))) throw new CommandError(1, `There is no store at ${url}.`);
  return store;
}

/** The one freeze that a whole id or the beginning of one means. One that can't be read has an id too. */
async function idOf(stores: { state: Store }, wanted: string): Promise<string> {
  const found = await findFreezes(stores, wanted);
  const [only, ...others] = found;
  if (found.includes(wanted)) return wanted;
  if (only === undefined || wanted === '') {
    throw new CommandError(1, `No freeze that is not lifted yet has the id ${wanted}. See npx verbatim freeze --list.`);
  }
  if (others.length > 0) {
    throw new CommandError(2, `${found.length} freezes begin with ${wanted}: ${found.slice(0, 5).join(', ')}.`);
  }
  return only;
}

/** `calls of tool delete_* on connection orders by ana@example.com`. */
function wordsOf({ all, connection, user, tool }: FreezeScope): string {
  if (all === true) return 'all calls';
  const of = tool === undefined ? '' : ` of tool ${tool}`;
  const on = connection === undefined ? '' : ` on connection ${connection}`;
  const by = user === undefined ? '' : ` by ${user}`;
  return `calls${of}${on}${by}`;
}

/** The options by which a later command finds the same stores, as a shell reads them. */
export function sameStores({ config, state, audit }: Pick<FreezeOptions, 'config' | 'state' | 'audit'>): string {
  const given = Object.entries({ config, state, audit }).filter(([, value]) => value !== undefined);
  return given.map(([flag, value]) => ` --${flag} ${quoted(value ?? '')}`).join('');
}

function quoted(word: string): string {
  return /^[\w@%+=:,./-]+$/.test(word) ? word : `'${word.replaceAll("'", "'\\''")}'`;
}
