/**
 * A freeze: calls that are refused on every replica until it expires or is lifted. It is one state object, only ever
 * created; a second one, its tombstone, lifts it. Its parts add up to a narrower freeze, never to a wider one.
 */
import { z } from 'zod';
import { type Fate, GatewayError } from '../errors.ts';
import { compileGlob } from '../glob.ts';
import type { Principal } from '../identity/principal.ts';
import { liftedStandingName, readStandingName, type StandingKind, standingName } from './standing.ts';

export interface FreezeScope {
  readonly connection?: string;
  /** An e-mail address in any case, or a subject to the letter. */
  readonly user?: string;
  /** A glob of tool names: `*` is any text. */
  readonly tool?: string;
  readonly all?: true;
}

export interface Freeze {
  readonly id: string;
  readonly scope: FreezeScope;
  readonly reason: string;
  readonly actor: string;
  /** Milliseconds since the epoch. */
  readonly at: number;
  /** Milliseconds since the epoch; absent where it is in force until it is lifted. */
  readonly expires?: number;
}

/** What a freeze is asked about. Streams have no messages. */
export interface FreezableCall {
  readonly connection: string;
  readonly principal: Principal;
  readonly messages: readonly { readonly method?: string; readonly name?: string }[];
}

export const FREEZES = 'freezes/';

export function freezeName(id: string): string {
  return standingName(FREEZES, id);
}

export function liftedName(id: string): string {
  return liftedStandingName(FREEZES, id);
}

/** What a state object's name says it is; `undefined` for what `verbatim freeze` does not write. */
export function readFreezeName(name: string): { id: string; lifted: boolean } | undefined {
  return readStandingName(FREEZES, name);
}

/** Text that is shown to clients, in a terminal and in logs: one line, nothing that moves, reorders or hides. */
export const oneLine = (most: number) =>
  z.string().regex(new RegExp(`^(?=.*\\S)[^\\p{Cc}\\p{Cf}\\p{Cs}\\p{Zl}\\p{Zp}]{1,${most}}$`, 'u'));
// What Date can hold.
export const time = z.int().min(0).max(8.64e15);

/** One schema for who writes and who reads, so that nothing is written that would freeze everything. */
export const freezeParts = {
  connection: z.string().regex(/^[a-z][a-z0-9-]{0,62}$/),
  user: oneLine(512),
  tool: oneLine(256),
  reason: oneLine(500),
  actor: oneLine(200),
};

const scope = z.union([
  z.strictObject({ all: z.literal(true) }),
  z
    .strictObject({
      connection: freezeParts.connection.exactOptional(),
      user: freezeParts.user.exactOptional(),
      tool: freezeParts.tool.exactOptional(),
    })
    .refine((parts) => Object.keys(parts).length > 0),
]);

const freeze = z.strictObject({
  id: z.uuidv7().lowercase(),
  scope,
  reason: freezeParts.reason,
  actor: freezeParts.actor,
  at: time,
  expires: time.exactOptional(),
});

/** The bytes of its state object. Throws where they could not be read back. */
export function writeFreeze(made: Freeze): Buffer {
  return Buffer.from(`${JSON.stringify(freeze.parse(made))}\n`);
}

/**
 * The freeze in a state object. What can't be understood could have frozen anything, so it freezes everything until it
 * is lifted: a newer program's narrower freeze is never taken for none.
 */
export function readFreeze(id: string, bytes: Uint8Array): Freeze {
  let value: unknown;
  try {
    value = JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(bytes));
  } catch {
    return unreadable(id);
  }
  const read = freeze.safeParse(value);
  return read.success && read.data.id === id ? read.data : unreadable(id);
}

export const freezeKind: StandingKind<Freeze> = { prefix: FREEZES, read: readFreeze };

function unreadable(id: string): Freeze {
  const reason =
    'A freeze in the state store can not be read, so everything is frozen. Operators: verbatim freeze --list';
  return { id, scope: { all: true }, reason, actor: 'unknown', at: madeAt(id) };
}

/** RFC 9562, section 5.7: a UUIDv7 begins with 48 bits of milliseconds since the epoch. */
export function madeAt(id: string): number {
  if (!z.uuidv7().safeParse(id).success) return 0;
  return Number.parseInt(id.slice(0, 8) + id.slice(9, 13), 16);
}

/** The question whether a call is in a scope; asked on every call, so what can be prepared is. */
export function compileScope({ connection, user, tool }: FreezeScope): (call: FreezableCall) => boolean {
  const isTool = tool === undefined ? undefined : compileGlob(tool);
  const email = user?.toLowerCase();
  return (call) => {
    if (connection !== undefined && call.connection !== connection) return false;
    const { subject, email: own } = call.principal;
    if (user !== undefined && subject !== user && own?.toLowerCase() !== email) return false;
    if (isTool === undefined) return true;
    // A call whose tool is no string is none that can be let through: a careless server may make a string of it.
    return call.messages.some(({ method, name }) => method === 'tools/call' && (name === undefined || isTool(name)));
  };
}

/** What the client is told: why and until when, not by whom. */
export function frozenError(found: Freeze, fate: Fate = 'not_forwarded'): GatewayError {
  return new GatewayError('frozen', fate, `Until ${untilOf(found)}: ${found.reason}`);
}

/** `2026-11-23T18:04:05Z`, or `it is lifted`. */
export function untilOf({ expires }: Freeze): string {
  return expires === undefined ? 'it is lifted' : new Date(expires).toISOString().replace(/\.\d+Z$/, 'Z');
}

/** The facts of a freeze for audit objects, events, logs and JSON output. */
export function freezeFacts({ id, scope, reason, actor, at, expires }: Freeze): Record<string, unknown> {
  const until = expires === undefined ? {} : { expires: new Date(expires).toISOString() };
  return { id, scope, reason, actor, at: new Date(at).toISOString(), ...until };
}
