/** The reader of a strand's summary. Fields that later versions add are kept. */
import { z } from 'zod';
import { readers } from './read-frame.ts';
import type { StrandSummary } from './summary.ts';

const count = z.int().nonnegative();
const names = z.record(z.string(), count);

const summary = z.looseObject({
  v: z.literal(1),
  session: z.string(),
  strand: z.string(),
  ledger: z.string(),
  connection: z.string(),
  principal: readers.principal.optional(),
  client: readers.client.optional(),
  credentials: z.array(z.string()).optional(),
  started: z.iso.datetime(),
  ended: z.iso.datetime().optional(),
  reason: z.string().optional(),
  frames: count,
  segments: count,
  exchanges: count,
  messages: count,
  denied: count,
  errors: count,
  toolErrors: count,
  refused: count,
  gaps: count,
  approvals: count.optional(),
  masked: count.optional(),
  bytes: z.looseObject({ request: count, released: count }),
  methods: names,
  tools: names,
});

/** The summary in these bytes, or `undefined` where they hold none. */
export function readSummary(bytes: Uint8Array): StrandSummary | undefined {
  let value: unknown;
  try {
    value = JSON.parse(Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString('utf8'));
  } catch {
    return undefined;
  }
  return summary.safeParse(value).success ? (value as StrandSummary) : undefined;
}
