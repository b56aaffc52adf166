/** A file system whose fdatasyncs can be held back: the test decides when a commit returns. */
import { type FileSystem, nodeFileSystem } from '../gateway/recording/file-system.ts';

export interface Gate {
  readonly fileSystem: FileSystem;
  /** From now on every fdatasync waits. */
  hold(): void;
  /** Resolves when one waits. */
  waiting(): Promise<void>;
  /** Lets the one that waits return, and keeps holding. */
  releaseOne(): void;
  /** Lets all return and holds no more. */
  open(): void;
  /** Makes every write and fdatasync fail until `open`. */
  fail(error: Error): void;
}

export function createGate(): Gate {
  let held = false;
  let failing: Error | undefined;
  let queue: (() => void)[] = [];
  let listeners: (() => void)[] = [];
  return {
    fileSystem: {
      ...nodeFileSystem,
      async writev(fd, buffers, position) {
        if (failing !== undefined) throw failing;
        return nodeFileSystem.writev(fd, buffers, position);
      },
      async fdatasync(fd) {
        if (held) {
          await new Promise<void>((done) => {
            queue.push(done);
            for (const listener of listeners) listener();
            listeners = [];
          });
        }
        if (failing !== undefined) throw failing;
        await nodeFileSystem.fdatasync(fd);
      },
    },
    hold() {
      held = true;
    },
    waiting: () => (queue.length > 0 ? Promise.resolve() : new Promise((done) => listeners.push(done))),
    releaseOne: () => queue.shift()?.(),
    open() {
      held = false;
      failing = undefined;
      const all = queue;
      queue = [];
      for (const release of all) release();
    },
    fail(error) {
      failing = error;
    },
  };
}
