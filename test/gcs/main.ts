import { readFileSync } from 'node:fs';
import { parseArgs } from 'node:util';
import { z } from 'zod';
import type { Grant, Grants } from './access.ts';
import { type GcsOptions, startGcs } from './gcs.ts';

// The double as a process of its own, which outlives a gateway that is killed beside it:
// `node test/gcs/main.ts [--port N] [--bucket NAME]… [--options JSON | @FILE] [--until-stdin-ends]` prints `{"url": …}`.

const grant = z.custom<Grant>((value) => typeof value === 'string' && /^(roles\/)?storage\.[A-Za-z.]+$/.test(value));
const grants: z.ZodType<Grants> = z.record(z.string(), z.array(grant));
const bucket = z.strictObject({
  retentionSeconds: z.int().min(1).exactOptional(),
  locked: z.boolean().exactOptional(),
  grants: grants.exactOptional(),
});
const optionsShape: z.ZodType<Omit<GcsOptions, 'now' | 'port'>> = z.strictObject({
  buckets: z.record(z.string(), bucket).exactOptional(),
  tokens: z.record(z.string(), z.string()).exactOptional(),
  grants: grants.exactOptional(),
  anonymous: z.array(grant).exactOptional(),
  objectWriteRate: z.boolean().exactOptional(),
  accessBeforePreconditions: z.boolean().exactOptional(),
});

const { values } = parseArgs({
  options: {
    port: { type: 'string', default: '0' },
    bucket: { type: 'string', multiple: true, default: [] },
    options: { type: 'string', default: '{}' },
    'until-stdin-ends': { type: 'boolean', default: false },
  },
});
const text = values.options.startsWith('@') ? readFileSync(values.options.slice(1), 'utf8') : values.options;
const options = optionsShape.parse(JSON.parse(text));
const plain = Object.fromEntries(values.bucket.map((name) => [name, {}]));
const gcs = await startGcs({ ...options, port: Number(values.port), buckets: { ...plain, ...options.buckets } });
console.log(JSON.stringify({ url: gcs.url }));

const stop = (): void => void gcs.close().then(() => process.exit(0));
process.once('SIGTERM', stop).once('SIGINT', stop);
if (values['until-stdin-ends']) process.stdin.resume().once('end', stop);
