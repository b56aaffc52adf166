/** Runs `step` every so often, never twice at once; `stop` waits for the one under way. */
export function repeat(
  step: () => Promise<void>,
  every: number,
  failed: (error: unknown) => void,
): { stop(): Promise<void> } {
  let running: Promise<void> = Promise.resolve();
  let busy = false;
  const timer = setInterval(() => {
    if (busy) return;
    busy = true;
    running = step()
      .catch(failed)
      .finally(() => {
        busy = false;
      });
  }, every);
  return {
    async stop() {
      clearInterval(timer);
      await running;
    },
  };
}
