/** Golden decisions: what a policy is meant to say, beside the rules that say it. `access/<name>.decisions.yaml`. */
import { z } from 'zod';
import { problemsOf } from '../config-problems.ts';
import { oneOf, section, text } from '../config-values.ts';
import { nameOf } from '../mcp/methods.ts';
import { readYaml } from '../yaml-file.ts';
import type { Decision, PolicyInput } from './decision.ts';
import type { PolicyFile } from './load.ts';
import type { PolicyProblem } from './policy-set.ts';

const line = text(/^[^\p{Cc}]{1,1024}$/u, 'is not a line of text', 'Write up to 1,024 characters.');
const lines = z.array(line).max(1000);

const principalSchema = section({
  kind: oneOf('human', 'agent'),
  issuer: line.default('https://idp.example.com'),
  subject: line.default('golden'),
  email: line.optional(),
  groups: lines.default([]),
  owner: line.optional(),
  onBehalfOf: line.optional(),
  attributes: z.record(z.string(), line).optional(),
  clientId: line.optional(),
});

export const PRINCIPAL_KEYS: readonly string[] = Object.keys(principalSchema.shape);

const dialect = oneOf('postgresql', 'mysql', 'bigquery', 'sqlite');

const caseSchema = section({
  name: line,
  principal: principalSchema,
  connection: line,
  dialect: dialect.optional(),
  access: oneOf('standing', 'justInTime', 'breakGlass').default('standing'),
  client: line.optional(),
  now: text(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$/, 'is not a time', 'Write 2026-11-22T18:04:00Z.').optional(),
  from: oneOf('client', 'upstream').default('client'),
  message: section({
    kind: oneOf('request', 'notification', 'response').default('request'),
    method: line.optional(),
    params: z.record(z.string(), z.unknown()).optional(),
  }),
  expect: section({
    effect: oneOf('allow', 'deny', 'approve'),
    rules: lines.optional(),
    masks: lines.optional(),
    maskRequests: lines.optional(),
  }),
});

const decisionsSchema = z.array(caseSchema);

export interface GoldenCase {
  readonly file: string;
  readonly line: number;
  readonly name: string;
  readonly input: PolicyInput;
  readonly dialect?: z.output<typeof dialect>;
  readonly expect: z.output<typeof caseSchema>['expect'];
}

export type ReadGolden = { readonly cases: readonly GoldenCase[]; readonly problems: readonly PolicyProblem[] };

/** When a golden decision that names no time is made. */
const NOW = Date.UTC(2026, 0, 1, 12);

export function readGolden({ path, text: content }: PolicyFile): ReadGolden {
  const yaml = readYaml(content);
  const of = (problem: Omit<PolicyProblem, 'file' | 'level'>): PolicyProblem => ({
    level: 'error',
    file: path,
    ...problem,
  });
  if (!yaml.ok) return { cases: [], problems: yaml.problems.map(of) };
  const parsed = decisionsSchema.safeParse(yaml.value);
  if (!parsed.success) {
    const problems = parsed.error.issues.flatMap((issue) => problemsOf(issue, yaml.value, EXAMPLES));
    return { cases: [], problems: yaml.locate(problems).map(of) };
  }
  const cases = parsed.data.map((one, index): GoldenCase => {
    const place = { file: path, line: yaml.place([index, 'name']).line };
    return {
      ...place,
      name: one.name,
      ...(one.dialect && { dialect: one.dialect }),
      input: inputOf(one),
      expect: one.expect,
    };
  });
  return { cases, problems: [] };
}

const EXAMPLES: Readonly<Record<string, string>> = {
  principal: 'principal: { kind: human, groups: [analysts] }',
  message: 'message: { method: tools/call, params: { name: query, arguments: { sql: SELECT 1 } } }',
  expect: 'expect: { effect: deny, rules: [no-shell] }',
};

/** A principal as golden decisions and `policy explain` write one; undefined where it is none. */
export function parsePrincipal(value: unknown): PolicyInput['principal'] | undefined {
  const parsed = principalSchema.safeParse(value);
  return parsed.success ? present(parsed.data) : undefined;
}

/** A message as JSON-RPC or as golden decisions write it; what it names is read as the gateway reads it. */
export function messageOf({
  kind,
  method,
  params,
}: {
  readonly kind: PolicyInput['message']['kind'];
  readonly method?: string | undefined;
  readonly params?: unknown;
}): PolicyInput['message'] {
  const name = method === undefined ? undefined : nameOf(method, params);
  return present({ kind, method, name, params });
}

function inputOf(one: z.output<typeof caseSchema>): PolicyInput {
  return present({
    principal: present(one.principal),
    connection: one.connection,
    access: one.access,
    clientAddress: one.client,
    from: one.from,
    message: messageOf(one.message),
    now: one.now === undefined ? NOW : Date.parse(one.now),
  });
}

type Present<T> = { [K in keyof T]: Exclude<T[K], undefined> };

function present<T extends object>(value: T): Present<T> {
  return Object.fromEntries(Object.entries(value).filter(([, member]) => member !== undefined)) as Present<T>;
}

/** What a decision says otherwise than expected, a line each: `effect: allow instead of deny`. */
export function differences(decision: Decision, expect: GoldenCase['expect']): string[] {
  const names = (detectors: Decision['masks']) => detectors.map(({ name }) => name);
  const found = decision.effect === expect.effect ? [] : [`effect: ${decision.effect} instead of ${expect.effect}`];
  const compare = (key: string, is: readonly string[], wanted: readonly string[] | undefined) => {
    if (wanted === undefined || JSON.stringify([...is].sort()) === JSON.stringify([...wanted].sort())) return;
    found.push(`${key}: [${is.join(', ')}] instead of [${wanted.join(', ')}]`);
  };
  compare('rules', decision.rules, expect.rules);
  compare('masks', names(decision.masks), expect.masks);
  compare('maskRequests', names(decision.maskRequests), expect.maskRequests);
  return found;
}
