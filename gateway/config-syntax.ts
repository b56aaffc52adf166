import type { YAMLError } from 'yaml';

/** What is wrong and what to write instead, in the words of this program: the parser's own quote the file. */
interface Words {
  readonly problem: string;
  readonly fix: string;
}

const UNCLOSED: Words = { problem: 'lacks a closing ] or }', fix: 'Close the bracket that is open here.' };
const NO_COLON: Words = {
  problem: 'is not `key: value`',
  fix: 'Write the key, a colon and a space; put quotes around text of several lines.',
};

/** The parser gives many mistakes one code; these beginnings of its messages are constant text. */
const BY_MESSAGE: readonly (readonly [RegExp, Words])[] = [
  [/^Missing closing/, { problem: 'ends inside quotes', fix: 'Close the quote that was opened here or above.' }],
  [/^Flow (map|sequence)\b.* end with a [\]}]$/, UNCLOSED],
  [/^Missing ,/, { problem: 'lacks a comma', fix: 'Separate the entries with commas.' }],
  [/^Missing space after :/, { problem: 'lacks a space after the colon', fix: 'Write `key: value`.' }],
  [/^Implicit map keys need/, NO_COLON],
  [/^Sequence item without -/, { problem: 'lacks a -', fix: 'Begin each entry of the list with - and a space.' }],
];

const ANCHORS: Words = { problem: 'has an anchor or a tag too many', fix: 'Write the value out.' };

const BY_CODE: Partial<Readonly<Record<YAMLError['code'], Words>>> = {
  ALIAS_PROPS: ANCHORS,
  BAD_ALIAS: { problem: 'is an alias of no anchor', fix: 'Write the value out.' },
  BAD_DIRECTIVE: { problem: 'is a directive', fix: 'Take the line that begins with % out.' },
  BAD_DQ_ESCAPE: { problem: 'has an escape that YAML does not know', fix: 'Write \\\\ for a backslash.' },
  BAD_INDENT: { problem: 'is not indented like its neighbours', fix: 'Indent with two spaces a level.' },
  BAD_PROP_ORDER: ANCHORS,
  BAD_SCALAR_START: { problem: 'begins with a character of YAML’s own', fix: 'Put quotes around the value.' },
  BLOCK_AS_IMPLICIT_KEY: {
    problem: 'has a key where a value belongs',
    fix: 'Put quotes around a value that holds a colon, or indent the line like its neighbours.',
  },
  BLOCK_IN_FLOW: {
    problem: 'has no comma or no closing bracket before it',
    fix: 'Separate what is inside { } and [ ] with commas.',
  },
  DUPLICATE_KEY: { problem: 'is a key that is there twice', fix: 'Take one of the two out.' },
  MISSING_CHAR: { problem: 'lacks a separating character', fix: 'Check quotes, brackets, colons and spaces.' },
  MULTILINE_IMPLICIT_KEY: NO_COLON,
  MULTIPLE_ANCHORS: ANCHORS,
  MULTIPLE_DOCS: { problem: 'begins a second document', fix: 'Keep one document a file.' },
  MULTIPLE_TAGS: ANCHORS,
  RESOURCE_EXHAUSTION: { problem: 'is nested too deeply', fix: 'Take levels out.' },
  TAB_AS_INDENT: { problem: 'is indented with a tab', fix: 'Indent with spaces.' },
  TAG_RESOLVE_FAILED: { problem: 'has a YAML tag', fix: 'Take the !tag out.' },
  UNEXPECTED_TOKEN: { problem: 'has something that does not belong there', fix: 'Check quotes, brackets and commas.' },
};

/** What a mistake in YAML is, without a word of the file: it could be a secret that does not belong there. */
export function syntaxWords({ code, message }: YAMLError): Words {
  const known = BY_MESSAGE.find(([pattern]) => pattern.test(message))?.[1] ?? BY_CODE[code];
  return known ?? { problem: 'is not valid YAML', fix: 'Check indentation and quotes.' };
}
