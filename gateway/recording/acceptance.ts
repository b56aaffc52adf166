/** When a strand takes a frame for durable: what DESIGN calls its `durability`. One file each way, behind one interface. */
import type { FrameBody, SessionStart } from './frame.ts';

export type Durability = SessionStart['start']['durability'];

export type Settle = (error?: Error) => void;

/**
 * Gives a frame its place and queues it on the journal; returns its `seq`. `written` is called when the journal has it,
 * or with the error that refused it, and with the frame's time.
 */
export type Write = (body: FrameBody, written?: (error: Error | undefined, at: string) => void) => number;

export interface Acceptance {
  /** Queues a frame. `settle` is called when it is durable, or with the error that refused it. */
  append(body: FrameBody, settle?: Settle): void;
  /** Queues a frame that no byte waits for. `settle` is called when the journal has it, whatever the durability. */
  note(body: FrameBody, settle: Settle): void;
  /** Called when everything queued so far is durable, or refused. */
  barrier(settle: Settle): void;
  /** The recorder stops: nothing may wait any longer, nothing known may stay unsaid. */
  close(): void;
}
