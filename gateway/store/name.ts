import { StoreError } from './store-error.ts';

/** The longest name of an object store (GCS, S3), and the longest file name of common file systems; in bytes. */
const MAX_NAME = 1024;
const MAX_SEGMENT = 255;
/** C0, DEL and C1: nothing that a terminal, a log or a listing could take for something else. */
const CONTROL = /[\u0000-\u001f\u007f-\u009f]/;

/** The name's segments. Throws `StoreError` `invalid_name`; no hostile name gets past here to a path. */
export function parseName(name: string): string[] {
  const segments = name.split('/');
  if (!hasNameCharacters(name) || !segments.every(isSegment)) throw invalid('name');
  return segments;
}

/** A prefix as whole segments and the beginning of the next one. Throws `StoreError` `invalid_name`. */
export function parsePrefix(prefix: string): { folders: string[]; beginning: string } {
  const folders = prefix.split('/');
  const beginning = folders.pop() ?? '';
  if (!hasNameCharacters(prefix) || !folders.every(isSegment)) throw invalid('prefix');
  return { folders, beginning };
}

export function isName(name: string): boolean {
  return hasNameCharacters(name) && name.split('/').every(isSegment);
}

function hasNameCharacters(name: string): boolean {
  return name.isWellFormed() && Buffer.byteLength(name) <= MAX_NAME && !CONTROL.test(name) && !name.includes('\\');
}

function isSegment(segment: string): boolean {
  if (segment === '' || segment === '.' || segment === '..') return false;
  // `.tmp` is where the filesystem store keeps what is not an object yet.
  return Buffer.byteLength(segment) <= MAX_SEGMENT && !segment.startsWith('.tmp');
}

// The name itself stays out of the words: it may be hostile, or a hash of a secret.
function invalid(what: string): StoreError {
  return new StoreError('invalid_name', `This is no ${what} of an object in a store.`);
}

/** Ascending order of UTF-8 bytes, as object stores list. JavaScript's own order differs beyond U+D7FF. */
export function compareNames(a: string, b: string): number {
  return Buffer.compare(Buffer.from(a), Buffer.from(b));
}

/** A name as a listing with `delimiter: '/'` shows it: up to the next `/` after the prefix. */
export function rollUp(name: string, prefix: string): string {
  const slash = name.indexOf('/', prefix.length);
  return slash < 0 ? name : name.slice(0, slash + 1);
}
