/** A listing of a bucket, page by page, as `Store.list` has it. */
import { compareNames, isName, parsePrefix } from './name.ts';
import type { Store } from './store.ts';
import { StoreError } from './store-error.ts';

interface Page {
  readonly shown: readonly string[];
  readonly next: string | undefined;
}

/** `fetch` is given the query of a page, and resolves with Google's JSON. */
export async function* listPages(
  prefix: string,
  { delimiter, startAfter }: NonNullable<Parameters<Store['list']>[1]>,
  fetch: (query: string) => Promise<unknown>,
): AsyncGenerator<string> {
  parsePrefix(prefix);
  const offset = startAfter === undefined ? '' : offsetFor(startAfter);
  const asked = new URLSearchParams({ fields: 'items(name),prefixes,nextPageToken' });
  if (prefix !== '') asked.set('prefix', prefix);
  if (delimiter !== undefined) asked.set('delimiter', delimiter);
  // It filters, so it makes one small page of a long listing. What is before the prefix filters nothing.
  if (compareNames(offset, prefix) > 0) asked.set('startOffset', offset);
  let last = startAfter;
  for (let next: string | undefined; ; ) {
    if (next !== undefined) asked.set('pageToken', next);
    const page = readPage(await fetch(asked.toString()));
    for (const name of page.shown) {
      // A folder that `startAfter` leads into, or that began on the page before.
      if (last !== undefined && compareNames(name, last) <= 0) continue;
      last = name;
      yield name;
    }
    if (page.next === undefined) return;
    next = page.next;
  }
}

/** The longest beginning that Google takes as a name: an offset before the one that is meant only shows more. */
function offsetFor(startAfter: string): string {
  return /^[^\u0000-\u001f\u007f-\u009f\ufffd]*/.exec(startAfter.toWellFormed())?.[0] ?? '';
}

/** Names of objects and of folders in one order; Google gives them in two lists. */
function readPage(content: unknown): Page {
  const { items, prefixes, nextPageToken } = record(content);
  const names = [...array(items).map((item) => record(item).name), ...array(prefixes)];
  if (!names.every((name) => typeof name === 'string')) throw unreadable();
  // What the store would not create is none of its objects.
  const shown = names.filter((name) => isName(name.endsWith('/') ? name.slice(0, -1) : name));
  if (nextPageToken !== undefined && typeof nextPageToken !== 'string') throw unreadable();
  return { shown: shown.sort(compareNames), next: nextPageToken };
}

function record(value: unknown): Readonly<Record<string, unknown>> {
  if (typeof value !== 'object' || value === null) throw unreadable();
  return value as Record<string, unknown>;
}

function array(value: unknown): readonly unknown[] {
  if (value === undefined) return [];
  if (!Array.isArray(value)) throw unreadable();
  return value as unknown[];
}

const unreadable = (): StoreError => new StoreError('io', 'A listing of the bucket could not be read.');
