/**
 * Takes out of a list what its reader may not use: tools, prompts, resources and templates, page by page. All that stays
 * is byte for byte what the server wrote, but for how long it may be cached, and for whom: a list that was made for one
 * principal must be shown to no other.
 */
import type { Era } from '../mcp/eras.ts';
import { parseStrictJson } from '../mcp/json.ts';
import { createLookalikes } from '../mcp/lookalike.ts';
import { ownMember } from '../mcp/methods.ts';
import { removeElements, setMember } from '../mcp/splice.ts';
import { changesOf, findPin, type ListedTool, type Pins, type ToolChange } from './pins.ts';

export type ListKind = 'tool' | 'prompt' | 'resource' | 'resourceTemplate';

export interface ListFilterOptions {
  readonly era: Era;
  /** Whether a thing of this name (tools, prompts), URI (resources) or URI template may be used. */
  mayList(kind: ListKind, name: string): boolean;
  /** What was pinned of this connection. Absent: nothing. */
  readonly pins?: Pins | undefined;
  /** `refuse` takes out tools that are unlike their pin or have none. */
  readonly changedTools: 'flag' | 'refuse';
  /** In a body with several messages: whether this one answers a list. Default: each does. */
  answersList?(id: unknown): boolean;
}

export interface FilteredList {
  readonly bytes: Buffer;
  /** Names, in the order of the list; an empty one for what has no name. */
  readonly removed: readonly string[];
  /** Tools that are unlike their pin, also where they were taken out. */
  readonly changed: readonly ToolChange[];
  /** Tools that are as they were pinned. */
  readonly asPinned: readonly string[];
  /** Tools without a pin, where the connection has pins at all or refuses what has none. */
  readonly added: readonly string[];
}

/** The answer can not be read for certain, so it may not be passed on. The message never holds content. */
export class ListError extends Error {
  override readonly name = 'ListError';
}

/** Milliseconds for which a client may keep a list: what a principal may use changes with groups and policy. */
const LONGEST_TTL = 60_000;

const LISTS = [
  { member: 'tools', kind: 'tool', named: 'name' },
  { member: 'prompts', kind: 'prompt', named: 'name' },
  { member: 'resources', kind: 'resource', named: 'uri' },
  { member: 'resourceTemplates', kind: 'resourceTemplate', named: 'uriTemplate' },
] as const;

const inMessage = createLookalikes(['jsonrpc', 'id', 'method', 'result', 'error']);
const inResult = createLookalikes([...LISTS.map(({ member }) => member), 'ttlMs', 'cacheScope', 'nextCursor']);
const inElement = createLookalikes(['name', 'uri', 'uriTemplate']);

/**
 * A whole answer to `tools/list`, `prompts/list`, `resources/list` or `resources/templates/list` (a body, or the data of an
 * event) as this principal may see it. Every list that stands in the result is filtered, whichever was asked for. What
 * is no result passes as it is: an error, and what a server asks or tells while it answers.
 *
 * Throws ListError where it is not strict JSON, or where a list is none or two readers could find it in different places.
 */
export function filterList(bytes: Buffer, options: ListFilterOptions): FilteredList {
  const json = parseStrictJson(bytes);
  if (!json.ok) throw new ListError(`The list is not strict JSON: ${json.words}`);
  const found: Found = { removed: [], changed: [], asPinned: [], added: [] };
  const { value } = json;
  if (!Array.isArray(value)) return { bytes: filterMessage(bytes, value, [], options, found), ...found };
  let filtered = bytes;
  for (const [at, message] of value.entries()) filtered = filterMessage(filtered, message, [at], options, found);
  return { bytes: filtered, ...found };
}

interface Found {
  readonly removed: string[];
  readonly changed: ToolChange[];
  readonly asPinned: string[];
  readonly added: string[];
}

function filterMessage(
  bytes: Buffer,
  message: unknown,
  at: readonly number[],
  options: ListFilterOptions,
  found: Found,
): Buffer {
  if (inMessage(message)) throw new ListError('A member of the message has two spellings.');
  const result = ownMember(message, 'result');
  if (at.length > 0 && options.answersList?.(ownMember(message, 'id')) === false) return bytes;
  if (typeof result !== 'object' || result === null) return bytes;
  if (inResult(result)) throw new ListError('A member of the result has two spellings.');
  let filtered = bytes;
  for (const list of LISTS) {
    const elements = ownMember(result, list.member);
    if (elements === undefined) continue;
    if (!Array.isArray(elements)) throw new ListError(`result.${list.member} is not a list.`);
    const kept = elements.map((element) => mayStay(list, element, options, found));
    if (kept.every(Boolean)) continue;
    filtered = removeElements(filtered, [...at, 'result', list.member], (index) => kept[index] === true);
  }
  return cachedBriefly(filtered, result, [...at, 'result'], options.era);
}

/** Also notes what has become of a tool since it was pinned: of one that its reader may not use as well. */
function mayStay(
  { kind, named }: (typeof LISTS)[number],
  element: unknown,
  options: ListFilterOptions,
  found: Found,
): boolean {
  const name = inElement(element) ? undefined : ownMember(element, named);
  if (typeof name !== 'string') {
    found.removed.push('');
    return false;
  }
  const asPinned = kind !== 'tool' || isAsPinned(name, element as ListedTool, options, found);
  const stays = options.mayList(kind, name) && (asPinned || options.changedTools === 'flag');
  if (!stays) found.removed.push(name);
  return stays;
}

function isAsPinned(name: string, tool: ListedTool, { pins, changedTools }: ListFilterOptions, found: Found): boolean {
  if (pins === undefined && changedTools === 'flag') return true;
  const pin = pins === undefined ? undefined : findPin(pins, name);
  if (pin === undefined) {
    found.added.push(name);
    return false;
  }
  const what = changesOf(pin, tool);
  if (what.length === 0) found.asPinned.push(name);
  else found.changed.push({ name, what });
  return what.length === 0;
}

/**
 * 2026-07-28 requires `cacheScope`; what is `public`, or to a careless cache what says nothing, is shared by whoever asks.
 */
function cachedBriefly(bytes: Buffer, result: object, path: readonly (string | number)[], era: Era): Buffer {
  let set = bytes;
  const scope = ownMember(result, 'cacheScope');
  const isList = LISTS.some(({ member }) => Object.hasOwn(result, member));
  if (scope !== 'private' && (scope !== undefined || (isList && era === 'modern'))) {
    set = setMember(set, [...path, 'cacheScope'], '"private"');
  }
  const ttl = ownMember(result, 'ttlMs');
  if (ttl === undefined || (typeof ttl === 'number' && ttl <= LONGEST_TTL)) return set;
  return setMember(set, [...path, 'ttlMs'], String(LONGEST_TTL));
}
