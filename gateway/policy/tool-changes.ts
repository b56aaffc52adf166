/** What a recording and an alert say when a server's tools are not as they were pinned. */
import { createHash } from 'node:crypto';
import { canonicalJson } from '../canonical-json.ts';
import type { PinComparison, ToolChange } from './pins.ts';

export interface ToolChangeEvent {
  readonly name: 'tools.changed';
  readonly connection: string;
  readonly changed: readonly ToolChange[];
  readonly added: readonly string[];
  readonly missing: readonly string[];
  /** How many more there are than are named here. */
  readonly more?: number;
}

/** A server may list any number of tools, of any length: a frame names so many of each sort, so far. */
const MOST_NAMED = 100;
const LONGEST_NAME = 128;

/**
 * The event of a state, and the key of that state: an event with the same key was said already. `undefined` where all is
 * as pinned.
 */
export function toolChangeEvent(
  connection: string,
  found: PinComparison,
): { readonly event: ToolChangeEvent; readonly key: string } | undefined {
  const changed = found.changed.toSorted(byName);
  const added = found.added.toSorted();
  const missing = found.missing.toSorted();
  const count = changed.length + added.length + missing.length;
  if (count === 0) return undefined;
  const key = createHash('sha256').update(canonicalJson({ connection, changed, added, missing })).digest('hex');
  const named = {
    changed: changed.slice(0, MOST_NAMED).map(({ name, what }) => ({ name: shortened(name), what })),
    added: added.slice(0, MOST_NAMED).map(shortened),
    missing: missing.slice(0, MOST_NAMED).map(shortened),
  };
  const more = count - named.changed.length - named.added.length - named.missing.length;
  return { event: { name: 'tools.changed', connection, ...named, ...(more === 0 ? {} : { more }) }, key };
}

function byName(a: ToolChange, b: ToolChange): number {
  return a.name < b.name ? -1 : a.name > b.name ? 1 : 0;
}

function shortened(name: string): string {
  // A pair of surrogates is not cut in two: the frame is UTF-8.
  return name.length <= LONGEST_NAME ? name : `${name.slice(0, LONGEST_NAME - 1).toWellFormed()}…`;
}
