/**
 * The frames of recording format 1, as docs/recording-format.md defines them. One frame is one line of NDJSON.
 *
 * Readers keep unknown fields and skip unknown types. `dt` and `connection` are never top-level (they are partitions),
 * and no array holds arrays (BigQuery has none).
 */

export const FORMAT_VERSION = 1;
/** The largest body piece of one frame, in bytes. */
export const MAX_PIECE = 256 * 1024;

/** A header as it was received: order, spelling and duplicates kept. A credential-bearing value is a keyed fingerprint. */
export type RecordedHeader =
  | { readonly name: string; readonly value: string }
  | { readonly name: string; readonly fingerprint: string };

/** Bytes: as text where they are UTF-8, else base64. */
export type Piece = { readonly text: string } | { readonly base64: string };

export interface RecordedPrincipal {
  readonly kind: 'human' | 'agent';
  readonly issuer: string;
  readonly subject: string;
  readonly email?: string;
  readonly groups: readonly string[];
  /** The group that answers for an agent. */
  readonly owner?: string;
  /** Subject of whom an agent acts for, as its token proves. */
  readonly onBehalfOf?: string;
  readonly attributes?: Readonly<Record<string, string>>;
}

export interface RecordedDecision {
  readonly effect: 'allow' | 'deny' | 'approve';
  readonly rules: readonly string[];
  readonly decision_id: string;
  /** Detectors whose findings are taken out of what answers it. */
  readonly masks?: readonly string[];
  /** What rules in shadow mode would have done. */
  readonly shadow?: { readonly effect: 'allow' | 'deny' | 'approve'; readonly rules: readonly string[] };
  readonly screened?: readonly RecordedVerdict[];
}

/** What the screening of a part of a call said. */
export interface RecordedVerdict {
  readonly rule: string;
  readonly part: string;
  readonly verdict: 'clean' | 'match' | 'none';
  /** Filters that matched, or why there is no verdict. */
  readonly details?: readonly string[];
}

/** A value that a mask took out of these bytes. The value is nowhere in a recording. */
export interface RecordedMask {
  /** Where its tag stands: bytes from the beginning of the body or event that this frame ends, and how many. */
  readonly at: number;
  readonly length: number;
  readonly detector: string;
  /** HMAC-SHA256 of the value, keyed per session: `hmac-sha256:<hex>`. */
  readonly hmac: string;
}

/** A JSON-RPC message of a request, in body order. */
export interface RequestMessage {
  readonly kind: 'request' | 'notification' | 'response';
  readonly id?: string | number;
  readonly method?: string;
  /** The tool, prompt, resource or task that it names. */
  readonly name?: string;
  readonly decision: RecordedDecision;
}

/** A JSON-RPC message that came back, noted on the frame that ends it. */
export interface ReturnedMessage {
  readonly kind: 'request' | 'notification' | 'response' | 'unreadable';
  readonly id?: string | number;
  readonly method?: string;
  readonly name?: string;
  /** JSON-RPC error code of a response. */
  readonly error?: number;
  /** A tool's own failure inside a successful response. */
  readonly isError?: true;
  /** Of what a server asks or tells its client. */
  readonly decision?: RecordedDecision;
}

interface Common {
  readonly v: typeof FORMAT_VERSION;
  readonly session: string;
  readonly strand: string;
  readonly seq: number;
  /** UTC with microseconds, `2026-11-22T18:04:05.123456Z`. */
  readonly at: string;
}

export interface SessionStart extends Common {
  readonly type: 'session.start';
  readonly start: {
    readonly connection: string;
    readonly upstream?: string;
    readonly principal?: RecordedPrincipal;
    readonly client?: { id?: string; name?: string; version?: string; address?: string };
    readonly recording: 'on' | 'off';
    readonly durability: 'disk' | 'bucket' | 'memory';
    readonly configuration: string;
    readonly policy: string;
    readonly replica: string;
    readonly ledger: string;
    readonly gateway: string;
    readonly credential?: string;
    /** The access window that let in, where access is not standing. */
    readonly access?: { readonly kind: 'justInTime' | 'breakGlass'; readonly window: string };
    readonly expires?: string;
  };
}

export interface RequestFrame extends Common {
  readonly type: 'request';
  readonly exchange: string;
  /** The gateway speaks in its client's place: it declines what a server may not ask. */
  readonly from?: 'gateway';
  readonly method: string;
  readonly path: string;
  readonly headers: readonly RecordedHeader[];
  /** The whole body, where it fits one piece; a larger body follows as `data` frames `from: client`. */
  readonly body?: Piece;
  readonly bytes: number;
  readonly messages: readonly RequestMessage[];
  readonly masks?: readonly RecordedMask[];
  /** Set where the gateway refused the request before it could be forwarded. */
  readonly refused?: string;
}

export interface ResponseFrame extends Common {
  readonly type: 'response';
  readonly exchange: string;
  readonly from: 'upstream' | 'gateway';
  readonly status: number;
  readonly headers: readonly RecordedHeader[];
}

export type DataFrame = Common & {
  readonly type: 'data';
  /** An SSE comment: kept with the next real frame, never worth a segment of its own. */
  readonly comment?: true;
  readonly exchange: string;
  readonly from: 'client' | 'upstream' | 'gateway';
  /** More pieces of the same SSE event follow; all are released together when the last is durable. */
  readonly more?: true;
  /** The client was gone: recorded, never released. */
  readonly released?: false;
  readonly messages?: readonly ReturnedMessage[];
  /** On the last piece of what was masked. */
  readonly masks?: readonly RecordedMask[];
  readonly screened?: readonly RecordedVerdict[];
} & Piece;

export interface EndFrame extends Common {
  readonly type: 'end';
  readonly exchange: string;
  readonly outcome: {
    /** HTTP status released to the client; absent where none was. */
    readonly http?: number;
    /** `complete`, the error code of errors.ts, or `unknown` where the gateway died before the answer was recorded. */
    readonly result: string;
    readonly fate?: 'not_forwarded' | 'outcome_withheld';
    /** Per returned response: its id, with the JSON-RPC error or `isError`. */
    readonly messages: readonly { id?: string | number; error?: number; isError?: true }[];
  };
  /** Body bytes received from the client, received from the upstream and released to the client. */
  readonly bytes?: { readonly request: number; readonly upstream: number; readonly released: number };
  /** Milliseconds. */
  readonly duration?: { readonly total: number; readonly upstream?: number };
  /** HMAC-SHA256, keyed per session, of the body as the upstream sent it: `hmac-sha256:<hex>`. */
  readonly upstreamHmac?: string;
  readonly abortedBy?: 'client' | 'upstream' | 'gateway';
}

/** What became of a call that waits for a person. */
export interface ApprovalFrame extends Common {
  readonly type: 'approval';
  readonly exchange: string;
  readonly approval: {
    readonly id: string;
    readonly state: 'pending' | 'approved' | 'denied' | 'void';
    readonly by?: readonly { readonly rule: string; readonly subject: string }[];
  };
}

interface EventFrame extends Common {
  readonly type: 'event';
  readonly event: { readonly name: string; readonly [detail: string]: unknown };
}

interface GapFrame extends Common {
  readonly type: 'gap';
  readonly gap: { readonly reason: string; readonly from: string; readonly to: string };
}

interface StrandEnd extends Common {
  readonly type: 'strand.end';
  readonly reason: string;
}

export type Frame =
  | SessionStart
  | RequestFrame
  | ResponseFrame
  | DataFrame
  | EndFrame
  | ApprovalFrame
  | EventFrame
  | GapFrame
  | StrandEnd;

type WithoutCommon<F> = F extends unknown ? Omit<F, keyof Common> : never;
/** A frame before its strand gives it place and time. */
export type FrameBody = WithoutCommon<Frame>;

/** The bytes of a piece. */
export function pieceBytes(piece: Piece): Buffer {
  return 'text' in piece ? Buffer.from(piece.text, 'utf8') : Buffer.from(piece.base64, 'base64');
}
