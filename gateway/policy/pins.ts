/** Pinned tools: what a server's tools were when somebody looked at them. `policies/tools/<connection>.json`. */
import { createHash } from 'node:crypto';
import { z } from 'zod';
import { canonicalJson } from '../canonical-json.ts';

/** A tool as a server lists it: what a model is told of it, and what a client may act upon. */
export interface Tool {
  readonly name: string;
  readonly description?: string;
  readonly inputSchema: unknown;
  readonly outputSchema?: unknown;
  readonly annotations?: unknown;
}

export type PinnedTool = Tool & {
  /** `digestOfTool` of the rest. */
  readonly digest: string;
};

export interface Pins {
  readonly v: 1;
  readonly connection: string;
  readonly tools: readonly PinnedTool[];
}

const PARTS = ['description', 'inputSchema', 'outputSchema', 'annotations'] as const;
export type ToolPart = (typeof PARTS)[number];

export interface PinComparison {
  readonly unchanged: readonly string[];
  readonly changed: readonly { readonly name: string; readonly what: readonly ToolPart[] }[];
  /** Listed, not pinned. */
  readonly added: readonly string[];
  /** Pinned, not listed. */
  readonly missing: readonly string[];
}

const schema = z.record(z.string(), z.unknown());

/** A file of pins. Strict: a key that nobody reads would look as if it were held to. */
export const pinsSchema = z.strictObject({
  v: z.literal(1),
  connection: z.string().regex(/^[a-z][a-z0-9-]{0,62}$/),
  tools: z
    .array(
      z.strictObject({
        name: z.string().min(1).max(1024),
        description: z.string().optional(),
        inputSchema: schema,
        outputSchema: schema.optional(),
        annotations: schema.optional(),
        digest: z.string().regex(/^[0-9a-f]{64}$/),
      }),
    )
    .max(10_000),
});

/** Hex SHA-256 of the canonical JSON of what is pinned of a tool: its name, description, schemas, annotations. */
export function digestOfTool(tool: Tool): string {
  return createHash('sha256')
    .update(canonicalJson(pinnedPart(tool)))
    .digest('hex');
}

/**
 * What has become of pinned tools. A name that a server lists twice is changed, whatever the two say: which of them a
 * call runs is the server's secret.
 */
export function comparePins(pins: Pins, listed: readonly Tool[]): PinComparison {
  const pinned = new Map(pins.tools.map((tool) => [tool.name, tool]));
  const byName = Map.groupBy(listed, ({ name }) => name);
  const unchanged: string[] = [];
  const changed: { name: string; what: ToolPart[] }[] = [];
  for (const [name, tools] of byName) {
    const pin = pinned.get(name);
    const [tool] = tools;
    if (pin === undefined || tool === undefined) continue;
    if (tools.length === 1 && digestOfTool(tool) === pin.digest) unchanged.push(name);
    else changed.push({ name, what: PARTS.filter((part) => tools.some((one) => !isSame(one[part], pin[part]))) });
  }
  return {
    unchanged,
    changed,
    added: [...byName.keys()].filter((name) => !pinned.has(name)),
    missing: [...pinned.keys()].filter((name) => !byName.has(name)),
  };
}

/** Only what is given: JSON has no `undefined`. */
function pinnedPart(tool: Tool): Record<string, unknown> {
  const parts = PARTS.filter((part) => tool[part] !== undefined).map((part) => [part, tool[part]]);
  return { name: tool.name, ...Object.fromEntries(parts) };
}

function isSame(one: unknown, other: unknown): boolean {
  if (one === undefined || other === undefined) return one === other;
  return canonicalJson(one) === canonicalJson(other);
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
  const tool = pins?.tools.find((one) => one.name === name);
  if (tool === undefined) return { name, destructive: true, readOnly: false, pinned: false };
  const { readOnlyHint, destructiveHint } = (tool.annotations ?? {}) as Record<string, unknown>;
  const readOnly = readOnlyHint === true;
  return { name, destructive: !readOnly && destructiveHint !== false, readOnly, pinned: true };
}
