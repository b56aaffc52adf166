/** Cuts what an upstream answers into parts that may be released one by one, and notes the messages that they end. */
import { GatewayError } from '../errors.ts';
import { createMessageScanner } from '../mcp/scan.ts';
import { createSseSplitter, type SsePart } from '../mcp/sse.ts';
import type { ReturnedMessage } from '../recording/frame.ts';
import { wholeCharacters } from './tap.ts';

/** Bytes of a JSON body that are kept to look for handles in them. */
const MOST_KEPT = 1024 * 1024;

/** A part of a response on its way to the client: recorded as a whole, released as a whole. */
export interface OutPart {
  readonly bytes: Buffer;
  readonly messages?: readonly ReturnedMessage[];
  readonly comment?: boolean;
  readonly event?: boolean;
  /** Name and id of an event, where it has them. */
  readonly name?: string;
  readonly id?: string;
  /** An event's data; on the last part of a JSON body the whole body, where it is small enough to be kept. */
  readonly data?: Buffer;
  /** The part holds all of `data`: what it says can be put in other words. */
  readonly whole?: true;
  /** An event that the stream's end broke off. */
  readonly incomplete?: boolean;
}

export interface ResponseStream {
  readonly kind: 'sse' | 'body';
  /** The parts that this chunk completes; a part that waited for the rest of its turn goes to `late`. */
  push(chunk: Buffer, late: (part: OutPart) => void): OutPart[];
  end(): OutPart[];
}

export function createSseStream(eventBytes: number): ResponseStream {
  const splitter = createSseSplitter({ maxEventBytes: eventBytes });
  const toPart = (part: SsePart): OutPart => {
    if (part.kind === 'comment') return { bytes: part.bytes, comment: true };
    return {
      bytes: part.bytes,
      event: true,
      ...(part.id === undefined ? {} : { id: part.id }),
      ...(part.event === undefined ? {} : { name: part.event }),
      ...(part.data === undefined ? {} : { data: part.data, whole: true as const }),
      incomplete: part.incomplete === true,
      ...(part.data === undefined || part.data.length === 0 || part.incomplete
        ? {}
        : { messages: messagesIn(part.data) }),
    };
  };
  return {
    kind: 'sse',
    push: (chunk) => splitter.push(chunk).map(toPart),
    end: () => splitter.end().map(toPart),
  };
}

function messagesIn(data: Buffer): ReturnedMessage[] {
  const scanner = createMessageScanner();
  scanner.push(data);
  return scanner.end();
}

/**
 * A body that is not an event stream. Its last piece names the messages, so a piece waits for what comes in the same
 * turn (an answer's end most often does) and never longer; characters split between chunks stay whole.
 */
export function createBodyStream(
  headers: readonly (readonly [string, string])[],
  /** Bytes: hold the whole body back until it has ended, since it may have to be put in other words. */
  hold?: number,
): ResponseStream {
  const json = headers.some(([name, value]) => name === 'content-type' && /^application\/json\b/i.test(value));
  const scanner = json ? createMessageScanner() : undefined;
  let kept: Buffer[] | undefined = json ? [] : undefined;
  let size = 0;
  let held: Buffer | undefined;
  let partial: Buffer = Buffer.alloc(0);
  let timer: NodeJS.Immediate | undefined;

  function take(bytes: Buffer): OutPart[] {
    const all = partial.length > 0 ? Buffer.concat([partial, bytes]) : bytes;
    const whole = wholeCharacters(all);
    partial = all.subarray(whole);
    return whole > 0 ? [{ bytes: all.subarray(0, whole) }] : [];
  }

  /** Every handle is in a body's first mebibyte or in none: what is larger carries content. */
  function keep(chunk: Buffer): void {
    size += chunk.length;
    if (hold !== undefined && size > hold) throw new GatewayError('response_too_large', 'outcome_withheld');
    if (hold === undefined && size > MOST_KEPT) kept = undefined;
    kept?.push(chunk);
  }

  function whole(messages: readonly ReturnedMessage[]): OutPart[] {
    const bytes = Buffer.concat(kept ?? []);
    return bytes.length > 0 ? [{ bytes, messages, data: bytes, whole: true }] : [];
  }

  return {
    kind: 'body',
    push(chunk, late) {
      keep(chunk);
      scanner?.push(chunk);
      if (hold !== undefined && json) return [];
      const parts = held === undefined ? [] : take(held);
      held = chunk;
      if (timer !== undefined) clearImmediate(timer);
      timer = setImmediate(() => {
        if (held === undefined) return;
        const bytes = held;
        held = undefined;
        for (const part of take(bytes)) late(part);
      });
      return parts;
    },
    end() {
      if (timer !== undefined) clearImmediate(timer);
      const messages = scanner?.end() ?? [];
      if (hold !== undefined && json) return whole(messages);
      const rest = Buffer.concat([partial, ...(held === undefined ? [] : [held])]);
      held = undefined;
      partial = Buffer.alloc(0);
      if (rest.length === 0 && messages.length === 0) return [];
      return [{ bytes: rest, messages, ...(kept === undefined ? {} : { data: Buffer.concat(kept) }) }];
    },
  };
}
