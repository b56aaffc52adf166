/** Steps of one stream, one after another: behind one that waits for something, the others wait too. */
export interface InOrder {
  /** Runs the step now, or when those before it are done. A step never throws and never rejects. */
  add(step: () => void | Promise<void>): void;
  readonly waiting: boolean;
}

export function createInOrder(onWaiting: (waiting: boolean) => void): InOrder {
  const queue: (() => void | Promise<void>)[] = [];
  let waiting = false;

  function run(): void {
    while (!waiting) {
      const done = queue.shift()?.();
      if (done !== undefined) hold(done);
      if (queue.length === 0) return;
    }
  }

  function hold(done: Promise<void>): void {
    waiting = true;
    onWaiting(true);
    void done.finally(() => {
      waiting = false;
      onWaiting(false);
      run();
    });
  }

  return {
    add(step) {
      queue.push(step);
      run();
    },
    get waiting() {
      return waiting;
    },
  };
}
