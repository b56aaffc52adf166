/** Since when the oldest line of a journal waits to be sealed. */
import { isAfter, type Position } from './journal-file.ts';

export interface JournalAge {
  /** Lines up to `position` became durable now. */
  add(position: Position, at: number): void;
  sealed(to: Position): void;
  /** Milliseconds, as they were given; undefined where all is sealed. */
  oldest(): number | undefined;
}

/** Beyond this many marks neighbours become one: an outage of days costs no memory. */
const MOST_MARKS = 2048;

export function createJournalAge(): JournalAge {
  // At most one mark a second: up to which position lines are not older than `at`.
  const marks: { position: Position; at: number }[] = [];

  /** The older time and the later end: no line is taken for younger than it is. */
  function halve(): void {
    const halved = marks.flatMap(({ at, position }, index) => {
      return index % 2 === 1 ? [] : [{ at, position: (marks[index + 1] ?? { position }).position }];
    });
    marks.splice(0, marks.length, ...halved);
  }

  return {
    add(position, at) {
      const last = marks.at(-1);
      if (last !== undefined && at - last.at < 1000) last.position = position;
      else marks.push({ position, at });
      if (marks.length > MOST_MARKS) halve();
    },
    sealed(to) {
      while (marks[0] !== undefined && !isAfter(marks[0].position, to)) marks.shift();
    },
    oldest: () => marks[0]?.at,
  };
}
