/**
 * The client's edge: the last step of a call. What is written here has been recorded durably. Heads and bodies wait
 * here for one another only so far as to give a body that is already whole its own length.
 */
import type { ServerResponse } from 'node:http';

export interface ClientEdge {
  /** Sets the head; it goes out with the first bytes, at the end, or at once with `flush`. */
  head(status: number, headers: readonly string[], flush: boolean): void;
  /** Writes recorded bytes. Returns false where the client is slow: wait for `onDrain`. */
  write(bytes: Buffer): boolean;
  /** Ends the response, with its last bytes; where the head is not out yet they are its whole body. */
  end(body?: Buffer): void;
  /** Cuts the connection: what was announced can't be finished. */
  cut(): void;
  onDrain(listener: () => void): void;
  /** Called once if the client goes away before the end. */
  onGone(listener: () => void): void;
  readonly gone: boolean;
  readonly headSent: boolean;
  /** Body bytes handed to the client. */
  readonly released: number;
}

/** `stall`: milliseconds after which a client that takes nothing of what was written is cut off. */
export function createClientEdge(response: ServerResponse, stall: number): ClientEdge {
  let waiting: { status: number; headers: string[] } | undefined;
  let sent = false;
  let gone = false;
  let finished = false;
  let released = 0;
  let goneListener = (): void => {};
  let stalling: NodeJS.Timeout | undefined;
  function moved(): void {
    clearTimeout(stalling);
    stalling = undefined;
  }

  function mayStall(): void {
    stalling ??= setTimeout(() => response.destroy(), stall).unref();
  }

  response.on('close', () => {
    moved();
    if (finished && response.writableFinished) return;
    gone = true;
    goneListener();
  });
  response.on('drain', moved);
  response.on('finish', moved);
  response.on('error', () => {});

  function sendHead(extra: readonly string[]): void {
    if (waiting === undefined || sent) return;
    sent = true;
    response.writeHead(waiting.status, [...waiting.headers, ...extra]);
  }

  return {
    head(status, headers, flush) {
      waiting = { status, headers: [...headers] };
      if (flush && !gone) {
        sendHead([]);
        response.flushHeaders();
      }
    },
    write(bytes) {
      if (gone) return true;
      sendHead([]);
      released += bytes.length;
      const taken = response.write(bytes);
      if (!taken) mayStall();
      return taken;
    },
    end(body) {
      if (gone) return;
      finished = true;
      released += body?.length ?? 0;
      sendHead(mayHaveBody(waiting?.status) ? ['content-length', String(body?.length ?? 0)] : []);
      response.end(body);
      if (response.writableLength > 0) mayStall();
    },
    cut() {
      finished = true;
      response.destroy();
    },
    onDrain: (listener) => response.on('drain', listener),
    onGone(listener) {
      if (gone) listener();
      else goneListener = listener;
    },
    get gone() {
      return gone;
    },
    get headSent() {
      return sent;
    },
    get released() {
      return released;
    },
  };
}

function mayHaveBody(status: number | undefined): boolean {
  return status !== undefined && status >= 200 && status !== 204 && status !== 304;
}
