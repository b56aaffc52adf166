/** Cuts what an upstream answers into parts that may be released one by one, and notes the messages that they end. */
import { GatewayError } from '../errors.ts';
import { createMessageScanner } from '../mcp/scan.ts';
import { createSseSplitter, type SsePart } from '../mcp/sse.ts';
import type { Decision } from '../policy/decision.ts';
import type { RecordedMask, RecordedVerdict, ReturnedMessage } from '../recording/frame.ts';
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
  /** Its body was sent as JSON. */
  readonly json?: true;
  /** An event or a comment that the stream's end broke off. */
  readonly incomplete?: boolean;
  /** Of what a server asks or tells in it: what rules take out of that is taken out of it, besides what its call's do. */
  readonly decisions?: readonly Decision[];
  /** What was taken out of it, and what its screening said. */
  readonly masks?: readonly RecordedMask[];
  readonly screened?: readonly RecordedVerdict[];
  /** It may not pass, and the recording says so. */
  readonly withheld?: true;
}

/** Bodies that are held back until they have ended, since policy may have them put in other words. */
export interface Hold {
  readonly bytes: number;
  /** `json`: what is not JSON passes as it comes. */
  readonly what: 'json' | 'all';
}

/** The stream of an answer with these headers. `spoken`: the gateway has begun an event stream, and goes on with it. */
export function streamFor(
  headers: readonly (readonly [string, string])[],
  given: { readonly eventBytes: number; readonly hold: Hold | undefined; readonly spoken: boolean },
): ResponseStream {
  const { eventBytes, hold, spoken } = given;
  if (says(headers, 'text/event-stream')) return createSseStream(eventBytes);
  const body = createBodyStream(headers, spoken ? { bytes: eventBytes, what: 'all' } : hold);
  return spoken ? inEvents(body) : body;
}

/**
 * As clients look for it: some take a type that merely holds the word (the official TypeScript SDK), and all of them look for
 * an event stream first.
 */
function says(headers: readonly (readonly [string, string])[], type: string): boolean {
  return headers.some(([name, value]) => name === 'content-type' && value.toLowerCase().includes(type));
}

/**
 * A body as one event of a stream that the gateway has begun. Its bytes stand in the event's data, a line a field, so
 * that a reader puts the same JSON together.
 */
function inEvents(body: ResponseStream): ResponseStream {
  return {
    kind: 'sse',
    push: (chunk, late) => body.push(chunk, late).map(asEvent),
    end: () => body.end().map(asEvent),
  };
}

function asEvent(part: OutPart): OutPart {
  // Nothing else is an answer that a reader of this stream waits for.
  if (part.messages?.some(({ kind }) => kind === 'response') !== true) {
    throw new GatewayError('upstream_broken', 'outcome_withheld', 'Its answer is not a JSON-RPC response.');
  }
  const lines = part.bytes.toString('utf8').split(/\r\n|\r|\n/);
  const bytes = Buffer.from(`event: message\n${lines.map((line) => `data: ${line}\n`).join('')}\n`);
  return { ...part, bytes, event: true };
}

export interface ResponseStream {
  readonly kind: 'sse' | 'body';
  /** The parts that this chunk completes; a part that waited for the rest of its turn goes to `late`. */
  push(chunk: Buffer, late: (part: OutPart) => void): OutPart[];
  end(): OutPart[];
}

function createSseStream(eventBytes: number): ResponseStream {
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
    end: () =>
      splitter.end().map((part) => {
        const made = toPart(part);
        // A comment goes on until its line ends.
        return made.comment === true && !/[\r\n]$/.test(made.bytes.toString('latin1', made.bytes.length - 1))
          ? { ...made, incomplete: true }
          : made;
      }),
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
function createBodyStream(headers: readonly (readonly [string, string])[], hold?: Hold): ResponseStream {
  const json = says(headers, 'application/json');
  const isHeld = hold !== undefined && (json || hold.what === 'all');
  const scanner = json || isHeld ? createMessageScanner() : undefined;
  let kept: Buffer[] | undefined = json || isHeld ? [] : undefined;
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
    if (isHeld && size > hold.bytes) throw new GatewayError('response_too_large', 'outcome_withheld');
    if (!isHeld && size > MOST_KEPT) kept = undefined;
    kept?.push(chunk);
  }

  function whole(scanned: readonly ReturnedMessage[]): OutPart[] {
    const bytes = Buffer.concat(kept ?? []);
    // Text that is no JSON holds none.
    const messages = json || scanned.some(({ kind }) => kind !== 'unreadable') ? scanned : [];
    return bytes.length > 0 ? [{ bytes, messages, data: bytes, whole: true, ...(json ? { json } : {}) }] : [];
  }

  return {
    kind: 'body',
    push(chunk, late) {
      keep(chunk);
      scanner?.push(chunk);
      if (isHeld) return [];
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
      if (isHeld) return whole(messages);
      const rest = Buffer.concat([partial, ...(held === undefined ? [] : [held])]);
      held = undefined;
      partial = Buffer.alloc(0);
      if (rest.length === 0 && messages.length === 0) return [];
      return [{ bytes: rest, messages, ...(kept === undefined ? {} : { data: Buffer.concat(kept) }) }];
    },
  };
}
