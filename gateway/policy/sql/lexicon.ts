/** What a dialect's characters mean before its grammar is asked. */
import type { Dialect } from '../statement.ts';

export interface Lexicon {
  /** Quotes of text. */
  readonly strings: string;
  /** Quotes of names. */
  readonly names: string;
  /** Whether `#` begins a comment; where it does not, it is an operator (PostgreSQL) or nothing (SQLite). */
  readonly hash: 'comment' | 'operator' | 'nothing';
  /** In MySQL `--1` is arithmetic: the comment needs a space, in the server but not in every parser. */
  readonly dashesNeedSpace: boolean;
  /** PostgreSQL's `$tag$…$tag$` and `$1`. Elsewhere a `$` stands inside of a name or is refused. */
  readonly dollarQuotes: boolean;
  /** What of `$` a name may go on with. */
  readonly dollarInNames: boolean;
  /** A quote that is doubled inside of text stands for itself. In BigQuery it ends one text and begins another. */
  readonly doubledQuotes: boolean;
  /** Prefixes after which text follows other rules than the parser knows for certain. */
  readonly refusedPrefixes: ReadonlySet<string>;
}

const NONE: ReadonlySet<string> = new Set();

export const LEXICONS: Readonly<Record<Dialect, Lexicon>> = {
  postgresql: {
    strings: "'",
    names: '"',
    hash: 'operator',
    dashesNeedSpace: false,
    dollarQuotes: true,
    dollarInNames: true,
    doubledQuotes: true,
    refusedPrefixes: NONE,
  },
  mysql: {
    strings: `'"`,
    names: '`',
    hash: 'comment',
    dashesNeedSpace: true,
    dollarQuotes: false,
    dollarInNames: true,
    doubledQuotes: true,
    refusedPrefixes: NONE,
  },
  bigquery: {
    strings: `'"`,
    names: '`',
    hash: 'comment',
    dashesNeedSpace: false,
    dollarQuotes: false,
    dollarInNames: false,
    doubledQuotes: false,
    refusedPrefixes: new Set(['r', 'b', 'rb', 'br']),
  },
  sqlite: {
    strings: "'",
    names: '"`',
    hash: 'nothing',
    dashesNeedSpace: false,
    dollarQuotes: false,
    dollarInNames: true,
    doubledQuotes: true,
    refusedPrefixes: NONE,
  },
};
