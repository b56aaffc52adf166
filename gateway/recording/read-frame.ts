/**
 * The reader of frames. Unknown fields are kept and unknown types are told apart, as the format promises; a line that is
 * no frame of its strand is refused. Lines come from a store, so nothing of them is believed before it is parsed here.
 */
import { z } from 'zod';
import { FORMAT_VERSION, type Frame } from './frame.ts';

/** What every frame has, whatever its type. */
const place = z.looseObject({
  v: z.literal(FORMAT_VERSION),
  session: z.string(),
  strand: z.string(),
  seq: z.int().nonnegative(),
  at: z.iso.datetime(),
  type: z.string(),
});
export type FramePlace = z.infer<typeof place>;

const id = z.union([z.string(), z.number()]).optional();
const count = z.int().nonnegative();
const header = z.union([
  z.looseObject({ name: z.string(), value: z.string() }),
  z.looseObject({ name: z.string(), fingerprint: z.string() }),
]);
const piece = z.union([z.looseObject({ text: z.string() }), z.looseObject({ base64: z.base64() })]);
const principal = z.looseObject({
  kind: z.enum(['human', 'agent']),
  issuer: z.string(),
  subject: z.string(),
  email: z.string().optional(),
  groups: z.array(z.string()),
  owner: z.string().optional(),
  onBehalfOf: z.string().optional(),
  attributes: z.record(z.string(), z.string()).optional(),
});
const client = z.looseObject({
  id: z.string().optional(),
  name: z.string().optional(),
  version: z.string().optional(),
  address: z.string().optional(),
});
const verdicts = z.array(
  z.looseObject({
    rule: z.string(),
    part: z.string(),
    verdict: z.string(),
    details: z.array(z.string()).optional(),
  }),
);
const masks = z.array(z.looseObject({ at: count, length: count, detector: z.string(), hmac: z.string() }));
const decision = z.looseObject({
  effect: z.string(),
  rules: z.array(z.string()),
  decision_id: z.string(),
  masks: z.array(z.string()).optional(),
  shadow: z.looseObject({ effect: z.string(), rules: z.array(z.string()) }).optional(),
  screened: verdicts.optional(),
});

export const readers = { principal, client };

const KNOWN = {
  'session.start': z.looseObject({
    start: z.looseObject({
      connection: z.string(),
      upstream: z.string().optional(),
      principal: principal.optional(),
      client: client.optional(),
      configuration: z.string(),
      policy: z.string(),
      ledger: z.string(),
    }),
  }),
  request: z.looseObject({
    exchange: z.string(),
    method: z.string(),
    path: z.string(),
    headers: z.array(header),
    body: piece.optional(),
    bytes: count,
    messages: z.array(
      z.looseObject({
        kind: z.string(),
        id,
        method: z.string().optional(),
        name: z.string().optional(),
        decision,
      }),
    ),
    from: z.literal('gateway').optional(),
    masks: masks.optional(),
    refused: z.string().optional(),
  }),
  response: z.looseObject({
    exchange: z.string(),
    from: z.enum(['upstream', 'gateway']),
    status: z.int(),
    headers: z.array(header),
  }),
  data: z
    .looseObject({
      exchange: z.string(),
      from: z.enum(['client', 'upstream', 'gateway']),
      more: z.literal(true).optional(),
      released: z.literal(false).optional(),
      messages: z
        .array(
          z.looseObject({
            kind: z.string(),
            id,
            method: z.string().optional(),
            name: z.string().optional(),
            error: z.number().optional(),
            isError: z.literal(true).optional(),
            decision: decision.optional(),
          }),
        )
        .optional(),
      masks: masks.optional(),
      screened: verdicts.optional(),
    })
    .and(piece),
  end: z.looseObject({
    exchange: z.string(),
    outcome: z.looseObject({
      http: z.int().optional(),
      result: z.string(),
      fate: z.string().optional(),
      messages: z.array(z.looseObject({ id, error: z.number().optional(), isError: z.literal(true).optional() })),
    }),
    bytes: z.looseObject({ request: count, upstream: count, released: count }).optional(),
    duration: z.looseObject({ total: z.number(), upstream: z.number().optional() }).optional(),
    abortedBy: z.string().optional(),
  }),
  approval: z.looseObject({
    exchange: z.string(),
    approval: z.looseObject({
      id: z.string(),
      state: z.string(),
      by: z.array(z.looseObject({ rule: z.string(), subject: z.string() })).optional(),
    }),
  }),
  event: z.looseObject({ event: z.looseObject({ name: z.string() }) }),
  gap: z.looseObject({ gap: z.looseObject({ reason: z.string(), from: z.string(), to: z.string() }) }),
  'strand.end': z.looseObject({ reason: z.string() }),
} satisfies Record<Frame['type'], z.ZodType>;

export type ReadFrame =
  | { readonly kind: 'frame'; readonly place: FramePlace; readonly frame: Frame }
  /** A type of a later format: readers skip it, and still count its place. */
  | { readonly kind: 'unknown'; readonly place: FramePlace }
  | { readonly kind: 'unreadable'; readonly words: string };

/** The common fields of a line, or why it has none. Cheap: what verification needs of each frame. */
export function readPlace(line: string): { place: FramePlace; value: unknown } | { words: string } {
  let value: unknown;
  try {
    value = JSON.parse(line);
  } catch {
    return { words: 'The line is not JSON.' };
  }
  const parsed = place.safeParse(value);
  return parsed.success
    ? { place: parsed.data, value }
    : { words: `The line is not a frame: ${firstIssue(parsed.error)}` };
}

export function readFrame(line: string): ReadFrame {
  const read = readPlace(line);
  if (!('place' in read)) return { kind: 'unreadable', words: read.words };
  const { type } = read.place;
  if (!isKnown(type)) return { kind: 'unknown', place: read.place };
  const parsed = KNOWN[type].safeParse(read.value);
  if (!parsed.success) {
    return {
      kind: 'unreadable',
      words: `The ${type} frame ${read.place.seq} is malformed: ${firstIssue(parsed.error)}`,
    };
  }
  // The schema above covers what readers use; fields that later versions add stay in the value.
  return { kind: 'frame', place: read.place, frame: read.value as Frame };
}

function isKnown(type: string): type is Frame['type'] {
  return Object.hasOwn(KNOWN, type);
}

/** The path and the kind of the first mistake; never the value, which may be a body. */
function firstIssue(error: z.ZodError): string {
  const issue = error.issues[0];
  return `${issue?.path.map(String).join('.') || 'the line'} is not as the format says (${issue?.code ?? 'unknown'}).`;
}
