import { RE2JS, RE2JSException } from 're2js';

/** Finds what a pattern matches, from left to right. Linear in the text, whatever the pattern. Offsets in UTF-16 units. */
export interface Pattern {
  find(text: string): readonly { start: number; end: number }[];
}

export type Compiled =
  | { readonly ok: true; readonly pattern: Pattern }
  | { readonly ok: false; readonly problem: string; readonly fix: string };

const longestSource = 1024;
/** Instructions: each may be looked at for each character of a text. */
const largestProgram = 1000;
/** Matches of nothing show at one of these. */
const samples = ['', 'a', 'a b', '1', '\n', '-'];

/** Words for what the engine does not know, by how it starts in the source. */
const UNKNOWN: readonly (readonly [RegExp, string, string])[] = [
  [/\(\?<?[=!]/, 'look-around', 'match what stands around the value as well, or leave it out'],
  [/\\[1-9]|\\k[<{']|\(\?P=/, 'a back-reference', 'write out what it repeats'],
  [/\(\?>|[*+?}]\+/, 'possessive or atomic matching', 'leave it out: no pattern can run for long here'],
];

/**
 * A named pattern of the policies, in RE2's syntax (https://github.com/google/re2/wiki/Syntax). Refused are what only
 * engines know that may run for ever, and patterns that match the empty text.
 */
export function compilePattern(source: string): Compiled {
  if (source === '') return refused('the pattern is empty', 'say what it looks for');
  if (Buffer.byteLength(source) > longestSource) {
    return refused(`the pattern is longer than ${longestSource} bytes`, 'split it into several named patterns');
  }
  let compiled: RE2JS;
  try {
    compiled = RE2JS.compile(source);
  } catch (error) {
    if (!(error instanceof RE2JSException)) throw error;
    return unknown(source, error.message);
  }
  if (compiled.programSize() > largestProgram) {
    return refused(
      'the pattern repeats too much',
      `ask for fewer repetitions: it takes ${compiled.programSize()} steps, and ${largestProgram} are allowed`,
    );
  }
  if (samples.some((sample) => matchesNothing(compiled, sample))) {
    return refused(
      'the pattern matches the empty text',
      'ask for at least one character: + instead of *, {1,9} instead of {0,9}',
    );
  }
  return { ok: true, pattern: createPattern(compiled) };
}

const refused = (problem: string, fix: string): Compiled => ({ ok: false, problem, fix });

function unknown(source: string, message: string): Compiled {
  for (const [syntax, name, fix] of UNKNOWN) {
    if (syntax.test(source)) return refused(`the pattern uses ${name}, which no linear-time engine has`, fix);
  }
  return refused(`the pattern is not valid: ${message}`, 'write it in the syntax of RE2');
}

function matchesNothing(compiled: RE2JS, sample: string): boolean {
  const matcher = compiled.matcher(sample);
  while (matcher.find()) if (matcher.start() === matcher.end()) return true;
  return false;
}

function createPattern(compiled: RE2JS): Pattern {
  return {
    find(text) {
      const found: { start: number; end: number }[] = [];
      const matcher = compiled.matcher(text);
      while (matcher.find()) {
        found.push({ start: matcher.start(), end: matcher.end() });
      }
      return found;
    },
  };
}
