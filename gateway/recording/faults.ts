/**
 * Disks, stores and signers that fail on demand, for tests of what records. The real parts do the work; what is here
 * decides whether a step is done, and whether its caller hears of it.
 */
import { stat, truncate, unlink } from 'node:fs/promises';
import { dirname } from 'node:path';
import type { Signer } from '../ledger/signer.ts';
import type { Store } from '../store/store.ts';
import { type FileSystem, nodeFileSystem } from './file-system.ts';
import type { WriteAhead } from './write-ahead.ts';

type Operation = 'open' | 'writev' | 'fdatasync' | 'syncFolder' | 'unlink';

export interface Fault {
  readonly code: 'EIO' | 'ENOSPC';
  /** Failed and persisted, or failed and not persisted: the caller hears the same. */
  readonly persists: boolean;
}

export interface FaultyFileSystem extends FileSystem {
  /** Operations on journal files so far. */
  readonly calls: Record<Operation, number>;
  /** Operations that failed so far. */
  failures(): number;
  /** The next `times` of this operation fail; `skip` succeed before them. */
  fail(operation: Operation, fault: Fault, times?: number, skip?: number): void;
  heal(): void;
  /** Each write takes at most so many bytes. */
  shortWrites(bytes: number): void;
  /** Holds every fdatasync until the release; `reached` resolves when the first one waits. */
  hold(): { reached: Promise<void>; release(): void };
  /** What was never synced is gone, bytes and names. Descriptors that are open then must not be used again. */
  cutPower(): Promise<void>;
}

export function createFaultyFileSystem(): FaultyFileSystem {
  const calls = { open: 0, writev: 0, fdatasync: 0, syncFolder: 0, unlink: 0 };
  const faults: { operation: Operation; fault: Fault; times: number; skip: number }[] = [];
  const paths = new Map<number, string>();
  // Descriptors whose fdatasync failed: later ones succeed, and write nothing that was dropped.
  const lying = new Set<number>();
  const synced = new Map<string, { length: number; named: boolean }>();
  let failures = 0;
  let shortest = Number.POSITIVE_INFINITY;
  let gate: { promise: Promise<void>; reached(): void } | undefined;

  async function step<T>(operation: Operation, run: () => Promise<T>, undo: () => Promise<void>): Promise<T> {
    calls[operation]++;
    const due = faults.find((entry) => entry.operation === operation && entry.times > 0);
    if (due === undefined) return run();
    if (due.skip > 0) {
      due.skip--;
      return run();
    }
    due.times--;
    failures++;
    if (due.fault.persists) await run();
    else await undo();
    throw Object.assign(new Error(`${due.fault.code}: ${operation}`), { code: due.fault.code });
  }

  const nothing = async (): Promise<void> => {};
  const of = (path: string) => synced.get(path) ?? { length: 0, named: false };

  return {
    calls,
    failures: () => failures,
    fail: (operation, fault, times = 1, skip = 0) => void faults.push({ operation, fault, times, skip }),
    heal: () => void faults.splice(0),
    shortWrites: (bytes) => {
      shortest = bytes;
    },
    hold() {
      const first = Promise.withResolvers<void>();
      const { promise, resolve } = Promise.withResolvers<void>();
      gate = { promise, reached: first.resolve };
      return {
        reached: first.promise,
        release() {
          gate = undefined;
          resolve();
        },
      };
    },
    async cutPower() {
      for (const [path, { length, named }] of synced) {
        if (!named) await unlink(path).catch(nothing);
        else await truncate(path, length).catch(nothing);
      }
    },
    open: (path, flags, mode) =>
      step(
        'open',
        async () => {
          const fd = await nodeFileSystem.open(path, flags, mode);
          paths.set(fd, path);
          lying.delete(fd);
          if (!synced.has(path)) synced.set(path, of(path));
          return fd;
        },
        nothing,
      ),
    writev: (fd, buffers, position) =>
      step('writev', () => nodeFileSystem.writev(fd, shortened(buffers, shortest), position), nothing),
    read: nodeFileSystem.read,
    async fdatasync(fd) {
      gate?.reached();
      await gate?.promise;
      const path = paths.get(fd) ?? '';
      const durable = of(path).length;
      await step(
        'fdatasync',
        async () => {
          await nodeFileSystem.fdatasync(fd);
          if (!lying.has(fd)) synced.set(path, { ...of(path), length: (await stat(path)).size });
        },
        // The kernel drops the pages that it could not write, and calls them clean.
        () => {
          lying.add(fd);
          return truncate(path, durable);
        },
      );
    },
    syncFolder: (folder) =>
      step(
        'syncFolder',
        async () => {
          await nodeFileSystem.syncFolder(folder);
          for (const [path, entry] of synced) if (dirname(path) === folder) entry.named = true;
        },
        nothing,
      ),
    close: nodeFileSystem.close,
    unlink: (path) => step('unlink', () => nodeFileSystem.unlink(path), nothing),
  };
}

function shortened(buffers: Buffer[], most: number): Buffer[] {
  const whole = Buffer.concat(buffers);
  return whole.length > most ? [whole.subarray(0, most)] : buffers;
}

/** A process that dies at one of its steps: the step is done or not, and neither it nor any later one is heard of. */
export interface Dying {
  readonly steps: readonly string[];
  readonly dead: boolean;
  kill(): void;
  store(store: Store): Store;
  signer(signer: Signer): Signer;
  writeAhead(writeAhead: WriteAhead): WriteAhead;
  fileSystem(fs: FileSystem): FileSystem;
}

/** `at` is the step that it dies at, `done` whether that one is still done. Without `at` it lives. */
export function createDying(at = Number.POSITIVE_INFINITY, done = false): Dying {
  const steps: string[] = [];
  let dead = false;
  async function step<T>(name: string, run: () => Promise<T>): Promise<T> {
    if (dead) throw new Error('dead');
    const mine = steps.push(name) - 1;
    if (mine === at) {
      dead = true;
      if (done) await run();
      throw new Error(`died at ${name}`);
    }
    const result = await run();
    if (dead) throw new Error('dead');
    return result;
  }
  return {
    steps,
    get dead() {
      return dead;
    },
    kill() {
      dead = true;
    },
    store: (store) => ({ ...store, create: (name, bytes) => step(`store ${name}`, () => store.create(name, bytes)) }),
    signer: (signer) => ({ ...signer, sign: (text) => step('sign', () => signer.sign(text)) }),
    writeAhead: (writeAhead) => ({
      ...writeAhead,
      writeState: (state) => step('writeState', () => writeAhead.writeState(state)),
      writeRound: (round) => step('writeRound', () => writeAhead.writeRound(round)),
      clearRound: () => step('clearRound', () => writeAhead.clearRound()),
      writeCheckpoint: (checkpoint) => step('writeCheckpoint', () => writeAhead.writeCheckpoint(checkpoint)),
    }),
    fileSystem: (fs) => ({
      ...fs,
      open: (path, flags, mode) =>
        step(`open ${flags}`, async () => {
          const fd = await fs.open(path, flags, mode);
          // A process that dies closes all that it has.
          if (dead) await fs.close(fd);
          return fd;
        }),
      writev: (fd, buffers, position) => step('writev', () => fs.writev(fd, buffers, position)),
      fdatasync: (fd) => step('fdatasync', () => fs.fdatasync(fd)),
      syncFolder: (path) => step('syncFolder', () => fs.syncFolder(path)),
      unlink: (path) => step('unlink', () => fs.unlink(path)),
    }),
  };
}
