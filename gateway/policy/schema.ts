/** A file of rules as people write it. Values come out in milliseconds and bytes; globs and names as they are written. */
import { z } from 'zod';
import { isRecord } from '../config-shape.ts';
import { count, duration, oneOf, rule as parsed, section, size, text } from '../config-values.ts';
import { BUILT_IN, type BuiltIn } from './masks/detector.ts';

const NAME = /^[a-z0-9][a-z0-9-]{0,62}$/;
const NAME_FIX = 'Write up to 63 lower-case letters, digits or -.';
const MINUTE = 60_000;

/** Names of what no file says: decisions carry them where a rule's name would stand (decide.ts). */
const RESERVED: ReadonlySet<string> = new Set(['no-policy', 'base-protocol', 'awaited-response', 'elicitation-hosts']);

const MOST_VALUES = 1000;
const list = <T extends z.ZodType>(item: T) => z.array(item).min(1).max(MOST_VALUES);
const value = text(/^[^\p{Cc}]{1,1024}$/u, 'is not a line of text', 'Write it as the token says it.');
const glob = text(
  /^[^\p{Cc}]{1,1024}$/u,
  'is not a glob',
  'Write a name; * stands for any text. There are no other wildcards.',
);

/** `any` is nobody in particular; a key that is not there is not. */
const principals = z
  .preprocess(
    (written, context) => {
      if (isRecord(written) && Object.keys(written).length === 0) {
        const params = { fix: 'Write for example { groups: [analysts] }, or the word any.' };
        context.addIssue({ code: 'custom', message: 'names nobody', params });
      }
      return written === 'any' ? undefined : (written ?? null);
    },
    section({
      kinds: list(oneOf('human', 'agent')).optional(),
      groups: list(value).optional(),
      subjects: list(value).optional(),
      emails: list(value).optional(),
      issuers: list(value).optional(),
      clients: list(value).optional(),
      owners: list(value).optional(),
    }).optional(),
  )
  .transform((given) => given ?? {});

/** `all`, or names of detectors; which of them are patterns the loader knows. */
const masks = parsed(
  (written): readonly string[] | undefined => {
    const names = typeof written === 'string' ? [written] : written;
    if (!Array.isArray(names) || names.length === 0 || names.length > MOST_VALUES) return undefined;
    if (!names.every((name) => typeof name === 'string')) return undefined;
    return [...new Set(names.flatMap((name) => (name === 'all' ? BUILT_IN : [name])))];
  },
  'is not a list of masks',
  `Write all, or a list of ${BUILT_IN.join(', ')} and names from patterns.`,
);

const TEMPLATE = /^projects\/[a-z0-9.:-]{1,63}\/locations\/[a-z0-9-]{1,63}\/templates\/[A-Za-z0-9_-]{1,63}$/;

export const ruleSchema = section({
  name: parsed(
    (name) => (typeof name === 'string' && NAME.test(name) && !RESERVED.has(name) ? name : undefined),
    'is not a name that a rule may have',
    `${NAME_FIX} ${[...RESERVED].join(', ')} are the gateway’s own.`,
  ),
  description: text(/^[^\p{Cf}]{1,2000}$/u, 'is not a text', 'Write up to 2,000 characters.').optional(),
  principals,
  connections: list(glob),
  methods: list(glob).optional(),
  tools: list(glob).optional(),
  prompts: list(glob).optional(),
  resources: list(glob).optional(),
  condition: z.unknown().optional(),
  effect: oneOf('allow', 'deny', 'approve'),
  masks: masks.optional(),
  maskRequests: masks.optional(),
  replaceBlobs: list(
    text(
      /^(\*|[A-Za-z0-9*.+-]{1,128}\/[A-Za-z0-9*.+-]{1,128})$/,
      'is not a MIME type',
      'Write for example image/* or application/pdf; * alone is every type.',
    ),
  ).optional(),
  limits: section({
    maxCalls: section({ count: count(1, 1_000_000_000), per: duration(1000) }).optional(),
    maxResultBytes: size.optional(),
  }).optional(),
  approval: section({
    approvers: list(value),
    pending: duration(MINUTE).default(60 * MINUTE),
    usable: duration(MINUTE).default(10 * MINUTE),
  }).optional(),
  screen: section({
    modelArmor: section({
      template: text(TEMPLATE, 'is not a template', 'Write projects/PROJECT/locations/LOCATION/templates/NAME.'),
      of: list(oneOf('requests', 'results', 'descriptions', 'resources')),
      onMatch: oneOf('deny', 'flag'),
      timeout: duration(100).default(2000),
      mode: oneOf('enforce', 'inspect').default('enforce'),
    }),
  }).optional(),
  mode: oneOf('enforce', 'shadow').default('enforce'),
});

export type WrittenRule = z.output<typeof ruleSchema>;

const pattern = text(/^[^\0]{1,1000}$/, 'is not a pattern', 'Write up to 1,000 characters in the syntax of RE2.');

export const fileSchema = section({
  rules: z.array(ruleSchema).max(1000).default([]),
  patterns: z
    .record(z.string(), pattern)
    .superRefine((given, context) => {
      for (const name of Object.keys(given)) {
        if (NAME.test(name) && name !== 'all' && !BUILT_IN.includes(name as BuiltIn)) continue;
        const fix = `${NAME_FIX} all and the built-in ${BUILT_IN.join(', ')} are taken.`;
        context.addIssue({
          code: 'custom',
          message: 'is not a name that a pattern may have',
          path: [name],
          params: { fix },
        });
      }
    })
    .default({}),
});

/** What to write where a key is missing or of another shape. */
export const EXAMPLES: Readonly<Record<string, string>> = {
  rules: 'rules: [{ name: …, principals: any, connections: [orders], tools: [query], effect: allow }]',
  patterns: 'patterns: { employee-id: "EMP-[0-9]{6}" }',
  principals: 'principals: { groups: [analysts] }` or, for everybody, `principals: any',
  connections: 'connections: [orders]',
  methods: 'methods: [tools/call, tools/list]',
  tools: 'tools: [query, "list_*"]',
  prompts: 'prompts: ["*"]',
  resources: 'resources: ["orders://*"]',
  groups: 'groups: [analysts]',
  approvers: 'approvers: [leads]',
  approval: 'approval: { approvers: [leads], pending: 1h, usable: 10m }',
  limits: 'limits: { maxCalls: { count: 100, per: 1h }, maxResultBytes: 1MiB }',
  maxCalls: 'maxCalls: { count: 100, per: 1h }',
  screen: 'screen: { modelArmor: { template: projects/…, of: [results], onMatch: deny } }',
  replaceBlobs: 'replaceBlobs: ["image/*"]',
  of: 'of: [requests, results]',
};
