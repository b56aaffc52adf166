/** Processes of a soak: each is a file of this folder that answers orders over its IPC channel, one at a time or many. */
import { type ChildProcess, fork } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';

export interface Peer {
  readonly pid: number;
  /** Rejects with what the order threw in the other process, or where that process ends first. */
  ask<T>(order: string, input?: unknown): Promise<T>;
  stop(): Promise<void>;
}

interface Asking {
  done(value: unknown): void;
  fail(error: Error): void;
}

/** Orders over a child that was started with an IPC channel. */
export function peerOf(child: ChildProcess, name: string): Peer {
  let serial = 0;
  const waiting = new Map<number, Asking>();
  const exited = once(child, 'exit');
  child.on('message', (message) => {
    const { number, value, error } = message as { number: number; value?: unknown; error?: string };
    const asking = waiting.get(number);
    waiting.delete(number);
    if (error === undefined) asking?.done(value);
    else asking?.fail(new Error(`${name}: ${error}`));
  });
  void exited.then(([code, signal]) => {
    for (const { fail } of waiting.values()) fail(new Error(`${name} has ended (${code ?? signal}).`));
    waiting.clear();
  });
  return {
    pid: child.pid ?? 0,
    ask: <T>(order: string, input?: unknown): Promise<T> =>
      new Promise<T>((done, fail) => {
        if (child.exitCode !== null || child.signalCode !== null) return fail(new Error(`${name} has ended.`));
        const number = ++serial;
        waiting.set(number, { done: done as (value: unknown) => void, fail });
        child.send({ number, order, input });
      }),
    async stop() {
      if (child.exitCode === null && child.signalCode === null) child.kill('SIGKILL');
      await exited;
    },
  };
}

/** Starts one of this folder's files that call `answerOrders`. */
export function startPeer(file: string): Peer {
  const child = fork(fileURLToPath(new URL(file, import.meta.url)), [], {
    stdio: ['ignore', 'inherit', 'inherit', 'ipc'],
  });
  return peerOf(child, file);
}

/** In the other process. It ends with the one that started it, however that ends. */
export function answerOrders(orders: Readonly<Record<string, (input: never) => unknown>>): void {
  process.on('message', (message) => {
    const { number, order, input } = message as { number: number; order: string; input: unknown };
    const work = async (): Promise<unknown> => {
      const one = orders[order];
      if (one === undefined) throw new Error(`There is no order ${order}.`);
      return one(input as never);
    };
    work().then(
      (value) => process.send?.({ number, value }),
      (error: unknown) => process.send?.({ number, error: error instanceof Error ? error.message : String(error) }),
    );
  });
  process.on('disconnect', () => process.exit());
}
