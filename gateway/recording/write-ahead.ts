/**
 * What sealing keeps beside the journal. Every name and byte that will be stored is on this disk before the first upload
 * begins, so that after a crash the same bytes go to the same names, and "exists" can only mean "ours, stored".
 *
 *     state.json            where sealing stands: rewritten after each round
 *     round                 the objects of the round under way, and the state that holds once they are stored
 *     checkpoint            the signed checkpoint that is being stored
 */

import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import { z } from 'zod';
import { readIfThere, syncFolder, writeDurably } from '../durable-file.ts';
import type { LedgerKey } from '../ledger/keys.ts';
import type { Position } from './journal-file.ts';
import { isNoSpace } from './reserve.ts';
import type { StrandState } from './strand.ts';
import { textOf } from './strand-snapshot.ts';

export interface LedgerState {
  readonly v: 1;
  readonly ledger: string;
  /** The journal is sealed up to here. */
  readonly sealed: Position;
  /** Number of the next entries object and of the next checkpoint. */
  readonly nextEntries: number;
  readonly nextCheckpoint: number;
  /** The tree over all leaves of stored entries. */
  readonly frontier: { readonly size: number; readonly hashes: readonly string[] };
  /** How many leaves the newest stored checkpoint covers, and the SHA-256 of its note. */
  readonly checkpointed: number;
  readonly lastCheckpoint?: string;
  /** The key in force and those announced after it. Absent before the ledger's first checkpoint. */
  readonly keys?: readonly LedgerKey[];
  readonly strands: readonly StrandState[];
  /** Written by an orderly stop, milliseconds; absent while running, so that its absence at start means a crash. */
  readonly stopped?: number;
  /** When the ledger was closed: its disk is retired. */
  readonly closed?: string;
  readonly loss?: Loss;
  /** An object that another owner of this ledger has stored: nothing more may be sealed from this disk. */
  readonly taken?: string;
  /** With `stopped`: where the journal ended. Absent in what older versions wrote. */
  readonly end?: Position;
  /** Absent where a checkpoint covers all that is stored, and in what older versions wrote. */
  readonly uncovered?: Uncovered;
}

/** Since when the oldest line waits of those that are stored and not under a checkpoint yet. */
export interface Uncovered {
  /** Milliseconds. */
  readonly since: number;
  /** The next checkpoint's number then: an older version keeps this field and does not know when it is over. */
  readonly nextCheckpoint: number;
}

/** What a damaged journal lost, and somebody accepted: the ledger says so, and the journal counts up to `at` alone. */
export interface Loss {
  readonly at: Position;
  /** New journal files begin with this number; those between are as lost as what lies behind `at`. */
  readonly next: number;
  readonly reason: string;
  readonly from: string;
  readonly to: string;
  /** The ledger has its gap. */
  readonly told?: true;
}

/** One object to store, with its exact bytes. */
export interface StoredObject {
  readonly name: string;
  readonly bytes: Buffer;
}

export interface Round {
  readonly objects: readonly StoredObject[];
  /** The state once they are stored. */
  readonly after: LedgerState;
}

export interface SignedCheckpoint {
  readonly number: number;
  readonly size: number;
  readonly note: string;
}

/** Raised whenever the journal or anything beside it comes to mean something else. */
const FORMAT = 1;

const position = z.object({ file: z.int(), offset: z.int() });
const stateSchema = z.looseObject({
  v: z.literal(FORMAT),
  ledger: z.string(),
  sealed: position,
  nextEntries: z.int(),
  nextCheckpoint: z.int(),
  frontier: z.object({ size: z.int(), hashes: z.array(z.string()) }),
  checkpointed: z.int(),
  keys: z.array(z.looseObject({ verifierKey: z.string(), leaf: z.int() })).optional(),
  stopped: z.number().optional(),
  taken: z.string().optional(),
  closed: z.string().optional(),
  loss: z
    .looseObject({
      at: position,
      next: z.int(),
      reason: z.string(),
      from: z.string(),
      to: z.string(),
      told: z.literal(true).optional(),
    })
    .optional(),
  end: position.optional(),
  uncovered: z.looseObject({ since: z.number(), nextCheckpoint: z.int() }).optional(),
  strands: z.array(
    z.looseObject({
      session: z.string(),
      durability: z.enum(['disk', 'bucket', 'memory']).optional(),
      sealedThrough: z.int(),
      foldedThrough: z.int(),
    }),
  ),
});
const roundHeader = z.object({
  objects: z.array(z.object({ name: z.string(), size: z.int() })),
  after: stateSchema,
});
const checkpointSchema = z.object({ number: z.int(), size: z.int(), note: z.string() });

export interface WriteAhead {
  readState(): Promise<LedgerState | undefined>;
  writeState(state: LedgerState): Promise<void>;
  readRound(): Promise<Round | undefined>;
  writeRound(round: Round): Promise<void>;
  clearRound(): Promise<void>;
  readCheckpoint(): Promise<SignedCheckpoint | undefined>;
  /** It stays until the next one replaces it: its number says whether it is still to be stored. */
  writeCheckpoint(checkpoint: SignedCheckpoint): Promise<void>;
  /** What can be read is durable, also where its write said that it failed. */
  confirm(): Promise<void>;
}

/** `makeRoom`: the disk is full; resolves whether there may be room now. */
export function createWriteAhead(folder: string, makeRoom?: () => Promise<boolean>): WriteAhead {
  const path = (name: string): string => join(folder, name);

  async function write(name: string, chunks: readonly Uint8Array[]): Promise<void> {
    try {
      await writeDurably(path(name), chunks);
    } catch (error) {
      if (!isNoSpace(error) || !(await makeRoom?.().catch(() => false))) throw error;
      await writeDurably(path(name), chunks);
    }
  }
  return {
    async readState() {
      const bytes = await readIfThere(path('state.json'));
      if (bytes === undefined) return undefined;
      const value: unknown = JSON.parse(bytes.toString());
      // Older code must not go on where a later version stopped: it would write numbers anew that mean something by now.
      const format = typeof value === 'object' && value !== null && 'v' in value ? value.v : undefined;
      if (typeof format === 'number' && format > FORMAT) {
        throw new Error(
          `${path('state.json')} has format ${format}, and this version of Verbatim knows ${FORMAT}. Start the version that wrote it: nothing was changed.`,
        );
      }
      return stateSchema.parse(value) as unknown as LedgerState;
    },
    writeState: (state) => write('state.json', [Buffer.from(jsonOf(state))]),
    async readRound() {
      const bytes = await readIfThere(path('round'));
      if (bytes === undefined) return undefined;
      const newline = bytes.indexOf(0x0a);
      const header = roundHeader.parse(JSON.parse(bytes.subarray(0, newline).toString()));
      let at = newline + 1;
      const objects = header.objects.map(({ name, size }) => {
        const object = { name, bytes: bytes.subarray(at, at + size) };
        at += size;
        return object;
      });
      if (at !== bytes.length) throw new Error(`${path('round')} is damaged: ${bytes.length} bytes, expected ${at}.`);
      return { objects, after: header.after as unknown as LedgerState };
    },
    writeRound(round) {
      const objects = round.objects.map(({ name, bytes }) => ({ name, size: bytes.length }));
      return write('round', [
        Buffer.from(`{"objects":${JSON.stringify(objects)},"after":${jsonOf(round.after)}}\n`),
        ...round.objects.map((object) => object.bytes),
      ]);
    },
    async clearRound() {
      await rm(path('round'), { force: true });
      await syncFolder(folder);
    },
    async readCheckpoint() {
      const bytes = await readIfThere(path('checkpoint'));
      return bytes === undefined ? undefined : checkpointSchema.parse(JSON.parse(bytes.toString()));
    },
    writeCheckpoint: (checkpoint) => write('checkpoint', [Buffer.from(JSON.stringify(checkpoint))]),
    confirm: () => syncFolder(folder),
  };
}

/** The strands by hand: thousands of them are written with each round, and few have changed since the one before. */
function jsonOf({ strands, ...rest }: LedgerState): string {
  return `${JSON.stringify(rest).slice(0, -1)},"strands":[${strands.map(textOf).join(',')}]}`;
}
