/**
 * Pinned tools: what a connection's server listed when somebody looked at it. `policies/tools/<connection>.json`, written by
 * `verbatim policy pin`, reviewed as a commit. A description is an instruction to a model: who may change it unseen may
 * tell the model what to do.
 */
import { createHash } from 'node:crypto';
import { z } from 'zod';
import { canonicalJson } from '../canonical-json.ts';
import { parseStrictJson } from '../mcp/json.ts';
import { ownMember } from '../mcp/methods.ts';

/** A tool as its server lists it, as JSON.parse gives it. */
export type ListedTool = Readonly<Record<string, unknown>>;

export interface Pin {
  readonly name: string;
  readonly title?: unknown;
  readonly description?: unknown;
  readonly inputSchema?: unknown;
  readonly outputSchema?: unknown;
  readonly annotations?: unknown;
  /** Every other member but `_meta`: a digest of what no reviewer sees would pin nothing. */
  readonly other?: Readonly<Record<string, unknown>>;
  /** SHA-256, hex. */
  readonly digest: string;
}

export interface Pins {
  readonly connection: string;
  readonly tools: readonly Pin[];
  readonly byName: ReadonlyMap<string, Pin>;
}

export type ChangedMember = 'title' | 'description' | 'inputSchema' | 'outputSchema' | 'annotations' | 'other';

export interface ToolChange {
  readonly name: string;
  readonly what: readonly ChangedMember[];
}

export interface PinProblem {
  /** Keys from the root of the file. */
  readonly path: readonly (string | number)[];
  readonly problem: string;
  readonly fix: string;
}

export type ReadPins =
  | { readonly ok: true; readonly pins: Pins }
  | { readonly ok: false; readonly problems: readonly PinProblem[] };

const SHOWN = ['title', 'description', 'inputSchema', 'outputSchema', 'annotations'] as const;
/** `_meta` is about one answer. */
const KNOWN: ReadonlySet<string> = new Set(['name', ...SHOWN, '_meta']);

/** SHA-256 (hex) of the tool's canonical JSON without `_meta`. Throws RangeError where it nests too deeply. */
export function digestOfTool(tool: ListedTool): string {
  const { _meta, ...rest } = tool;
  return createHash('sha256').update(canonicalJson(rest)).digest('hex');
}

/** The pin of a tool. Throws TypeError where it has no name, RangeError where it nests too deeply. */
export function pinOf(tool: ListedTool): Pin {
  const name = ownMember(tool, 'name');
  if (typeof name !== 'string' || name === '') throw new TypeError('A tool has no name.');
  const shown = SHOWN.filter((key) => Object.hasOwn(tool, key)).map((key) => [key, inOrder(tool[key])]);
  const other = otherMembers(tool);
  return {
    name,
    ...Object.fromEntries(shown),
    ...(Object.keys(other).length === 0 ? {} : { other: inOrder(other) }),
    digest: digestOfTool(tool),
  };
}

/** The same value with its keys in order: a server may list them in another one each time. */
function inOrder(value: unknown): unknown {
  return JSON.parse(canonicalJson(value));
}

/** Without prototype: a member that is called `__proto__` is one like any other. */
function otherMembers(tool: ListedTool): Record<string, unknown> {
  const other: Record<string, unknown> = Object.create(null);
  for (const key of Object.keys(tool)) if (!KNOWN.has(key)) other[key] = tool[key];
  return other;
}

/** The tool that a pin is of. */
function toolOf({ digest, other, ...shown }: Pin): ListedTool {
  const tool: Record<string, unknown> = Object.create(null);
  for (const key of Object.keys(other ?? {})) tool[key] = other?.[key];
  return Object.assign(tool, shown);
}

/**
 * The text of a pin file: the same tools give the same bytes, so that a commit's difference is what has changed. Throws
 * as pinOf does, and where two tools have one name or hold what no two parsers read alike (numbers beyond 2^53).
 */
export function writePins(connection: string, tools: readonly ListedTool[]): string {
  const pins = tools.map(pinOf).sort(byName);
  const doubled = pins.find(({ name }, index) => pins[index + 1]?.name === name);
  if (doubled !== undefined) throw new TypeError('Two tools have one name.');
  const written = `${JSON.stringify({ v: 1, connection, tools: pins }, null, 2)}\n`;
  const strict = parseStrictJson(Buffer.from(written));
  if (!strict.ok) throw new TypeError(`A tool can not be pinned: ${strict.words}`);
  return written;
}

function byName(a: Pin, b: Pin): number {
  return a.name < b.name ? -1 : a.name > b.name ? 1 : 0;
}

const AGAIN = 'Let `verbatim policy pin` write the file anew.';

const file = z.strictObject({
  v: z.literal(1),
  connection: z.string().min(1),
  tools: z.array(
    z.strictObject({
      name: z.string().min(1),
      ...Object.fromEntries(SHOWN.map((key) => [key, z.unknown().optional()])),
      other: z.record(z.string(), z.unknown()).optional(),
      digest: z.string().regex(/^[0-9a-f]{64}$/),
    }),
  ),
});

/** Reads a pin file, or says everything that is wrong with it. `path` is that of the file: its name is the connection's. */
export function readPins({ path, text }: { readonly path: string; readonly text: string }): ReadPins {
  const json = parseStrictJson(Buffer.from(text));
  if (!json.ok) return refuse([{ path: [], problem: `is not strict JSON: ${json.words}`, fix: AGAIN }]);
  if (!file.safeParse(json.value).success) return refuse(shapeProblems(json.value));
  // As it was parsed: what zod copies has lost members that are called `__proto__`.
  const { connection, tools } = json.value as { connection: string; tools: readonly Pin[] };
  const problems = [...nameProblems(path, connection), ...tools.flatMap((pin, at) => pinProblems(tools, pin, at))];
  if (problems.length > 0) return refuse(problems);
  return { ok: true, pins: { connection, tools, byName: new Map(tools.map((pin) => [pin.name, pin])) } };
}

function refuse(problems: readonly PinProblem[]): ReadPins {
  return { ok: false, problems };
}

function shapeProblems(value: unknown): PinProblem[] {
  const { error } = file.safeParse(value);
  return (error?.issues ?? []).map((issue) => {
    const path = issue.path.map((step) => (typeof step === 'number' ? step : String(step)));
    if (issue.code === 'unrecognized_keys') {
      return { path, problem: 'has a member that is not known here', fix: AGAIN };
    }
    if (path[0] === 'v') return { path, problem: 'is not version 1', fix: AGAIN };
    return { path, problem: 'is missing or not of its type', fix: AGAIN };
  });
}

function nameProblems(path: string, connection: string): PinProblem[] {
  const named = /([^/\\]*)\.json$/.exec(path)?.[1];
  if (named === connection) return [];
  return [{ path: ['connection'], problem: 'is not the name of the file', fix: 'Name the file <connection>.json.' }];
}

/** A digest that is not of what the file shows would let something pass that no reviewer saw. */
function pinProblems(tools: readonly Pin[], pin: Pin, at: number): PinProblem[] {
  const path = ['tools', at];
  const known = Object.keys(pin.other ?? {}).some((key) => KNOWN.has(key));
  if (known || digestOfTool(toolOf(pin)) !== pin.digest) {
    return [{ path: [...path, 'digest'], problem: 'is not of the tool that stands here', fix: AGAIN }];
  }
  const before = tools[at - 1];
  if (before === undefined || byName(before, pin) < 0) return [];
  return [{ path: [...path, 'name'], problem: 'is there twice or out of order', fix: AGAIN }];
}

export function findPin(pins: Pins, name: string): Pin | undefined {
  return pins.byName.get(name);
}

/** In what a tool is unlike its pin; empty where it is as pinned. */
export function changesOf(pin: Pin, tool: ListedTool): readonly ChangedMember[] {
  let digest: string | undefined;
  try {
    digest = digestOfTool(tool);
  } catch {
    return ['other'];
  }
  if (digest === pin.digest) return [];
  const what: ChangedMember[] = SHOWN.filter((key) => text(ownMember(pin, key)) !== text(ownMember(tool, key)));
  if (text(pin.other ?? {}) !== text(otherMembers(tool)) || what.length === 0) what.push('other');
  return what;
}

function text(value: unknown): string | undefined {
  return value === undefined ? undefined : canonicalJson(value);
}

export interface PinComparison {
  readonly changed: readonly ToolChange[];
  /** Listed and not pinned. */
  readonly added: readonly string[];
  /** Pinned and not listed. */
  readonly missing: readonly string[];
}

/** Compares a server's whole list with its pins; each in the order of names. A tool without a name is not compared. */
export function comparePins(pins: Pins, tools: readonly ListedTool[]): PinComparison {
  const listed = new Map<string, Set<ChangedMember>>();
  for (const tool of tools) {
    const name = ownMember(tool, 'name');
    if (typeof name !== 'string') continue;
    const pin = findPin(pins, name);
    // Two tools of one name: what either of them changes is a change.
    const changes = listed.get(name) ?? new Set();
    listed.set(name, changes);
    for (const change of pin === undefined ? [] : changesOf(pin, tool)) changes.add(change);
  }
  const names = [...listed.keys()].sort();
  return {
    changed: names.flatMap((name) => {
      const what = [...(listed.get(name) ?? [])];
      return what.length === 0 ? [] : [{ name, what }];
    }),
    added: names.filter((name) => findPin(pins, name) === undefined),
    missing: pins.tools.map(({ name }) => name).filter((name) => !listed.has(name)),
  };
}

export interface ToolHints {
  readonly name: string;
  readonly destructive: boolean;
  readonly readOnly: boolean;
  readonly pinned: boolean;
}

/**
 * What a pin says of a tool, with MCP's defaults (2025-03-26, ToolAnnotations): destructive unless said otherwise. A tool
 * that nobody looked at counts as destructive, whatever its server says of it now.
 */
export function hintsOf(pins: Pins | undefined, name: string): ToolHints {
  const pin = pins === undefined ? undefined : findPin(pins, name);
  if (pin === undefined) return { name, destructive: true, readOnly: false, pinned: false };
  const readOnly = ownMember(pin.annotations, 'readOnlyHint') === true;
  const destructive = !readOnly && ownMember(pin.annotations, 'destructiveHint') !== false;
  return { name, destructive, readOnly, pinned: true };
}
