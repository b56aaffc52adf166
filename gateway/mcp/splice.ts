/** Changes JSON where it stands: every byte outside an edit is the byte that was there. */
import { COMMA } from './ascii.ts';
import { parseJson } from './parse.ts';
import { textOf, walkJson } from './walk.ts';

/** Bytes `start` to `end` (exclusive) become `replacement`. */
export interface Edit {
  readonly start: number;
  readonly end: number;
  readonly replacement: Buffer;
}

/** An element or member: the range of its value, and its key or index. */
export interface Child {
  readonly step: string | number;
  /** Of a member: where its key begins. */
  readonly key?: number;
  readonly start: number;
  readonly end: number;
}

/** An array or object that stands at a path, with all that it holds. */
export interface Located {
  readonly isObject: boolean;
  readonly start: number;
  readonly end: number;
  readonly children: readonly Child[];
}

export type JsonPath = readonly (string | number)[];

/**
 * The bytes with all edits made; the very same buffer where there are none. Throws RangeError where edits overlap, are
 * out of order or lie outside the bytes.
 */
export function spliceBytes(bytes: Buffer, edits: readonly Edit[]): Buffer {
  if (edits.length === 0) return bytes;
  const pieces: Buffer[] = [];
  let at = 0;
  for (const { start, end, replacement } of edits) {
    if (start < at || end < start || end > bytes.length) throw new RangeError(`The edit at ${start} is out of order.`);
    pieces.push(bytes.subarray(at, start), replacement);
    at = end;
  }
  pieces.push(bytes.subarray(at));
  return Buffer.concat(pieces);
}

interface Frame {
  readonly isObject: boolean;
  readonly start: number;
  /** Every step to it is that of the path. */
  readonly onPath: boolean;
  /** It stands at the end of the path. */
  readonly children: Child[] | undefined;
  step: string | number;
  key: number;
  /** Where the container inside it began that is open. */
  from: number;
}

/**
 * The arrays and objects at a path. Where keys are doubled one path leads to several: readers differ in which of them
 * they take, so a change has to be made to all. Throws JsonTextError.
 */
export function locate(bytes: Buffer, path: JsonPath): Located[] {
  const found: Located[] = [];
  const frames: Frame[] = [];

  /** A value begins: its step is noted, and whether it is on the path. */
  function enter(start: number): boolean {
    const frame = frames.at(-1);
    if (frame === undefined) return true;
    if (!frame.isObject) frame.step = (frame.step as number) + 1;
    frame.from = start;
    return frame.onPath && frames.length <= path.length && frame.step === path[frames.length - 1];
  }

  function leave(end: number): void {
    const frame = frames.at(-1);
    frame?.children?.push({ step: frame.step, ...(frame.isObject ? { key: frame.key } : {}), start: frame.from, end });
  }

  function scalar(start: number, end: number): void {
    enter(start);
    leave(end);
  }

  walkJson(bytes, {
    key(start, end, escaped) {
      const frame = frames.at(-1);
      if (frame?.onPath) frame.step = textOf(bytes, start, end, escaped);
      if (frame !== undefined) frame.key = start;
    },
    string: scalar,
    number: scalar,
    word: scalar,
    open(start, isObject) {
      const onPath = enter(start);
      const children = onPath && frames.length === path.length ? [] : undefined;
      frames.push({ isObject, start, onPath, children, step: isObject ? '' : -1, key: 0, from: 0 });
    },
    close(end) {
      const frame = frames.pop();
      if (frame?.children) {
        found.push({ isObject: frame.isObject, start: frame.start, end, children: frame.children });
      }
      leave(end);
    },
  });
  return found;
}

/**
 * The text without those elements of the array at `path` that are not to be kept, each taken out with one comma beside
 * it. `keep` gets the element as parseJson reads it. Where no array stands at the path nothing changes. Throws
 * JsonTextError, and what `keep` throws.
 */
export function removeElements(
  bytes: Buffer,
  path: JsonPath,
  keep: (index: number, value: unknown) => boolean,
): Buffer {
  const edits = locate(bytes, path).flatMap(({ isObject, children }) =>
    isObject ? [] : removals(bytes, children, keep),
  );
  return spliceBytes(bytes, edits);
}

/**
 * The text without those members of the object at `path`, each taken out with its key and one comma beside it. Where no
 * object stands at the path nothing changes. Throws JsonTextError.
 */
export function removeMembers(bytes: Buffer, path: JsonPath, keys: readonly string[]): Buffer {
  const edits = locate(bytes, path).flatMap(({ isObject, children }) => {
    const members = children.map(({ step, key, start, end }) => ({ step, start: key ?? start, end }));
    return isObject
      ? removedBy(
          bytes,
          members,
          members.map(({ step }) => !keys.includes(String(step))),
        )
      : [];
  });
  return spliceBytes(bytes, edits);
}

function removals(bytes: Buffer, children: readonly Child[], keep: (index: number, value: unknown) => boolean): Edit[] {
  const kept = children.map(({ start, end }, index) => keep(index, parseJson(bytes.subarray(start, end))));
  return removedBy(bytes, children, kept);
}

function removedBy(bytes: Buffer, children: readonly Child[], kept: readonly boolean[]): Edit[] {
  const last = kept.lastIndexOf(true);
  return children.flatMap((child, index) => {
    if (kept[index]) return [];
    const element = cut(child.start, child.end);
    // Behind the last that stays a comma would be left over: there the one before goes instead.
    if (index < last) return [element, comma(bytes, child.end)];
    const before = children[index - 1];
    return before === undefined ? [element] : [comma(bytes, before.end), element];
  });
}

/** Between two elements there is one comma, and white space. */
function comma(bytes: Buffer, from: number): Edit {
  const at = bytes.indexOf(COMMA, from);
  return cut(at, at + 1);
}

function cut(start: number, end: number): Edit {
  return { start, end, replacement: Buffer.alloc(0) };
}

/**
 * The text with another value for the member at `path`, whose last step is its key; added as the last member where it
 * is absent. Where no object stands before that step nothing changes. `json` is put in as it is. Throws JsonTextError.
 */
export function setMember(bytes: Buffer, path: readonly [...JsonPath, string], json: string): Buffer {
  const key = path.at(-1) as string;
  const replacement = Buffer.from(json);
  const edits = locate(bytes, path.slice(0, -1)).flatMap(({ isObject, start, children }): Edit[] => {
    if (!isObject) return [];
    const there = children.filter(({ step }) => step === key);
    if (there.length > 0) return there.map((member) => ({ start: member.start, end: member.end, replacement }));
    const last = children.at(-1)?.end;
    const at = last ?? start + 1;
    const added = Buffer.from(`${last === undefined ? '' : ','}${JSON.stringify(key)}:${json}`);
    return [{ start: at, end: at, replacement: added }];
  });
  return spliceBytes(bytes, edits);
}
