/**
 * Frames grouped into exchanges: one HTTP request and its whole response, with their exact bytes.
 */
import {
  type DataFrame,
  type EndFrame,
  type Frame,
  pieceBytes,
  type RequestFrame,
  type ResponseFrame,
} from './frame.ts';

export interface Exchange {
  readonly id: string;
  readonly session: string;
  readonly strand: string;
  /** Absent where the frame is missing from the recording. */
  readonly request?: RequestFrame;
  readonly response?: ResponseFrame;
  readonly data: readonly DataFrame[];
  /** Absent while the exchange is open, or where the frame is missing. */
  readonly end?: EndFrame;
}

interface Growing {
  id: string;
  session: string;
  strand: string;
  request?: RequestFrame;
  response?: ResponseFrame;
  data: DataFrame[];
  end?: EndFrame;
}

/**
 * Groups frames into exchanges. `add` returns the exchange that the frame completed; `rest` returns, in the order of
 * their first frames, those that have no end (yet). What has ended is forgotten, so a long session needs little memory.
 */
export function createExchangeGrouping(): { add(frame: Frame): Exchange | undefined; rest(): Exchange[] } {
  const open = new Map<string, Growing>();
  const find = (frame: Frame & { exchange: string }): Growing => {
    // Two strands never share an exchange, but nothing but the writer says so.
    const key = `${frame.strand} ${frame.exchange}`;
    let exchange = open.get(key);
    if (exchange === undefined) {
      exchange = { id: frame.exchange, session: frame.session, strand: frame.strand, data: [] };
      open.set(key, exchange);
    }
    return exchange;
  };
  return {
    add(frame) {
      switch (frame.type) {
        case 'request':
          find(frame).request = frame;
          return undefined;
        case 'response':
          find(frame).response = frame;
          return undefined;
        case 'data':
          find(frame).data.push(frame);
          return undefined;
        case 'end': {
          const exchange = find(frame);
          exchange.end = frame;
          open.delete(`${frame.strand} ${frame.exchange}`);
          return exchange;
        }
        default:
          return undefined;
      }
    },
    rest: () => [...open.values()],
  };
}

/** The request body's exact bytes: whole in its frame, or in `data` frames from the client. */
export function requestBytes(exchange: Exchange): Buffer {
  const whole = exchange.request?.body;
  if (whole !== undefined) return pieceBytes(whole);
  return Buffer.concat(exchange.data.filter((frame) => frame.from === 'client').map(pieceBytes));
}

/**
 * The exact bytes that were released to the client: what the upstream or the gateway answered and the client was there
 * for. An event's pieces are released together when its last is durable, so pieces without a last never were.
 */
export function releasedBytes(exchange: Exchange): Buffer {
  const answered = exchange.data.filter((frame) => frame.from !== 'client');
  const whole = answered.slice(0, answered.findLastIndex((frame) => frame.more !== true) + 1);
  return Buffer.concat(whole.filter((frame) => frame.released !== false).map(pieceBytes));
}
