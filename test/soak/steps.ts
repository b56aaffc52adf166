/**
 * A recorder that takes its process with it. Each step that can be the last one passes through here; at the one that was
 * ordered the process kills itself with SIGKILL, before it, after it or while it runs. kill(2) to oneself does not return.
 */
import { writeSync } from 'node:fs';
import { type FileSystem, nodeFileSystem } from '../../gateway/recording/file-system.ts';
import type { RecorderOptions } from '../../gateway/recording/recorder.ts';
import { createWriteAhead } from '../../gateway/recording/write-ahead.ts';
import type { Death, Step } from './death.ts';

export interface Steps {
  /** From now on the process dies at this step. */
  order(death: Death): void;
  standingOn(parts: RecorderOptions): RecorderOptions;
}

export function createSteps(): Steps {
  let ordered: Death | undefined;
  let left = 0;

  async function step<T>(name: Step, run: () => Promise<T>): Promise<T> {
    const death = ordered;
    if (death?.step !== name || left-- > 0) return run();
    if (death.when === 'before') die(death);
    const running = run();
    if (death.when === 'during') setImmediate(die, death);
    const result = await running;
    if (death.when === 'after') die(death);
    return result;
  }

  function fileSystem(fs: FileSystem): FileSystem {
    return {
      ...fs,
      open: (path, flags, mode) =>
        flags === 'r' ? fs.open(path, flags, mode) : step('journal open', () => fs.open(path, flags, mode)),
      writev: (fd, buffers, position) => step('journal write', () => fs.writev(fd, buffers, position)),
      fdatasync: (fd) => step('journal fdatasync', () => fs.fdatasync(fd)),
      syncFolder: (path) => step('journal folder sync', () => fs.syncFolder(path)),
      unlink: (path) => step('journal unlink', () => fs.unlink(path)),
    };
  }

  return {
    order(death) {
      ordered = death;
      left = death.skip;
    },
    standingOn(parts) {
      const writeAhead = parts.writeAhead ?? createWriteAhead(parts.path);
      const { signer, store } = parts;
      return {
        ...parts,
        fileSystem: fileSystem(parts.fileSystem ?? nodeFileSystem),
        signer: { ...signer, sign: (text) => step('sign', () => signer.sign(text)) },
        store: { ...store, create: (name, bytes) => step(storing(name), () => store.create(name, bytes)) },
        writeAhead: {
          ...writeAhead,
          writeState: (state) => step('write state', () => writeAhead.writeState(state)),
          writeRound: (round) => step('write round', () => writeAhead.writeRound(round)),
          clearRound: () => step('clear round', () => writeAhead.clearRound()),
          writeCheckpoint: (checkpoint) => step('write checkpoint', () => writeAhead.writeCheckpoint(checkpoint)),
        },
      };
    },
  };
}

function storing(name: string): Step {
  if (name.startsWith('recordings/')) return 'store segment';
  if (name.startsWith('sessions/')) return 'store summary';
  return name.includes('/checkpoint/') ? 'store checkpoint' : 'store entries';
}

function die(death: Death): void {
  writeSync(1, `${JSON.stringify({ died: death })}\n`);
  process.kill(process.pid, 'SIGKILL');
}
