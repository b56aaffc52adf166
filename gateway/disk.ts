/**
 * A replica's disk: the folder that holds its journal, its write-ahead rounds and its keys. A disk has one random id,
 * made with it and never reused: the id of its ledger. One process at a time may use it.
 */
import { generateKeyPairSync, hkdfSync, randomBytes } from 'node:crypto';
import { join, resolve } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { uuidv7 } from 'uuidv7';
import { makeFolder, readIfThere, removeTemporaries, writeDurably } from './durable-file.ts';

export interface Disk {
  readonly path: string;
  /** Id of this disk's ledger. */
  readonly ledger: string;
  readonly keys: {
    /** Chains the journal's records, so that a foreign or reordered record is not adopted. */
    readonly journal: Buffer;
    /** Seals `Mcp-Session-Id`s. */
    readonly sealing: Buffer;
    /** PKCS #8 PEM, P-256: signs who calls, for upstreams that are told. */
    readonly identity: string;
    /** From which each session's witness and fingerprint key is derived. */
    readonly witness: Buffer;
    /** From which the authorization server's keys are derived, where the configuration names no secret for them. */
    readonly login: Buffer;
  };
  release(): Promise<void>;
}

const SQLITE_BUSY = 5;
const UUID = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/;
/** Locks end when they are collected, so they are kept here. */
const held = new Set<DatabaseSync>();

/** The disk is in use, by another process or by another gateway of this one. */
export class DiskBusyError extends Error {
  override readonly name = 'DiskBusyError';
}

export async function openDisk(path: string): Promise<Disk> {
  const root = resolve(path);
  await makeFolder(root).catch((cause: unknown) => {
    throw new Error(`${root} can't be used as the gateway's disk (data): it is no folder, or may not be written.`, {
      cause,
    });
  });
  const lock = lockDisk(root);
  try {
    const keys = join(root, 'keys');
    await makeFolder(keys);
    await removeTemporaries(root);
    await removeTemporaries(keys);
    const id = await readIfThere(join(root, 'ledger-id'));
    const key = id === undefined ? orCreate : mustBeThere;
    const master = await key(join(keys, 'master'), () => randomBytes(32));
    // Made where it is missing on an older disk too: nothing that was recorded needs it.
    const identity = await orCreate(join(keys, 'identity.pem'), () =>
      Buffer.from(
        generateKeyPairSync('ec', { namedCurve: 'P-256' }).privateKey.export({ type: 'pkcs8', format: 'pem' }),
      ),
    );
    // Last: a disk that has its id has had its keys.
    const ledger = (await orCreate(join(root, 'ledger-id'), () => Buffer.from(`${uuidv7()}\n`))).toString().trim();
    if (!UUID.test(ledger)) throw new Error(`${join(root, 'ledger-id')} does not hold a ledger's id.`);
    const derive = (purpose: string): Buffer => Buffer.from(hkdfSync('sha256', master, '', `verbatim/${purpose}`, 32));
    return {
      path: root,
      ledger,
      keys: {
        identity: identity.toString(),
        journal: derive('journal'),
        sealing: derive('sealing'),
        witness: derive('witness'),
        login: derive('login'),
      },
      release: async () => lock.release(),
    };
  } catch (error) {
    lock.release();
    throw error;
  }
}

/** A disk that a gateway has used: nothing is made where there is none. */
export async function openUsedDisk(path: string): Promise<Disk> {
  const root = resolve(path);
  if ((await readIfThere(join(root, 'ledger-id'))) === undefined) {
    throw new Error(`${root} is no disk of a gateway: it has no ledger-id.`);
  }
  return openDisk(root);
}

async function mustBeThere(path: string): Promise<Buffer> {
  const there = await readIfThere(path);
  // A new key in its place would make the journal unreadable and the ledger's signatures those of a stranger.
  if (there === undefined) throw new Error(`${path} is missing from a disk that has been in use. Restore it.`);
  return there;
}

async function orCreate(path: string, make: () => Buffer): Promise<Buffer> {
  const there = await readIfThere(path);
  if (there !== undefined) return there;
  const made = make();
  await writeDurably(path, [made]);
  return made;
}

/**
 * Node has no flock. SQLite's exclusive lock on an empty file is one that the kernel holds for this process: it is taken
 * in one step, ends with the process however that ends, and leaves nothing stale behind. SQLite's own journal stays in
 * memory: as a file it would need room, and a full disk could be neither started on nor sealed. (Node's SQLite is
 * defensive, and does not turn it off.)
 */
function lockDisk(root: string): { release(): void } {
  const lock = new DatabaseSync(join(root, 'disk.lock'));
  try {
    lock.exec('PRAGMA journal_mode = MEMORY; BEGIN EXCLUSIVE');
  } catch (error) {
    lock.close();
    if ((error as { errcode?: number }).errcode !== SQLITE_BUSY) throw error;
    throw new DiskBusyError(`${root} is in use by another Verbatim process. Stop it, or give this one its own folder.`);
  }
  held.add(lock);
  return {
    release() {
      if (held.delete(lock)) lock.close();
    },
  };
}
