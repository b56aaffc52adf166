/**
 * One child and the client, or the clients of one session, that talk with it: which answer belongs to which request,
 * and on which stream everything else goes (ADR 9).
 */

import type { Log } from '../log.ts';
import type { Era } from '../mcp/eras.ts';
import type { ClientMessage } from '../mcp/message.ts';
import { ownMember } from '../mcp/methods.ts';
import { type Child, type ChildEvents, type Program, startChild } from './child.ts';
import { cancelledLine, type Names, renumber, renumberCancelled } from './client-message.ts';
import type { ClientStream } from './client-stream.ts';
import { errorLine, StdioFailure } from './failure.ts';
import { toLine } from './lines.ts';
import { type Edit, replace } from './members.ts';
import { createOpenRequests, type OpenRequest, takesOthers } from './open-requests.ts';
import { keyOf, type Reference, readServerMessage, type ServerMessage } from './server-message.ts';
import { createServerStream } from './server-stream.ts';

/** Bytes that clients have not taken, from which on the child is not read. */
const MOST_UNTAKEN = 8 * 1024 ** 2;
const NO_METHOD = -32601;

export interface SessionDeps {
  /** Its Mcp-Session-Id, which the answer to `initialize` announces; a stateless session has none. */
  readonly id?: string;
  readonly era: Era;
  readonly program: Program;
  /** Milliseconds. */
  readonly idle: number;
  readonly startLimit: number;
  readonly log: Log;
  /** The child has ended: the session takes no more calls. Its processes may still be ending. */
  onEnd(session: Session): void;
}

export interface Session {
  readonly child: Child;
  /**
   * Since when it has had nothing to do, in milliseconds that only grow; `undefined` while a request is open, before
   * it was first used and from its end on. A request whose client is gone is open: its work may have effects.
   */
  idleSince(): number | undefined;
  /**
   * A request, with what `namesOf` found in its body; the stream for its answer is made when it is on its way. Throws
   * `child_busy`, `id_in_use`.
   */
  request(message: ClientMessage, names: Names, body: Buffer, stream: () => ClientStream): void;
  /** A notification or response. Throws `child_busy`. */
  tell(message: ClientMessage, body: Buffer): void;
  /** The stream of what belongs to no request. Throws `stream_taken`. */
  listen(stream: () => ClientStream): void;
  end(failure: StdioFailure): void;
}

export function createSession(deps: SessionDeps): Session {
  const { era, log } = deps;
  const open = createOpenRequests();
  const rest = createServerStream();
  const streams = new Set<ClientStream>();
  let used = false;
  let asked = false;
  let ended = false;
  let unreadable = 0;
  let touched = 0;
  let starting: NodeJS.Timeout | undefined;
  let idling: NodeJS.Timeout | undefined;

  const events: ChildEvents = { line: fromChild, end: onEnd };
  const child = startChild(deps.program, log, events);
  touch();

  function touch(): void {
    clearTimeout(idling);
    if (ended) return;
    touched = performance.now();
    // Somebody who waits for an answer keeps it; a request whose client is gone does not.
    idling = setTimeout(() => (open.attached() > 0 ? touch() : end(new StdioFailure('idle'))), deps.idle);
  }

  function request(message: ClientMessage, names: Names, body: Buffer, makeStream: () => ClientStream): void {
    const serial = era === 'modern' ? open.nextSerial() : undefined;
    const one: OpenRequest = { message, names, serial, stream: undefined };
    used = true;
    open.add(one);
    if (!child.write(toLine(serial === undefined ? body : renumber(body, serial)))) {
      open.remove(one);
      throw new StdioFailure('child_busy');
    }
    touch();
    // One can not tell a slow start from slow work, which a tool call may be; an exit is noticed in any case.
    const isFirst = !asked;
    asked = true;
    if (isFirst && message.method !== 'tools/call') {
      starting = setTimeout(() => end(new StdioFailure('start_limit')), deps.startLimit);
    }
    const stream = makeStream();
    one.stream = stream;
    follow(stream);
    stream.onGone(() => left(one));
    if (takesOthers(one)) deliverKept(stream);
  }

  function left(one: OpenRequest): void {
    one.stream = undefined;
    touch();
    // Legacy: a disconnect is no cancellation (2025-11-25, Transports). No resumption is offered: the answer is dropped.
    if (era === 'legacy') {
      // Nobody can know this session's id.
      if (one.message.method === 'initialize' && open.has(one)) end(new StdioFailure('deleted'));
      return;
    }
    // Modern: it is one (2026-07-28, Streamable HTTP, "Cancellation"). What the child still says of it finds no request.
    if (open.remove(one) && one.serial !== undefined) child.write(toLine(cancelledLine(one.message, one.serial)));
  }

  function tell(message: ClientMessage, body: Buffer): void {
    used = true;
    touch();
    const cancelled = message.method === 'notifications/cancelled' ? cancelledBy(message) : undefined;
    if (message.method === 'notifications/cancelled' && era === 'modern' && cancelled?.serial === undefined) return;
    const line = cancelled?.serial === undefined ? body : renumberCancelled(body, cancelled.serial);
    if (!child.write(toLine(line))) throw new StdioFailure('child_busy');
    // The server does not answer what was cancelled, so nothing else would end its stream.
    if (cancelled !== undefined && open.remove(cancelled)) dismiss(cancelled, new StdioFailure('cancelled'));
  }

  function cancelledBy(message: ClientMessage): OpenRequest | undefined {
    const id = ownMember(message.params, 'requestId');
    if (typeof id !== 'string' && typeof id !== 'number') return undefined;
    const one = open.named(keyOf(id));
    return one?.message.method === 'initialize' ? undefined : one;
  }

  function dismiss(one: OpenRequest, failure: StdioFailure): void {
    if (one.stream?.many === true) one.stream.finish();
    else one.stream?.finish(errorLine(failure, one.names.id));
  }

  function listen(makeStream: () => ClientStream): void {
    touch();
    const stream = rest.open(makeStream);
    stream.open();
    follow(stream);
    deliverKept(stream);
  }

  function deliverKept(stream: ClientStream): void {
    for (const line of rest.take()) stream.send(line);
    weigh();
  }

  function follow(stream: ClientStream): void {
    streams.add(stream);
    stream.onMoved(weigh);
  }

  /** A slow client holds its child back instead of filling the host's memory. */
  function weigh(): void {
    let untaken = 0;
    for (const stream of streams) {
      untaken += stream.waiting();
      if (!stream.isOpen && stream.waiting() === 0) streams.delete(stream);
    }
    if (untaken > MOST_UNTAKEN) child.pause();
    else child.resume();
  }

  function fromChild(line: Buffer): void {
    const message = readServerMessage(line);
    if (message === undefined) {
      unreadable++;
      // Once, and how often at its end: a server that prints to stdout would fill the log.
      if (unreadable === 1) log.warn({ event: 'stdio_line_dropped', bytes: line.length }, 'A line is no message.');
      return;
    }
    clearTimeout(starting);
    if (message.kind === 'response') answer(message, line);
    else if (message.kind === 'request' && era === 'modern') refuseRequest(message, line);
    else if (era === 'modern') passStateless(message, line);
    else pass(message, line);
    weigh();
  }

  function answer(message: ServerMessage, line: Buffer): void {
    const one = open.known(message.id?.key);
    // Nobody asked, or nobody waits any more.
    if (one === undefined || !open.remove(one)) return;
    touch();
    const failed = message.error !== undefined;
    const { method } = one.message;
    if (method === 'initialize' && !failed && deps.id !== undefined) one.stream?.header('mcp-session-id', deps.id);
    one.stream?.finish(restored(one, message, line), era === 'modern' ? statusOf(message.error, method) : 200);
    // A server that knows only one of the eras said so; the client goes on with another child, or not at all.
    const isHandshake = method === 'initialize' || method === 'server/discover';
    if (failed && isHandshake && open.size() === 0) end(new StdioFailure('handshake_refused'));
  }

  function pass(message: ServerMessage, line: Buffer): void {
    const related = message.token === undefined ? undefined : open.withToken(message.token.key)?.stream;
    const stream = related?.many ? related : (open.only() ?? rest.stream() ?? open.newest());
    if (stream !== undefined) stream.send(line);
    else if (!rest.keep(line)) log.warn({ event: 'stdio_message_dropped' }, 'No stream took a message of the server.');
  }

  function passStateless(message: ServerMessage, line: Buffer): void {
    const named = message.token ?? message.subscription ?? message.cancels;
    if (named === undefined) {
      (open.only() ?? open.newest())?.send(line);
      return;
    }
    const one = message.token === undefined ? open.known(named.key) : open.withToken(named.key);
    // It is of a request that has ended: in another's stream it would be of that one.
    if (one === undefined) return;
    one.stream?.send(restored(one, message, line));
    // The server ends a subscription so (2026-07-28, subscriptions/listen).
    if (message.cancels !== undefined && open.remove(one)) one.stream?.finish();
  }

  /** 2026-07-28 has no requests of servers; left alone, the child would wait for ever. */
  function refuseRequest({ id }: ServerMessage, line: Buffer): void {
    if (id === undefined) return;
    const error = { code: NO_METHOD, message: 'A stateless client answers no requests of a server.' };
    const head = Buffer.from('{"jsonrpc":"2.0","id":');
    const tail = Buffer.from(`,"error":${JSON.stringify(error)}}`);
    child.write(toLine(Buffer.concat([head, line.subarray(id.at.start, id.at.end), tail])));
  }

  function onEnd(failure: StdioFailure): void {
    ended = true;
    clearTimeout(starting);
    clearTimeout(idling);
    log.info({ event: 'stdio_child_ended', reason: failure.code, unreadable }, failure.message);
    for (const one of open.takeAll()) one.stream?.finish(errorLine(failure, one.names.id));
    rest.stream()?.finish();
    deps.onEnd(session);
  }

  function end(failure: StdioFailure): void {
    child.end(failure);
  }

  const idleSince = (): number | undefined => (ended || !used || open.size() > 0 ? undefined : touched);
  const session: Session = { child, idleSince, request, tell, listen, end };
  return session;
}

/** 2026-07-28, Streamable HTTP: an error that a server finds in the request itself has a status of its own. */
function statusOf(error: number | undefined, method: string | undefined): number {
  if (error === undefined) return 200;
  if (error === NO_METHOD) return 404;
  // A client that probes goes on with `initialize` after a 400 of any code, but not after a 200 with an unknown one.
  return method === 'server/discover' || (error <= -32020 && error >= -32022) ? 400 : 200;
}

/** The child's line with the client's own id and token in it, in the very bytes in which the client wrote them. */
function restored({ serial, names }: OpenRequest, message: ServerMessage, line: Buffer): Buffer {
  if (serial === undefined) return line;
  const own: [Reference | undefined, Buffer | undefined][] = [
    [message.id, names.id],
    [message.subscription, names.id],
    [message.cancels, names.id],
    [message.token, names.token],
  ];
  const edits = own.flatMap(([found, bytes]): Edit[] =>
    found?.key === String(serial) && bytes !== undefined ? [{ at: found.at, bytes }] : [],
  );
  return replace(line, edits);
}
