/** The few file operations that the journal stands on, so that tests can hold an fdatasync back or make it fail. */
import fs from 'node:fs';
import { promisify } from 'node:util';
import { syncFolder } from '../durable-file.ts';

export interface FileSystem {
  open(path: string, flags: string, mode?: number): Promise<number>;
  /** Resolves the number of bytes written, which may be fewer than given. */
  writev(fd: number, buffers: Buffer[], position: number): Promise<number>;
  read(fd: number, into: Buffer, offset: number, length: number, position: number): Promise<number>;
  fdatasync(fd: number): Promise<void>;
  syncFolder(path: string): Promise<void>;
  close(fd: number): Promise<void>;
  unlink(path: string): Promise<void>;
}

export const nodeFileSystem: FileSystem = {
  open: promisify(fs.open),
  writev: (fd, buffers, position) =>
    new Promise((done, fail) => {
      fs.writev(fd, buffers, position, (error, written) => (error === null ? done(written) : fail(error)));
    }),
  read: (fd, into, offset, length, position) =>
    new Promise((done, fail) => {
      fs.read(fd, into, offset, length, position, (error, count) => (error === null ? done(count) : fail(error)));
    }),
  fdatasync: promisify(fs.fdatasync),
  syncFolder,
  close: promisify(fs.close),
  unlink: promisify(fs.unlink),
};
