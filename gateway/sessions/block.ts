/**
 * A block: a principal that no gateway lets in until that is lifted, and whose open sessions end. It is one state object,
 * only ever created; a second one, its tombstone, lifts it.
 */
import { z } from 'zod';
import { GatewayError } from '../errors.ts';
import type { Principal } from '../identity/principal.ts';
import { freezeParts, madeAt, oneLine, time } from './freeze.ts';
import { type StandingKind, standingName } from './standing.ts';

export interface Block {
  readonly id: string;
  readonly who: BlockedPrincipal | { readonly all: true };
  readonly reason: string;
  readonly actor: string;
  /** Milliseconds since the epoch. */
  readonly at: number;
}

export interface BlockedPrincipal {
  /** An e-mail address in any case, or a subject to the letter. */
  readonly principal: string;
  /** To the letter; absent: whichever issuer the principal is of. */
  readonly issuer?: string;
}

export const BLOCKS = 'blocks/';

export function blockName(id: string): string {
  return standingName(BLOCKS, id);
}

export const blockParts = {
  principal: freezeParts.user,
  issuer: oneLine(2048),
  reason: freezeParts.reason,
  actor: freezeParts.actor,
};

const block = z.strictObject({
  id: z.uuidv7().lowercase(),
  who: z.strictObject({ principal: blockParts.principal, issuer: blockParts.issuer.exactOptional() }),
  reason: blockParts.reason,
  actor: blockParts.actor,
  at: time,
});

/** The bytes of its state object. Throws where they could not be read back. */
export function writeBlock(made: Block): Buffer {
  return Buffer.from(`${JSON.stringify(block.parse(made))}\n`);
}

/** What can't be understood could have blocked anybody, so it blocks everybody until it is lifted. */
function readBlock(id: string, bytes: Uint8Array): Block {
  let value: unknown;
  try {
    value = JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(bytes));
  } catch {
    return unreadable(id);
  }
  const read = block.safeParse(value);
  return read.success && read.data.id === id ? read.data : unreadable(id);
}

export const blockKind: StandingKind<Block> = { prefix: BLOCKS, read: readBlock };

function unreadable(id: string): Block {
  const reason = 'A block in the state store can not be read, so everybody is blocked.';
  return { id, who: { all: true }, reason, actor: 'unknown', at: madeAt(id) };
}

export function covers({ who }: Block, { issuer, subject, email }: Pick<Principal, 'issuer' | 'subject' | 'email'>) {
  if ('all' in who) return true;
  if (who.issuer !== undefined && who.issuer !== issuer) return false;
  return who.principal === subject || who.principal.toLowerCase() === email?.toLowerCase();
}

/** What the client is told: by its id the block can be found, why and by whom is for operators. */
export function blockedError({ id }: Block): GatewayError {
  return new GatewayError('principal_blocked', 'not_forwarded', `Block ${id}.`);
}

/** The facts of a block for audit objects, events, logs and JSON output. */
export function blockFacts({ id, who, reason, actor, at }: Block): Record<string, unknown> {
  return { id, ...who, reason, actor, at: new Date(at).toISOString() };
}
