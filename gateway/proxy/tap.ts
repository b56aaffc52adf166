/**
 * RECORD: the tap at the client's edge. Each function queues frames of one exchange and calls `settle` when they are
 * durable; frames of an exchange settle in the order in which they were queued. Nothing passes before its settle.
 *
 * With recording off the fact of each call is kept, without headers and bodies, in the same order and as durable.
 */
import { isUtf8 } from 'node:buffer';
import {
  type ApprovalFrame,
  type EndFrame,
  MAX_PIECE,
  type Piece,
  type RecordedHeader,
  type RecordedMask,
  type RecordedVerdict,
  type RequestMessage,
  type ReturnedMessage,
} from '../recording/frame.ts';
import type { Strand } from '../recording/strand.ts';

type Settle = (error?: Error) => void;

export interface Tap {
  readonly exchange: string;
  request(facts: {
    method: string;
    path: string;
    headers: readonly RecordedHeader[];
    body: Buffer;
    messages: readonly RequestMessage[];
    masks?: readonly RecordedMask[];
    refused?: string;
    from?: 'gateway';
  }): Promise<void>;
  approval(approval: ApprovalFrame['approval']): Promise<void>;
  response(from: 'upstream' | 'gateway', status: number, headers: readonly RecordedHeader[], settle?: Settle): void;
  data(from: 'upstream' | 'gateway', bytes: Buffer, facts: DataFacts, settle?: Settle): void;
  end(facts: Omit<EndFrame, 'type' | 'exchange' | 'v' | 'session' | 'strand' | 'seq' | 'at'>, settle?: Settle): void;
}

interface DataFacts {
  readonly comment?: boolean;
  readonly messages?: readonly ReturnedMessage[];
  /** The client is gone: recorded, never released. */
  readonly unreleased?: boolean;
  /** The bytes are one SSE event: its pieces belong together. */
  readonly event?: boolean;
  readonly masks?: readonly RecordedMask[];
  readonly screened?: readonly RecordedVerdict[];
}

export function createTap(strand: Strand, exchange: string, recording: 'on' | 'off'): Tap {
  const on = recording === 'on';
  return {
    exchange,
    request({ method, path, headers, body, messages, masks, refused, from }) {
      const pieces = on ? cutPieces(body) : [];
      const whole = pieces.length === 1 ? pieces[0] : undefined;
      const facts = { method, path, headers: on ? headers : [], ...(whole === undefined ? {} : { body: whole }) };
      const first = strand.commit({
        type: 'request',
        exchange,
        ...(from === undefined ? {} : { from }),
        ...facts,
        bytes: body.length,
        messages,
        ...(masks === undefined || masks.length === 0 ? {} : { masks }),
        ...(refused === undefined ? {} : { refused }),
      });
      if (pieces.length < 2) return first;
      const rest = pieces.map((piece, index) =>
        strand.commit({ type: 'data', exchange, from: 'client', ...moreAfter(index, pieces), ...piece }),
      );
      return Promise.all([first, ...rest]).then(() => {});
    },
    approval: (approval) => strand.commit({ type: 'approval', exchange, approval }),
    response(from, status, headers, settle) {
      strand.append({ type: 'response', exchange, from, status, headers: on ? headers : [] }, settle);
    },
    data(from, bytes, facts, settle) {
      if (!on) return strand.barrier(settle ?? (() => {}));
      const named = facts.messages !== undefined && facts.messages.length > 0;
      // The messages of a body whose last bytes have gone ahead are noted all the same.
      const pieces = bytes.length === 0 && named ? [{ text: '' }] : cutPieces(bytes);
      if (pieces.length === 0) return strand.barrier(settle ?? (() => {}));
      pieces.forEach((piece, index) => {
        const last = index === pieces.length - 1;
        strand.append(
          {
            type: 'data',
            ...(facts.comment === true ? { comment: true } : {}),
            exchange,
            from,
            ...(facts.event === true ? moreAfter(index, pieces) : {}),
            ...(facts.unreleased === true ? { released: false } : {}),
            ...(last && named ? { messages: facts.messages } : {}),
            ...(last && facts.masks !== undefined && facts.masks.length > 0 ? { masks: facts.masks } : {}),
            ...(last && facts.screened !== undefined ? { screened: facts.screened } : {}),
            ...piece,
          },
          last ? settle : undefined,
        );
      });
    },
    end(facts, settle) {
      strand.append({ type: 'end', exchange, ...facts }, settle);
    },
  };
}

function moreAfter(index: number, pieces: readonly unknown[]): { more?: true } {
  return index < pieces.length - 1 ? { more: true } : {};
}

/** Cuts bytes into pieces of at most 256 KiB, never inside a UTF-8 character; none for no bytes. */
function cutPieces(bytes: Buffer): Piece[] {
  const pieces: Piece[] = [];
  let from = 0;
  while (from < bytes.length) {
    let to = Math.min(from + MAX_PIECE, bytes.length);
    if (to < bytes.length) to = from + wholeCharacters(bytes.subarray(from, to));
    const part = bytes.subarray(from, to);
    pieces.push(isUtf8(part) ? { text: part.toString('utf8') } : { base64: part.toString('base64') });
    from = to;
  }
  return pieces;
}

/** How many bytes at the front of `bytes` end with a whole character: all, or up to three fewer (so maybe none). */
export function wholeCharacters(bytes: Buffer): number {
  for (let back = 1; back <= Math.min(3, bytes.length); back++) {
    const byte = bytes[bytes.length - back] ?? 0;
    if ((byte & 0xc0) === 0x80) continue;
    const length = byte >= 0xf0 ? 4 : byte >= 0xe0 ? 3 : byte >= 0xc0 ? 2 : 1;
    return length > back ? bytes.length - back : bytes.length;
  }
  return bytes.length;
}
