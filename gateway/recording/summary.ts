/** What a strand's summary counts. It is folded from durable frames as they come and stored once, when the strand ends. */
import type { Frame, RecordedPrincipal } from './frame.ts';

export interface StrandSummary {
  readonly v: 1;
  session: string;
  strand: string;
  ledger: string;
  connection: string;
  principal?: RecordedPrincipal;
  client?: { id?: string; name?: string; version?: string; address?: string };
  /** Versions of the upstream credential that acted for the session, in order. */
  credentials?: string[];
  started: string;
  ended?: string;
  reason?: string;
  frames: number;
  segments: number;
  exchanges: number;
  messages: number;
  denied: number;
  refused: number;
  /** JSON-RPC errors that came back. */
  errors: number;
  /** Tool results with `isError`. */
  toolErrors: number;
  gaps: number;
  /** How often a call was made to wait for a person; absent where none was. */
  approvals?: number;
  /** Values that masks took out, of requests and answers; absent where none was. */
  masked?: number;
  bytes: { request: number; released: number };
  methods: Record<string, number>;
  tools: Record<string, number>;
}

/** Distinct methods or tools that a summary names; hostile clients invent names, and the rest is counted as `…`. */
const MOST_NAMES = 200;
/** Characters of a name that is worth counting; the summary of a live strand is rewritten with every round. */
const LONGEST_NAME = 128;

export function emptySummary(start: {
  session: string;
  ledger: string;
  connection: string;
  at: string;
}): StrandSummary {
  return {
    v: 1,
    session: start.session,
    strand: `${start.session}.${start.ledger}`,
    ledger: start.ledger,
    connection: start.connection,
    started: start.at,
    frames: 0,
    segments: 0,
    exchanges: 0,
    messages: 0,
    denied: 0,
    refused: 0,
    errors: 0,
    toolErrors: 0,
    gaps: 0,
    bytes: { request: 0, released: 0 },
    methods: {},
    tools: {},
  };
}

/** Adds a durable frame. */
export function foldFrame(summary: StrandSummary, frame: Frame): void {
  summary.frames++;
  switch (frame.type) {
    case 'session.start':
      if (frame.start.principal !== undefined) summary.principal = frame.start.principal;
      if (frame.start.client !== undefined) summary.client = frame.start.client;
      if (frame.start.credential !== undefined) noteCredential(summary, frame.start.credential);
      break;
    case 'request':
      summary.exchanges++;
      summary.bytes.request += frame.bytes;
      if (frame.refused !== undefined) summary.refused++;
      noteMasks(summary, frame.masks);
      for (const message of frame.messages) {
        summary.messages++;
        if (message.decision.effect === 'deny') summary.denied++;
        if (message.method !== undefined) count(summary.methods, message.method);
        if (message.method === 'tools/call' && message.name !== undefined) count(summary.tools, message.name);
      }
      break;
    case 'data':
      noteMasks(summary, frame.masks);
      break;
    case 'approval':
      if (frame.approval.state === 'pending') summary.approvals = (summary.approvals ?? 0) + 1;
      break;
    case 'end':
      summary.bytes.released += frame.bytes?.released ?? 0;
      for (const message of frame.outcome.messages) {
        if (message.error !== undefined) summary.errors++;
        if (message.isError === true) summary.toolErrors++;
      }
      break;
    case 'event':
      if (frame.event.name === 'client') summary.client = { ...summary.client, ...(frame.event.client as object) };
      if (frame.event.name === 'credential') noteCredential(summary, String(frame.event.credential));
      break;
    case 'gap':
      summary.gaps++;
      break;
    case 'strand.end':
      summary.ended = frame.at;
      summary.reason = frame.reason;
      break;
  }
}

function noteMasks(summary: StrandSummary, masks: readonly unknown[] = []): void {
  if (masks.length > 0) summary.masked = (summary.masked ?? 0) + masks.length;
}

function noteCredential(summary: StrandSummary, version: string): void {
  summary.credentials ??= [];
  if (!summary.credentials.includes(version)) summary.credentials.push(version);
}

function count(names: Record<string, number>, name: string): void {
  const known = Object.hasOwn(names, name);
  const fits = name.length <= LONGEST_NAME && Object.keys(names).length < MOST_NAMES;
  const key = known || fits ? name : '…';
  Object.defineProperty(names, key, {
    value: (Object.hasOwn(names, key) ? (names[key] ?? 0) : 0) + 1,
    enumerable: true,
    configurable: true,
    writable: true,
  });
}
