/** Gathers what a reader finds in a statement. */
import type { SqlFacts, SqlReading } from '../statement.ts';

/** More names than anybody looks through; a text of 64 KiB holds more. */
const MAX_NAMES = 1000;

export interface FactsDraft {
  command(name: string): void;
  table(name: string): void;
  called(name: string): void;
  /** Why it is not read-only: the first reason counts. In words without the statement's text. */
  writes(why: string): void;
  finish(): SqlReading;
}

export function createFactsDraft(): FactsDraft {
  const commands = new Set<string>();
  const tables = new Set<string>();
  const functions = new Set<string>();
  let why: string | undefined;
  const sorted = (names: ReadonlySet<string>): string[] => [...names].sort();
  return {
    command: (name) => void commands.add(name),
    table: (name) => void tables.add(name),
    called: (name) => void functions.add(name),
    writes: (reason) => {
      why ??= reason;
    },
    finish() {
      // An empty list of commands says that the parser saw nothing: that is not the same as nothing being there.
      if (commands.size === 0) return unreadable('its parser finds no statement');
      if (commands.size + tables.size + functions.size > MAX_NAMES) return unreadable('it names too many things');
      const facts = { commands: sorted(commands), tables: sorted(tables), functions: sorted(functions) };
      if (why === undefined) return { ok: true, ...facts, readOnly: true } satisfies SqlFacts;
      return { ok: true, ...facts, readOnly: false, notReadOnly: why } satisfies SqlFacts;
    },
  };
}

export function unreadable(why: string): SqlReading {
  return { ok: false, words: `The SQL is not read: ${why}.` };
}
