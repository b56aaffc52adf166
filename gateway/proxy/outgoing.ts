/**
 * RECORD ─(durable)─▶ client: each head, piece and end is queued on the tap and reaches the client's edge by its settle,
 * so nothing is released before its frame is durable.
 */

import type { GatewayError } from '../errors.ts';
import { errorAnswer } from './answer.ts';
import type { ClientEdge } from './client-edge.ts';
import { recordHeaders } from './headers.ts';
import type { OutPart } from './response-stream.ts';
import type { Tap } from './tap.ts';

type EndFacts = Parameters<Tap['end']>[0];

export interface Outgoing {
  /** `flush`: the head goes out when it is durable, without waiting for a body. */
  head(from: 'upstream' | 'gateway', status: number, headers: readonly string[], flush: boolean): void;
  /** A part of the upstream's answer. What is withheld is recorded as such. */
  piece(part: OutPart, withheld: boolean): void;
  /** Words of the gateway's own. */
  words(bytes: Buffer): void;
  /** The response's last chunk ends when this is durable; `cut`: the connection does, since what was announced is not whole. */
  end(facts: EndFacts, cut: boolean, onDurable: () => void): void;
  readonly state: 'open' | 'ending' | 'ended';
  /** More waits, or the client is slower, than the upstream should go on for. */
  readonly full: boolean;
  /** There is room again for what the upstream sends. */
  readonly roomy: boolean;
  /** Body bytes on their way. */
  readonly waiting: number;
  /** A part of the upstream's answer is on its way to the client, or has reached it. */
  readonly spoken: boolean;
}

export interface OutgoingInput {
  readonly tap: Tap;
  readonly edge: ClientEdge;
  fingerprint(value: string): string;
  /** There may be room again. */
  onRoom(): void;
  /** The recording can't be kept: the error that the client is told, and the call's last word. */
  failure(cause: Error): GatewayError;
  onFailed(error: GatewayError): void;
  /** Requests that await an answer, for that last word. */
  readonly asked: Parameters<typeof errorAnswer>[1];
}

/** Bytes that may wait between upstream and client before the upstream is asked to pause. */
const HIGH_WATER = 1024 * 1024;
/** Bytes that a part counts for besides its own: its frame waits in memory too, and small events are many. */
export const PART_COST = 512;

export function createOutgoing(input: OutgoingInput): Outgoing {
  const { tap, edge } = input;
  const ready: Buffer[] = [];
  let state: Outgoing['state'] = 'open';
  let waiting = 0;
  /** What waits, with what it costs to keep it. */
  let kept = 0;
  let slow = false;
  let spoken = false;

  edge.onDrain(() => {
    slow = false;
    input.onRoom();
  });

  /** The one answer that can't be recorded: that nothing can be. Nothing of the upstream's answer is in it. */
  function recordingFailed(cause: Error): void {
    if (state === 'ended') return;
    state = 'ended';
    const error = input.failure(cause);
    if (edge.headSent) {
      edge.cut();
    } else {
      const answer = errorAnswer(error, input.asked);
      edge.head(answer.status, answer.headers.flat(), false);
      edge.end(answer.body);
    }
    input.onFailed(error);
  }

  return {
    head(from, status, headers, flush) {
      edge.head(status, headers, false);
      tap.response(from, status, recordHeaders(headers, input.fingerprint), (error) => {
        if (error !== undefined) recordingFailed(error);
        else if (flush && state === 'open') edge.head(status, headers, true);
      });
    },
    piece(part, withheld) {
      spoken ||= !withheld;
      const size = withheld ? 0 : part.bytes.length;
      const cost = part.bytes.length + PART_COST;
      waiting += size;
      kept += cost;
      tap.data('upstream', part.bytes, { ...part, unreleased: edge.gone || withheld }, (error) => {
        waiting -= size;
        kept -= cost;
        if (error !== undefined) return recordingFailed(error);
        if (withheld) return;
        // The whole answer is queued and nothing is out: it leaves in one piece, with its own length.
        if (state === 'ending' && !edge.headSent) ready.push(part.bytes);
        else if (!edge.write(part.bytes)) slow = true;
        input.onRoom();
      });
    },
    words(bytes) {
      waiting += bytes.length;
      tap.data('gateway', bytes, {}, (error) => {
        waiting -= bytes.length;
        if (error !== undefined) recordingFailed(error);
        else if (!edge.headSent) ready.push(bytes);
        else edge.write(bytes);
      });
    },
    end(facts, cut, onDurable) {
      state = 'ending';
      tap.end(facts, (error) => {
        if (state === 'ended') return;
        if (error !== undefined) return recordingFailed(error);
        state = 'ended';
        if (cut) edge.cut();
        else edge.end(ready.length > 0 ? Buffer.concat(ready) : undefined);
        onDurable();
      });
    },
    get state() {
      return state;
    },
    get full() {
      return kept > HIGH_WATER || slow;
    },
    get roomy() {
      return kept < HIGH_WATER / 2 && (!slow || edge.gone);
    },
    get waiting() {
      return waiting;
    },
    get spoken() {
      return spoken;
    },
  };
}
