/**
 * Files of a policy: whole, or not at all with every mistake of all of them. Pure: what lies where is for
 * policies-folder.ts.
 */
import { createHash } from 'node:crypto';
import { canonicalJson } from '../canonical-json.ts';
import { type ConfigProblem, problemsOf } from '../config-problems.ts';
import { asArray, asRecord } from '../config-shape.ts';
import { MAX_FILE, type ReadYaml, readYaml } from '../yaml-file.ts';
import { createConditionCompiler } from './condition-compile.ts';
import type { Detector } from './masks/detector.ts';
import { type Pins, readPins } from './pins.ts';
import type { PolicyProblem, PolicySet } from './policy-set.ts';
import type { Rule } from './rule.ts';
import { createRuleBuilder } from './rule-build.ts';
import { EXAMPLES, fileSchema, ruleSchema, type WrittenRule } from './schema.ts';

export interface PolicyFile {
  /** Relative to the folder of the policies, with `/`: `access/orders.yaml`, `tools/orders.json`. */
  readonly path: string;
  readonly text: string;
}

export type LoadedPolicy =
  | { readonly ok: true; readonly set: PolicySet }
  | { readonly ok: false; readonly problems: readonly PolicyProblem[] };

/** A named pattern, on a linear-time engine: masks/pattern.ts. */
export type CompilePattern = (
  source: string,
) =>
  | { readonly ok: true; readonly pattern: Extract<Detector, { pattern: unknown }>['pattern'] }
  | { readonly ok: false; readonly problem: string; readonly fix: string };

const MOST_RULES = 1000;

/** Never throws for what files hold, and repeats no value of theirs. Golden decisions among the files are passed over. */
export function loadPolicy(files: readonly PolicyFile[], compilePattern: CompilePattern): LoadedPolicy {
  const problems: PolicyProblem[] = [];
  const pins = new Map<string, Pins>();
  for (const file of files.filter(({ path }) => path.startsWith('tools/'))) {
    const read = readPinFile(file, problems);
    if (read !== undefined) pins.set(read.connection, read);
  }
  const access = files.filter(({ path }) => isAccess(path)).map((file) => readAccess(file, problems));
  const patterns = collectPatterns(access, compilePattern, problems);
  const rules = buildRules(access, { pins, patterns, problems });
  if (problems.length > 0) return { ok: false, problems: problems.sort(byPlace) };
  return { ok: true, set: setOf(access, rules, pins) };
}

export function isAccess(path: string): boolean {
  return path.startsWith('access/') && !isDecisions(path);
}

export function isDecisions(path: string): boolean {
  return path.startsWith('access/') && path.endsWith('.decisions.yaml');
}

interface AccessFile {
  readonly path: string;
  readonly rules: readonly { readonly index: number; readonly written: WrittenRule }[];
  readonly patterns: Readonly<Record<string, string>>;
  locate(problems: readonly ConfigProblem[]): PolicyProblem[];
  line(index: number): number;
}

function readAccess({ path, text }: PolicyFile, problems: PolicyProblem[]): AccessFile {
  const yaml: ReadYaml = Buffer.byteLength(text) > MAX_FILE ? TOO_LARGE : readYaml(text);
  const of = (found: readonly { line: number; column: number; key: string; problem: string; fix: string }[]) =>
    found.map((problem) => ({ level: 'error' as const, file: path, ...problem }));
  if (!yaml.ok) {
    problems.push(...of(yaml.problems));
    return { path, rules: [], patterns: {}, locate: () => [], line: () => 0 };
  }
  const locate = (found: readonly ConfigProblem[]) => of(yaml.locate(found));
  const parsed = fileSchema.safeParse(yaml.value);
  if (!parsed.success) {
    problems.push(...locate(parsed.error.issues.flatMap((issue) => problemsOf(issue, yaml.value, EXAMPLES))));
  }
  const { rules, patterns } = parsed.success ? parsed.data : goodPartsOf(yaml.value);
  return {
    path,
    rules: Array.from(rules, (written, index) => ({ index, written })).filter(
      (one): one is { index: number; written: WrittenRule } => one.written !== undefined,
    ),
    patterns,
    locate,
    line: (index) => yaml.place(['rules', index, 'name']).line,
  };
}

/** What can be read of a file with mistakes, so that one of them never hides another. */
function goodPartsOf(value: unknown): { rules: (WrittenRule | undefined)[]; patterns: Record<string, string> } {
  const { rules, patterns } = asRecord(value);
  const texts = Object.entries(asRecord(patterns)).filter(([, source]) => typeof source === 'string');
  return {
    rules: asArray(rules).map((rule) => ruleSchema.safeParse(rule).data),
    patterns: Object.fromEntries(texts) as Record<string, string>,
  };
}

const TOO_LARGE: ReadYaml = {
  ok: false,
  problems: [{ line: 0, column: 0, key: '', problem: 'is larger than 1 MiB', fix: 'Split it into several files.' }],
};

function collectPatterns(
  access: readonly AccessFile[],
  compilePattern: CompilePattern,
  problems: PolicyProblem[],
): ReadonlyMap<string, Detector> {
  const detectors = new Map<string, Detector>();
  for (const { patterns, locate } of access) {
    for (const [name, source] of Object.entries(patterns)) {
      const path = ['patterns', name];
      const add = (problem: string, fix: string) => problems.push(...locate([{ path, problem, fix }]));
      if (detectors.has(name)) add('is the name of another pattern', 'Give each pattern a name of its own.');
      const compiled = compilePattern(source);
      if (compiled.ok) detectors.set(name, { name, pattern: compiled.pattern });
      else add(`is no pattern that can be looked for: ${compiled.problem}`, compiled.fix);
    }
  }
  return detectors;
}

function buildRules(
  access: readonly AccessFile[],
  {
    pins,
    patterns,
    problems,
  }: { pins: Map<string, Pins>; patterns: ReadonlyMap<string, Detector>; problems: PolicyProblem[] },
): Rule[] {
  const build = createRuleBuilder({ compiler: createConditionCompiler(pins), pins, patterns });
  const places = new Map<string, string>();
  const rules: Rule[] = [];
  for (const { path: file, rules: written, locate, line } of access) {
    for (const { index, written: one } of written) {
      const found: ConfigProblem[] = [];
      const add = (keys: readonly (string | number)[], problem: string, fix: string) =>
        found.push({ path: ['rules', index, ...keys], problem, fix });
      const before = places.get(one.name);
      if (before !== undefined) add(['name'], `is the name of the rule at ${before}`, 'Give each rule its own name.');
      places.set(one.name, `${file}:${line(index)}`);
      rules.push(build(one, { file, line: line(index) }, add));
      problems.push(...locate(found));
    }
  }
  if (rules.length > MOST_RULES) {
    const words = { problem: `has more than ${MOST_RULES} rules`, fix: 'Take rules out, or say them together.' };
    problems.push({ level: 'error', file: '', line: 0, column: 0, key: '', ...words });
  }
  return rules;
}

function readPinFile(file: PolicyFile, problems: PolicyProblem[]): Pins | undefined {
  const wrong = (key: string, problem: string, fix: string): void =>
    void problems.push({ level: 'error', file: file.path, line: 0, column: 0, key, problem, fix });
  if (Buffer.byteLength(file.text) > MAX_FILE) {
    wrong('', 'is larger than 1 MiB', 'Pin fewer tools.');
    return undefined;
  }
  const read = readPins(file);
  if (read.ok) return read.pins;
  for (const { path, problem, fix } of read.problems) wrong(path.join('.'), problem, fix);
  return undefined;
}

function setOf(access: readonly AccessFile[], rules: readonly Rule[], pins: ReadonlyMap<string, Pins>): PolicySet {
  const patterns = Object.assign({}, ...access.map((file) => file.patterns)) as Record<string, string>;
  // Order and place do not matter to what is decided, so they are no part of what is in force.
  const written = access
    .flatMap((file) => file.rules.map(({ written }) => written))
    .sort((one, other) => (one.name < other.name ? -1 : 1));
  const pinned = [...pins.values()].map(({ connection, tools }) => [connection, tools]);
  const whole = { v: 1, rules: written, patterns, pins: Object.fromEntries(pinned) };
  const canonical = Buffer.from(canonicalJson(JSON.parse(JSON.stringify(whole))), 'utf8');
  return { rules, patterns, pins, canonical, digest: createHash('sha256').update(canonical).digest('hex') };
}

function byPlace(one: PolicyProblem, other: PolicyProblem): number {
  if (one.file !== other.file) return one.file < other.file ? -1 : 1;
  return one.line - other.line || one.column - other.column;
}
