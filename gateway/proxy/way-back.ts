/**
 * What becomes of each part of an answer before it is recorded: whose it is, whether policy lets it pass, and what has to be
 * taken out of it. A part that waits for one of these holds those behind it (in-order.ts).
 */
import { createSseSplitter } from '../mcp/sse.ts';
import type { OutPart } from './response-stream.ts';
import type { Screen } from './screen.ts';

/** A step of the way back. Throws GatewayError, or rejects with it, where nothing of the answer may pass. */
export type Stage = (part: OutPart) => OutPart | Promise<OutPart>;

export interface WayBack {
  /**
   * The part as it may be released, or with `withheld` as it is recorded. `undefined`: it is not for this session.
   * `mcpSession` is the upstream's session id, where this answer names one.
   */
  look(part: OutPart, mcpSession: string | undefined): OutPart | undefined | Promise<OutPart | undefined>;
  /** What is recorded of an event that the stream's end broke off; no reader dispatches it. */
  brokenOff(part: OutPart): OutPart | undefined;
  /** The upstream's address for this stream's messages, once it has named one. */
  readonly endpoint: string | undefined;
}

export function createWayBack(screen: Screen, stages: readonly Stage[]): WayBack {
  return {
    look(part, mcpSession) {
      const looked = screen.look(part, mcpSession);
      if (stages.length === 0) return looked;
      if (part.incomplete === true) return undefined;
      if (part.name === 'endpoint' && !(looked instanceof Promise)) return looked && endpointAlone(looked);
      return looked instanceof Promise ? looked.then(through) : through(looked);
    },
    // What a mask would have taken out of it can not be told from half a value.
    brokenOff: (part) => (stages.length === 0 ? part : undefined),
    get endpoint() {
      return screen.endpoint;
    },
  };

  /** An address for messages is the gateway's own by now; nothing else in its event is looked at. */
  function endpointAlone(part: OutPart): OutPart {
    const [read] = createSseSplitter({ maxEventBytes: part.bytes.length }).push(part.bytes);
    return { ...part, bytes: Buffer.from(`event: endpoint\ndata: ${read?.data?.toString('utf8') ?? ''}\n\n`) };
  }

  function through(part: OutPart | undefined): OutPart | undefined | Promise<OutPart> {
    if (part === undefined) return undefined;
    let looked: OutPart | Promise<OutPart> = part;
    for (const stage of stages) looked = looked instanceof Promise ? looked.then(stage) : stage(looked);
    return looked;
  }
}
