/** Which requests of an exchange have been answered, and how: the part of its outcome that JSON-RPC tells. */
import type { EndFrame, ReturnedMessage } from '../recording/frame.ts';

type Answered = EndFrame['outcome']['messages'][number];

export interface Answers {
  /** Notes a message that came back; only responses count. */
  note(message: ReturnedMessage): void;
  /** Notes answers of the gateway's own. */
  add(answered: readonly Answered[]): void;
  /** Ids that were asked and not answered. */
  missing(): (string | number)[];
  readonly all: readonly Answered[];
}

export function createAnswers(asked: readonly (string | number)[]): Answers {
  const unanswered = new Set(asked);
  const all: Answered[] = [];
  return {
    note({ kind, id, error, isError }) {
      if (kind !== 'response') return;
      if (id !== undefined) unanswered.delete(id);
      all.push({
        ...(id === undefined ? {} : { id }),
        ...(error === undefined ? {} : { error }),
        ...(isError ? { isError } : {}),
      });
    },
    add: (answered) => void all.push(...answered),
    missing: () => [...unanswered],
    all,
  };
}
