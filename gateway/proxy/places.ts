/**
 * Places of which there are so many, in the order of asking. At an upstream there is one for each of its sockets. Who waits
 * for one waits here and not in the pool's own queue: from here a call that is over goes at once, body and all, and a freeze
 * or an end is asked about once more before it goes out.
 */
import { GatewayError } from '../errors.ts';

export interface Places {
  /**
   * Resolves with the function that gives the place back. Rejects with the error `late` after `within` milliseconds, and
   * with the signal's reason.
   */
  take(signal: AbortSignal, within: number): Promise<() => void>;
}

export function createPlaces(most: number, late: () => GatewayError = allInUse): Places {
  let free = most;
  const waiting = new Set<() => void>();

  function once(): () => void {
    let isTaken = true;
    return () => {
      if (!isTaken) return;
      isTaken = false;
      const [next] = waiting;
      if (next === undefined) free++;
      else next();
    };
  }

  return {
    take(signal, within) {
      if (signal.aborted) return Promise.reject(signal.reason);
      if (free > 0) {
        free--;
        return Promise.resolve(once());
      }
      return new Promise((done, fail) => {
        const stop = (): void => {
          waiting.delete(next);
          clearTimeout(timer);
          signal.removeEventListener('abort', onAbort);
        };
        const next = (): void => {
          stop();
          done(once());
        };
        const onAbort = (): void => {
          stop();
          fail(signal.reason);
        };
        const timer = setTimeout(() => {
          stop();
          fail(late());
        }, within);
        waiting.add(next);
        signal.addEventListener('abort', onAbort);
      });
    },
  };
}

function allInUse(): GatewayError {
  return new GatewayError('upstream_timeout', 'not_forwarded', 'All its connections are in use.');
}
