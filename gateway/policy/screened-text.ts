/**
 * What of a message is screened: every text that reaches a model or a server through it. Also keys, property names, enums
 * and defaults of schemas, in which instructions hide as well as in descriptions. Binary content is not screened.
 */
import { ownMember } from '../mcp/methods.ts';
import type { ScreenedPart } from './rule.ts';

/** UTF-16 units. What is longer is not screened in part: `textOf` gives one unit more, which screening refuses. */
export const MOST_SCREENED = 150_000;

/** Where each part stands. A client's response has a result, a server's request has parameters. */
const ROOTS: Record<ScreenedPart, readonly string[]> = {
  requests: ['params', 'result', 'error'],
  results: ['result', 'error', 'params'],
  descriptions: ['result'],
  resources: ['result', 'error', 'params'],
};

/** Directly in a root: opaque to who gets them, or the protocol's own. */
const OPAQUE: ReadonlySet<string> = new Set(['requestState', 'nextCursor', 'cursor', 'cacheScope', 'resultType']);

/** Words of the protocol and of JSON Schema say nothing to a model; left in, they would be most of a list's text. */
const PROTOCOL_WORDS: ReadonlySet<string> = new Set(
  (
    'name title description arguments argument context content structuredContent type text image audio resource ' +
    'resource_link uri uriTemplate mimeType contents messages role user assistant result params _meta annotations tools ' +
    'prompts resources resourceTemplates inputSchema outputSchema $schema properties required items enum default const ' +
    'format object string number integer boolean array null anyOf oneOf allOf additionalProperties minimum maximum ' +
    'minLength maxLength pattern examples readOnlyHint destructiveHint idempotentHint openWorldHint message code data'
  ).split(' '),
);

/**
 * The texts of a message (as JSON.parse gives it), a line each, in their order; empty where it has none. At most one
 * unit longer than `MOST_SCREENED`.
 */
export function textOf(message: unknown, part: ScreenedPart): string {
  const lines: string[] = [];
  let size = 0;
  // A stack of our own: what a server sends may nest deeper than calls can.
  const waiting: Waiting[] = ROOTS[part].map((key) => ({ value: ownMember(message, key), isRoot: true })).reverse();
  for (let next = waiting.pop(); next !== undefined && size <= MOST_SCREENED; next = waiting.pop()) {
    const { value } = next;
    if (typeof value === 'string' && value !== '' && !PROTOCOL_WORDS.has(value)) {
      lines.push(value);
      size += value.length + 1;
    } else if (typeof value === 'object' && value !== null) {
      for (const one of childrenOf(value, next.isRoot).reverse()) waiting.push(one);
    }
  }
  return lines.join('\n').slice(0, MOST_SCREENED + 1);
}

interface Waiting {
  readonly value: unknown;
  readonly isRoot: boolean;
}

function childrenOf(value: object, isRoot: boolean): Waiting[] {
  if (Array.isArray(value)) return value.map((one) => ({ value: one, isRoot: false }));
  const { type } = value as { type?: unknown };
  const isMedia = type === 'image' || type === 'audio';
  return Object.entries(value).flatMap(([key, member]) => {
    if (isRoot && OPAQUE.has(key)) return [];
    // Base64: a text there is none to who reads it.
    if (typeof member === 'string' && (key === 'blob' || (isMedia && key === 'data'))) return [];
    return [
      { value: key, isRoot: false },
      { value: member, isRoot: false },
    ];
  });
}
