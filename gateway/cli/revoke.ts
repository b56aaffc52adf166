/**
 * `verbatim revoke`: ends a session and everything that is open in it, on every gateway; or blocks a principal, which
 * ends all of its sessions and keeps it out until the block is lifted.
 */
import type { Config } from '../config.ts';
import { nearest } from '../config-problems.ts';
import { type Block, type BlockedPrincipal, blockFacts, blockParts } from '../sessions/block.ts';
import { createBlock, findBlocks, liftBlock, listBlocks } from '../sessions/block-record.ts';
import { revokeSession } from '../sessions/revoke.ts';
import type { OperatorStores } from '../sessions/standing-record.ts';
import { CommandError, type Context } from './context.ts';
import { type FreezeOptions, openStores, recordOf, sameStores } from './freeze.ts';
import { escapeForTerminal, table } from './terminal.ts';

export interface RevokeOptions
  extends Pick<FreezeOptions, 'reason' | 'actor' | 'config' | 'state' | 'audit' | 'json' | 'list'> {
  readonly principal?: string;
  readonly issuer?: string;
  /** A block's id, or `true` for those of `--principal`. */
  readonly lift?: string | true;
}

export async function runRevoke(
  context: Context,
  session: string | undefined,
  options: RevokeOptions,
): Promise<number> {
  const { principal, issuer, lift, list, reason, actor } = options;
  if (session !== undefined) {
    refuseOthers('a session', { principal, issuer, lift, list });
    return revoke(context, session, options);
  }
  if (list === true) {
    refuseOthers('--list', { principal, issuer, lift, reason, actor });
    return listAll(context, options);
  }
  if (lift !== undefined) return liftSome(context, options, lift);
  return block(context, options);
}

async function revoke(context: Context, session: string, options: RevokeOptions): Promise<number> {
  if (!/^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/.test(session)) {
    throw new CommandError(2, 'Write the whole id of a session, as `npx verbatim sessions --live` shows it.');
  }
  const { reason, actor } = recordedOf(options);
  await revokeSession(storesOf(context, options), { session, actor, reason });
  const words = `Revoked ${session}: ended on every gateway within 5 s. A new token opens a new session; to keep somebody out, revoke the --principal.`;
  await say(context, options, { session, revoked: true, reason, actor }, [words]);
  return 0;
}

async function block(context: Context, options: RevokeOptions): Promise<number> {
  if (options.principal === undefined) {
    throw new CommandError(2, 'What is to be revoked? Give the id of a session, or --principal WHO.');
  }
  const { reason, actor } = recordedOf(options);
  const stores = storesOf(context, options);
  const who = whoOf(options, stores.config);
  const made = await createBlock(stores, { who, reason, actor });
  const liftCommand = `npx verbatim revoke --lift ${made.id} --reason "…"${sameStores(options)}`;
  await say(context, options, { ...blockFacts(made), lift: liftCommand }, [
    `blocked  ${wordsOf(made)}`,
    `reason   ${reason}`,
    `id       ${made.id}`,
    'In force on every gateway within 5 s: its sessions end and no token of it opens one. Lift it with:',
    `  ${liftCommand}`,
  ]);
  return 0;
}

async function liftSome(context: Context, options: RevokeOptions, wanted: string | true): Promise<number> {
  const stores = storesOf(context, options);
  if (wanted !== true) refuseOthers('the id of a block', { principal: options.principal, issuer: options.issuer });
  const { reason, actor } = recordedOf(options);
  const ids = wanted === true ? await idsOf(stores, options) : [await idOf(stores, wanted)];
  for (const id of ids) await liftBlock(stores, { id, reason, actor });
  const words = ids.map((id) => `Lifted ${id}: ended on every gateway within 5 s.`);
  const note = 'Tokens that were issued before the sessions ended open none: get a new one.';
  await say(context, options, { ids, lifted: true, reason, actor }, [...words, note]);
  return 0;
}

async function listAll(context: Context, options: RevokeOptions): Promise<number> {
  const blocks = await listBlocks(storesOf(context, options));
  if (options.json === true) await context.out.write(`${JSON.stringify(blocks.map(blockFacts), null, 2)}\n`);
  else if (blocks.length === 0) await context.err.write('Nobody is blocked.\n');
  else {
    const columns = [
      { title: 'ID', value: (one: Block) => one.id },
      { title: 'BLOCKED', value: wordsOf, flexible: true as const },
      { title: 'SINCE', value: (one: Block) => new Date(one.at).toISOString().replace(/\.\d+Z$/, 'Z') },
      { title: 'BY', value: (one: Block) => one.actor, flexible: true as const },
      { title: 'REASON', value: (one: Block) => one.reason, flexible: true as const },
    ];
    await context.out.write(`${table(context.out, columns, blocks).join('\n')}\n`);
  }
  return 0;
}

/** As for a lift: nobody is told but the record. */
function recordedOf({ reason, actor }: RevokeOptions): { reason: string; actor: string } {
  return recordOf({
    lift: '',
    ...(reason === undefined ? {} : { reason }),
    ...(actor === undefined ? {} : { actor }),
  });
}

function storesOf(context: Context, options: RevokeOptions): OperatorStores & { config?: Config } {
  return { ...openStores(context, options), now: context.now };
}

function whoOf({ principal, issuer }: RevokeOptions, config: Config | undefined): BlockedPrincipal {
  if (!blockParts.principal.safeParse(principal).success || principal === undefined) {
    throw new CommandError(2, '--principal: write an e-mail address or a subject, up to 512 characters of one line.');
  }
  return { principal, ...(issuer === undefined ? {} : { issuer: issuerOf(issuer, config) }) };
}

/** A name of the configuration's issuers, or the issuer itself: a mistyped one would block nobody. */
function issuerOf(written: string, config: Config | undefined): string {
  const named = config !== undefined && Object.hasOwn(config.issuers, written) ? config.issuers[written] : undefined;
  if (named !== undefined) return named.issuer;
  if (!URL.canParse(written) || !blockParts.issuer.safeParse(written).success) {
    const names = Object.keys(config?.issuers ?? {});
    const near = nearest(written, names);
    const fix = near === undefined ? `one of issuers (${names.join(', ')})` : near;
    throw new CommandError(
      2,
      config === undefined ? '--issuer: write its URL; a name takes --config.' : `--issuer: write its URL, or ${fix}.`,
    );
  }
  const known = Object.values(config?.issuers ?? {}).map(({ issuer }) => issuer);
  // People who log in at the gateway are of an issuer that is not in `issuers`.
  if (config !== undefined && config.login === undefined && !known.includes(written)) {
    throw new CommandError(2, `--issuer: the configuration has no such issuer. It has: ${known.join(', ')}.`);
  }
  return written;
}

/** The one block that a whole id or the beginning of one means. One that can't be read has an id too. */
async function idOf(stores: OperatorStores, wanted: string): Promise<string> {
  const found = await findBlocks(stores, wanted);
  const [only, ...others] = found;
  if (found.includes(wanted)) return wanted;
  if (only === undefined || wanted === '') {
    throw new CommandError(1, `No block that is not lifted yet has the id ${wanted}. See npx verbatim revoke --list.`);
  }
  if (others.length > 0) {
    throw new CommandError(2, `${found.length} blocks begin with ${wanted}: ${found.slice(0, 5).join(', ')}.`);
  }
  return only;
}

/** All blocks of exactly this principal; with an issuer only those that name it. */
async function idsOf(stores: OperatorStores & { config?: Config }, options: RevokeOptions): Promise<string[]> {
  if (options.principal === undefined) throw new CommandError(2, '--lift: give the id of a block, or --principal WHO.');
  const { principal, issuer } = whoOf(options, stores.config);
  const found = (await listBlocks(stores)).filter(
    ({ who }) =>
      'principal' in who &&
      who.principal.toLowerCase() === principal.toLowerCase() &&
      (issuer === undefined || who.issuer === issuer),
  );
  if (found.length === 0) throw new CommandError(1, 'No such principal is blocked. See npx verbatim revoke --list.');
  return found.map(({ id }) => id);
}

function wordsOf({ who }: Block): string {
  if ('all' in who) return 'everybody: this block can not be read';
  return who.issuer === undefined ? who.principal : `${who.principal} of ${who.issuer}`;
}

function refuseOthers(beside: string, options: Record<string, unknown>): void {
  for (const [name, value] of Object.entries(options)) {
    if (value === undefined || value === false) continue;
    throw new CommandError(2, `--${name} says nothing beside ${beside}: leave it out.`);
  }
}

async function say(
  context: Context,
  { json }: RevokeOptions,
  facts: Record<string, unknown>,
  lines: readonly string[],
): Promise<void> {
  const words = lines.map((line) => escapeForTerminal(line)).join('\n');
  await context.out.write(json === true ? `${JSON.stringify(facts, null, 2)}\n` : `${words}\n`);
}
