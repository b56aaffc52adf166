/** Files that people write in YAML 1.2: read whole, or not at all with every mistake at its place. No I/O here. */
import { type Document, isMap, isScalar, isSeq, LineCounter, parseDocument } from 'yaml';
import type { ConfigProblem } from './config-problems.ts';
import { syntaxWords } from './config-syntax.ts';

/**
 * A mistake in a file. Line and column count from 1 and are 0 where it is the file itself (it is not there, it is no
 * text); `key` is dotted, `connections.orders.paths[0]`, or empty.
 */
export interface FileProblem {
  /** Where it is another file than the one that was asked for. */
  readonly file?: string;
  readonly line: number;
  readonly column: number;
  readonly key: string;
  readonly problem: string;
  readonly fix: string;
}

export type ReadYaml =
  | {
      readonly ok: true;
      readonly value: unknown;
      /** Where the deepest existing part of a path of keys stands. */
      place(path: readonly (string | number)[]): { readonly line: number; readonly column: number };
      /** Mistakes of values, at their places, in the file's order. */
      locate(problems: readonly ConfigProblem[]): FileProblem[];
    }
  | { readonly ok: false; readonly problems: readonly FileProblem[] };

/** Bytes of one file. */
export const MAX_FILE: number = 1024 * 1024;
/** Room for a shared `limits`, far from what a billion laughs needs. */
const MAX_ALIASES = 100;
/** Mistakes in YAML that are named: what follows them is mostly their consequence. */
const MOST_SYNTAX = 3;

/** Never throws for what the text holds, and never repeats it. */
export function readYaml(text: string): ReadYaml {
  const counter = new LineCounter();
  const at = (offset: number) => {
    const { line, col } = counter.linePos(offset);
    return { line: Math.max(line, 1), column: Math.max(col, 1) };
  };
  const document = parseDocument(text, {
    lineCounter: counter,
    prettyErrors: false, // pretty errors quote the line, which could hold a secret that does not belong there
    version: '1.2',
    schema: 'core',
    uniqueKeys: true,
  });
  const syntax = [...document.errors, ...document.warnings].map((error) => ({
    ...at(error.pos[0]),
    key: '',
    ...syntaxWords(error),
  }));
  // One slip makes the parser stumble several times: the first in a line says what it was.
  const problems = syntax.filter((one, index) => syntax.findIndex(({ line }) => line === one.line) === index);
  if (problems.length > 0) return { ok: false, problems: problems.slice(0, MOST_SYNTAX) };

  let value: unknown;
  try {
    value = document.toJS({ maxAliasCount: MAX_ALIASES });
  } catch {
    const words = { problem: 'uses aliases that can not be resolved', fix: 'Write the values out.' };
    return { ok: false, problems: [{ line: 1, column: 1, key: '', ...words }] };
  }
  const place = (path: readonly (string | number)[]) => at(offsetOf(document, path));
  return {
    ok: true,
    value,
    place,
    locate: (found) =>
      found
        .map(({ path, problem, fix }) => ({ ...place(path), key: dotted(path), problem, fix }))
        .sort((one, other) => one.line - other.line || one.column - other.column),
  };
}

/** A mistake as people read it: `gateway.yaml:3:1 listen.port: is missing. Fix: …`, or `gateway.yaml does not exist.` */
export function problemWords(asked: string, { file = asked, line, column, key, problem, fix }: FileProblem): string {
  if (line === 0) return `${file} ${problem}.`;
  return `${file}:${line}:${column} ${key === '' ? '' : `${key}: `}${problem}. Fix: ${fix}`;
}

function dotted(path: readonly (string | number)[]): string {
  return path.reduce<string>(
    (key, step) => (typeof step === 'number' ? `${key}[${step}]` : key ? `${key}.${step}` : step),
    '',
  );
}

/** Where the deepest existing part of a key path stands: the key in a map, the item in a list. */
function offsetOf(document: Document, path: readonly (string | number)[]): number {
  let node: unknown = document.contents;
  let offset = 0;
  for (const step of path) {
    if (isMap(node)) {
      const pair = node.items.find(({ key }) => isScalar(key) && String(key.value) === String(step));
      if (pair === undefined) break;
      if (isScalar(pair.key) && pair.key.range) offset = pair.key.range[0];
      node = pair.value;
    } else if (isSeq(node)) {
      node = node.items[Number(step)];
      if ((isScalar(node) || isMap(node)) && node.range) offset = node.range[0];
    } else break;
  }
  return offset;
}
