/**
 * Statements of other languages inside arguments, and what their parsers say of them. Parsers are heavy and can be made to
 * take long, so a worker runs them: a decision that needs a reading says so, and is made again when it is there.
 */

export type Dialect = 'postgresql' | 'mysql' | 'bigquery' | 'sqlite';

export type Question =
  | { readonly kind: 'sql'; readonly dialect: Dialect; readonly text: string }
  | { readonly kind: 'shell'; readonly text: string };

export interface SqlFacts {
  readonly ok: true;
  /** Kinds of all statements, also nested ones (in CTEs, EXPLAIN), upper case, sorted, each once: `SELECT`, `DROP TABLE`. */
  readonly commands: readonly string[];
  /** Tables that are named, `schema.table` where it is written so, as the dialect folds case; no CTE names. */
  readonly tables: readonly string[];
  /** Functions that are called, as the dialect folds case. */
  readonly functions: readonly string[];
  /** Only SELECT, without INTO and locks, and every function on the dialect's list of harmless ones. */
  readonly readOnly: boolean;
  /** Why it is not read-only, in words without the statement's text. */
  readonly notReadOnly?: string;
}

export interface ShellFacts {
  readonly ok: true;
  /** Names of all programs that it runs, also nested ones, sorted, each once. */
  readonly programs: readonly string[];
}

/** What can't be read for certain is never allowed. `words` say why, without the text. */
export interface Unreadable {
  readonly ok: false;
  readonly words: string;
}

export type SqlReading = SqlFacts | Unreadable;
export type ShellReading = ShellFacts | Unreadable;
export type Reading = SqlReading | ShellReading;

/** Readings by `questionKey`. */
export type Readings = ReadonlyMap<string, Reading>;

export function questionKey(question: Question): string {
  return question.kind === 'sql' ? `sql ${question.dialect} ${question.text}` : `shell ${question.text}`;
}
