/** Reads SQL: what it does, to what, by which functions, and whether it only reads. */
import type { Dialect, SqlReading } from '../statement.ts';
import { loadGrammar } from './grammar.ts';
import { loadPostgresql } from './postgresql.ts';
import { scan, type Token } from './scan.ts';

/** Holds the parser of one dialect. */
export interface SqlReader {
  /** Never throws. Takes as long as the grammar wants: run it where it can be cut off. */
  read(text: string): SqlReading;
  /** Reads nothing any more: make another, in another thread. */
  isSpent(): boolean;
}

export async function loadSqlReader(dialect: Dialect): Promise<SqlReader> {
  if (dialect === 'postgresql') {
    const parser = await loadPostgresql();
    return { read: (text) => scanned(text, dialect, () => parser.read(text)), isSpent: parser.isSpent };
  }
  const parser = await loadGrammar(dialect);
  return { read: (text) => scanned(text, dialect, (tokens) => parser.read(text, tokens)), isSpent: () => false };
}

function scanned(text: string, dialect: Dialect, parse: (tokens: readonly Token[]) => SqlReading): SqlReading {
  const found = scan(text, dialect);
  return found.ok ? parse(found.tokens) : found;
}
