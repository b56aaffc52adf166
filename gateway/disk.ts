/**
 * A replica's disk: the folder that holds its journal, its write-ahead rounds and its keys. A disk has one random id,
 * made with it and never reused: the id of its ledger. One process at a time may use it.
 */
import { generateKeyPairSync, hkdfSync, randomBytes } from 'node:crypto';
import { rm } from 'node:fs/promises';
import { createConnection, createServer, type Server } from 'node:net';
import { join, relative, resolve } from 'node:path';
import { uuidv7 } from 'uuidv7';
import { makeFolder, readIfThere, writeDurably } from './durable-file.ts';

export interface Disk {
  readonly path: string;
  /** Id of this disk's ledger. */
  readonly ledger: string;
  readonly keys: {
    /** PKCS #8 PEM, Ed25519: signs this ledger's checkpoints. */
    readonly ledgerSigning: string;
    /** Chains the journal's records, so that a foreign or reordered record is not adopted. */
    readonly journal: Buffer;
    /** Seals `Mcp-Session-Id`s. */
    readonly sealing: Buffer;
    /** From which each session's witness and fingerprint key is derived. */
    readonly witness: Buffer;
  };
  release(): Promise<void>;
}

/** The disk is in use by another process. */
class DiskBusyError extends Error {
  override readonly name = 'DiskBusyError';
}

export async function openDisk(path: string): Promise<Disk> {
  const root = resolve(path);
  await makeFolder(root);
  const lock = await lockDisk(root);
  try {
    const keys = join(root, 'keys');
    await makeFolder(keys);
    const ledger = (await orCreate(join(root, 'ledger-id'), () => Buffer.from(`${uuidv7()}\n`))).toString().trim();
    const master = await orCreate(join(keys, 'master'), () => randomBytes(32));
    const ledgerSigning = await orCreate(join(keys, 'ledger.pem'), () =>
      Buffer.from(generateKeyPairSync('ed25519').privateKey.export({ type: 'pkcs8', format: 'pem' })),
    );
    const derive = (purpose: string): Buffer => Buffer.from(hkdfSync('sha256', master, '', `verbatim/${purpose}`, 32));
    return {
      path: root,
      ledger,
      keys: {
        ledgerSigning: ledgerSigning.toString(),
        journal: derive('journal'),
        sealing: derive('sealing'),
        witness: derive('witness'),
      },
      release: () => new Promise((done) => lock.close(() => done())),
    };
  } catch (error) {
    lock.close();
    throw error;
  }
}

async function orCreate(path: string, make: () => Buffer): Promise<Buffer> {
  const there = await readIfThere(path);
  if (there !== undefined) return there;
  const made = make();
  await writeDurably(path, [made]);
  return made;
}

/**
 * Node has no flock. A Unix socket that somebody listens on is a lock that dies with its process: a socket file on which
 * nobody answers is a dead process's and is replaced.
 */
async function lockDisk(root: string): Promise<Server> {
  // Socket paths are limited to about 100 bytes: the shorter of the absolute and the relative path is used.
  const absolute = join(root, 'lock');
  const near = relative(process.cwd(), absolute);
  const path = near.length < absolute.length ? near : absolute;
  for (let attempt = 0; attempt < 3; attempt++) {
    const server = createServer((socket) => socket.end());
    const listening = await new Promise<boolean>((done, fail) => {
      server.once('error', (error: NodeJS.ErrnoException) => (error.code === 'EADDRINUSE' ? done(false) : fail(error)));
      server.listen(path, () => done(true));
    });
    if (listening) {
      server.unref();
      return server;
    }
    if (await answers(path)) {
      throw new DiskBusyError(
        `${root} is in use by another Verbatim process. Stop it, or give this one its own folder.`,
      );
    }
    await rm(path, { force: true });
  }
  throw new DiskBusyError(`${root} could not be locked: another process keeps taking it.`);
}

function answers(path: string): Promise<boolean> {
  return new Promise((done) => {
    const socket = createConnection(path);
    socket.once('connect', () => {
      socket.destroy();
      done(true);
    });
    socket.once('error', () => done(false));
  });
}
