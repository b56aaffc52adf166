/** One HTTP response to a client: an event stream, or a single JSON message. */
import type { ServerResponse } from 'node:http';
import { toEvent } from './lines.ts';

const JSON_TYPE = 'application/json';
const SSE_TYPE = 'text/event-stream';
/** No cache and no proxy may hold or change what passes. */
export const HEAD: readonly string[] = ['cache-control', 'no-store, no-transform', 'x-accel-buffering', 'no'];

export interface StreamTimes {
  /** Milliseconds between comments that keep an idle stream open. Without it the head waits for the first message. */
  readonly keepAlive?: number;
  /** Milliseconds after which a client that takes nothing of what was written is cut off. */
  readonly stall: number;
}

export interface ClientStream {
  /** Whether it takes messages besides the one that it waits for. */
  readonly many: boolean;
  /** False from its end on, whoever ended it. */
  readonly isOpen: boolean;
  /** Adds a header, while the head is not out. */
  header(name: string, value: string): void;
  /** Sends the head: with it the client knows that the stream is there. */
  open(): void;
  send(line: Buffer): void;
  /** Ends it, with a last message; the status counts only where no head is out yet. */
  finish(line?: Buffer, status?: number): void;
  /** Bytes that the client has not taken yet. */
  waiting(): number;
  /** The client took some of them, or is gone. */
  onMoved(listener: () => void): void;
  /** The client closed it before its end. */
  onGone(listener: () => void): void;
}

/**
 * A head waits for the first message: a refusal of the child's can then have the status that the specification wants
 * (2026-07-28, Streamable HTTP), and a handshake its Mcp-Session-Id only when it succeeds. What takes longer than
 * `keepAlive` opens as a stream.
 */
export function createClientStream(response: ServerResponse, kind: 'sse' | 'json', times: StreamTimes): ClientStream {
  const own: string[] = [];
  let isOpen = true;
  let gone = (): void => {};
  let stalling: NodeJS.Timeout | undefined;
  const comments = kind === 'sse' && times.keepAlive !== undefined;
  const keepAlive = comments ? setInterval(comment, times.keepAlive) : undefined;

  function comment(): void {
    open();
    if (response.writableLength === 0) write(Buffer.from(': keep-alive\n\n'));
  }

  function open(): void {
    if (!isOpen || response.headersSent || kind === 'json') return;
    response.writeHead(200, ['content-type', SSE_TYPE, ...HEAD, ...own]);
    response.flushHeaders();
  }

  function write(bytes: Buffer): void {
    if (!response.write(bytes)) mayStall();
  }

  function mayStall(): void {
    stalling ??= setTimeout(() => response.destroy(), times.stall).unref();
  }

  function close(): void {
    isOpen = false;
    clearInterval(keepAlive);
  }

  response.on('drain', () => {
    clearTimeout(stalling);
    stalling = undefined;
  });
  response.on('error', () => {});
  const closed = (): void => {
    clearTimeout(stalling);
    const early = isOpen;
    close();
    if (early) gone();
  };
  response.on('close', closed);
  // The client may have gone while its call was read.
  if (response.destroyed) setImmediate(closed);

  return {
    many: kind === 'sse',
    get isOpen() {
      return isOpen;
    },
    header: (name, value) => void own.push(name, value),
    open,
    send(line) {
      if (!isOpen || kind === 'json') return;
      open();
      write(toEvent(line));
    },
    finish(line, status = 200) {
      if (!isOpen) return;
      close();
      const asEvent = kind === 'sse' && (response.headersSent || status === 200);
      if (asEvent && !response.headersSent) response.writeHead(200, ['content-type', SSE_TYPE, ...HEAD, ...own]);
      if (asEvent) response.end(line === undefined ? undefined : toEvent(line));
      else if (line === undefined) response.writeHead(202, ['content-length', '0']).end();
      else {
        const head = ['content-type', JSON_TYPE, 'content-length', String(line.length), ...HEAD, ...own];
        response.writeHead(status, head).end(line);
      }
      if (response.writableLength > 0) mayStall();
    },
    waiting: () => response.writableLength,
    onMoved: (listener) => void response.on('drain', listener).on('close', listener),
    onGone(listener) {
      gone = listener;
    },
  };
}
