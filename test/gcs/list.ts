import type { Bucket } from './bucket.ts';
import { invalid } from './error.ts';
import { byteKey } from './names.ts';
import type { StoredObject } from './object.ts';

export interface Page {
  readonly items: readonly StoredObject[];
  readonly prefixes: readonly string[];
  readonly nextPageToken: string | undefined;
}

const PAGE = 1000;

/** objects.list: names by their bytes, rolled up at the delimiter, items and prefixes counted together. */
export function listObjects(bucket: Bucket, query: URLSearchParams, most = PAGE): Page {
  const prefix = query.get('prefix') ?? '';
  const delimiter = query.get('delimiter') ?? '';
  const start = query.get('startOffset') ?? '';
  const end = query.get('endOffset') ?? '';
  const trailing = query.get('includeTrailingDelimiter') === 'true';
  if (query.has('matchGlob') || query.get('versions') === 'true') throw invalid('Not spoken by this double.');
  const limit = Math.min(most, maxResults(query.get('maxResults')));
  const last = readToken(query.get('pageToken'));
  const items: StoredObject[] = [];
  const prefixes: string[] = [];
  let shown: string | undefined;
  const from = [prefix, start, last ?? ''].reduce((a, b) => (byteKey(a) < byteKey(b) ? b : a));
  for (const name of bucket.names.from(from)) {
    if (!byteKey(name).startsWith(byteKey(prefix))) break;
    if (end !== '' && byteKey(name) >= byteKey(end)) break;
    const cut = delimiter === '' ? -1 : name.indexOf(delimiter, prefix.length);
    const rolled = cut === -1 ? undefined : name.slice(0, cut + delimiter.length);
    // What the page before ended with is behind us, and so is all that was rolled up into it.
    if (last !== undefined && (name === last || rolled === last)) continue;
    const isNewPrefix = rolled !== undefined && rolled !== prefixes.at(-1);
    const isItem = rolled === undefined || (trailing && rolled === name);
    if (!isNewPrefix && !isItem) continue;
    if (items.length + prefixes.length >= limit) return { items, prefixes, nextPageToken: writeToken(shown ?? '') };
    if (isNewPrefix) prefixes.push(rolled);
    if (isItem) items.push(bucket.get(name));
    shown = rolled ?? name;
  }
  return { items, prefixes, nextPageToken: undefined };
}

function maxResults(text: string | null): number {
  if (text === null) return PAGE;
  if (!/^\d{1,9}$/.test(text) || Number(text) === 0)
    throw invalid(`Invalid unsigned integer value: '${text}'.`, 'maxResults');
  return Math.min(PAGE, Number(text));
}

const writeToken = (name: string): string => Buffer.from(`\x0a${name}`).toString('base64');

function readToken(token: string | null): string | undefined {
  if (token === null || token === '') return undefined;
  const text = Buffer.from(token, 'base64').toString('utf8');
  if (!text.startsWith('\x0a') || writeToken(text.slice(1)) !== token) throw invalid('Invalid Value', 'pageToken');
  return text.slice(1);
}
