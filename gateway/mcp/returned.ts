import type { ReturnedMessage } from '../recording/frame.ts';

/**
 * The places of a JSON-RPC message that a recording notes. A scanner says which value stands in which place; this
 * module says what message they make. As in JSON.parse, the last of several values of one key counts.
 */
export type Place = 'other' | 'id' | 'method' | 'params' | 'result' | 'error' | 'name' | 'uri' | 'code' | 'isError';

/** A value, as far as it matters: a string or number only where the scanner captured it. */
export type Noted =
  | { readonly type: 'string'; readonly text: string | undefined }
  | { readonly type: 'number'; readonly value: number | undefined }
  | { readonly type: 'true' | 'null' | 'scalar' | 'container' };

export interface ReturnedDraft {
  /** A key begins: what an earlier key of the same name said is void. */
  forget(place: Place): void;
  note(place: Place, value: Noted): void;
  finish(): ReturnedMessage;
}

const TOP: ReadonlyMap<string, Place> = new Map<string, Place>([
  ['id', 'id'],
  ['method', 'method'],
  ['params', 'params'],
  ['result', 'result'],
  ['error', 'error'],
]);

/** The place of a member of the message itself. */
export function placeOf(key: string): Place {
  return TOP.get(key) ?? 'other';
}

/** The place of a member of `params`, `result` or `error`. */
export function placeInside(outer: Place, key: string): Place {
  if (outer === 'params' && (key === 'name' || key === 'uri')) return key;
  if (outer === 'result' && key === 'isError') return key;
  if (outer === 'error' && key === 'code') return key;
  return 'other';
}

/** What a member turned out to be: null counts as absent, as lenient servers write it. */
type Seen = 'absent' | 'present' | 'wrong';

export function createReturnedDraft(): ReturnedDraft {
  let idSeen: Seen = 'absent';
  let id: string | number | undefined;
  let methodSeen: Seen = 'absent';
  let method: string | undefined;
  let name: string | undefined;
  let uri: string | undefined;
  let hasResult = false;
  let hasError = false;
  let code: number | undefined;
  let isError = false;

  function forget(place: Place): void {
    if (place === 'id') [idSeen, id] = ['absent', undefined];
    else if (place === 'method') [methodSeen, method] = ['absent', undefined];
    else if (place === 'params') [name, uri] = [undefined, undefined];
    else if (place === 'result') [hasResult, isError] = [true, false];
    else if (place === 'error') [hasError, code] = [false, undefined];
    else if (place === 'name') name = undefined;
    else if (place === 'uri') uri = undefined;
    else if (place === 'code') code = undefined;
    else if (place === 'isError') isError = false;
  }

  function note(place: Place, value: Noted): void {
    if (place === 'isError') isError = value.type === 'true';
    if (value.type === 'null') return;
    if (place === 'id') {
      idSeen = value.type === 'string' || value.type === 'number' ? 'present' : 'wrong';
      if (value.type === 'string') id = value.text;
      if (value.type === 'number' && isExact(value.value)) id = value.value;
    } else if (place === 'method') {
      methodSeen = value.type === 'string' ? 'present' : 'wrong';
      if (value.type === 'string') method = value.text;
    } else if (place === 'error') hasError = true;
    else if (place === 'code' && value.type === 'number' && isExact(value.value)) code = value.value;
    else if (place === 'name' && value.type === 'string') name = value.text;
    else if (place === 'uri' && value.type === 'string') uri = value.text;
  }

  function kindOf(): ReturnedMessage['kind'] {
    if (idSeen === 'wrong' || methodSeen === 'wrong') return 'unreadable';
    // With a method and a result, one reader sees a request and another a response.
    if (methodSeen === 'present') {
      if (hasResult || hasError) return 'unreadable';
      return idSeen === 'present' ? 'request' : 'notification';
    }
    if (hasError) return code === undefined ? 'unreadable' : 'response';
    return hasResult ? 'response' : 'unreadable';
  }

  return {
    forget,
    note,
    finish() {
      const kind = kindOf();
      const known = id === undefined ? {} : { id };
      if (kind === 'unreadable') return { kind, ...known };
      if (kind === 'response') {
        const failure = hasError && code !== undefined ? { error: code } : {};
        return { kind, ...known, ...failure, ...(isError ? { isError } : {}) };
      }
      const named = name ?? uri;
      return {
        kind,
        ...known,
        ...(method === undefined ? {} : { method }),
        ...(named === undefined ? {} : { name: named }),
      };
    },
  };
}

/** A number that a recording can repeat as it was; an integer beyond 2^53 would come out as another one. */
function isExact(value: number | undefined): value is number {
  return Number.isFinite(value) && (!Number.isInteger(value) || Number.isSafeInteger(value));
}
