/**
 * Tools that are no longer what was pinned, as lists show it: said once for each state, and with `changedTools: refuse`
 * not called any more until a commit pins them anew.
 */
import { keepNewest } from '../keep-newest.ts';
import type { Log } from '../log.ts';
import { findPin, type Pin, type Pins, type ToolChange } from '../policy/pins.ts';
import { toolChangeEvent } from '../policy/tool-changes.ts';
import type { SystemStrand } from '../recording/system.ts';
import type { Session } from '../sessions/sessions.ts';

interface Shown {
  readonly changed: readonly ToolChange[];
  readonly asPinned: readonly string[];
  readonly added: readonly string[];
}

export interface ToolWatch {
  /** What a list has shown; an event of this session and of the system strand where tools are not as pinned. */
  note(session: Session, pins: Pins | undefined, shown: Shown): void;
  /** Whether the last list that was seen here had this tool unlike this pin. */
  isChanged(connection: string, pin: Pin): boolean;
}

const MOST_STATES = 10_000;

export function createToolWatch(deps: { log: Log; system: () => SystemStrand }): ToolWatch {
  /** By connection and tool the digest of the pin that it was unlike: another pin is another question. */
  const unlike = new Map<string, string>();
  const said = new Map<string, true>();
  const keyOf = (connection: string, tool: string): string => JSON.stringify([connection, tool]);

  return {
    note(session, pins, { changed, asPinned, added }) {
      const { connection } = session;
      for (const name of asPinned) unlike.delete(keyOf(connection, name));
      for (const { name } of changed) {
        const pin = pins === undefined ? undefined : findPin(pins, name);
        if (pin !== undefined) keepNewest(unlike, keyOf(connection, name), pin.digest, MOST_STATES);
      }
      const state = toolChangeEvent(connection, { changed, added, missing: [] });
      if (state === undefined || said.has(state.key)) return;
      keepNewest(said, state.key, true, MOST_STATES);
      session.strand.append({ type: 'event', event: { ...state.event } });
      const { name, ...details } = state.event;
      deps.log.warn({ event: 'tools_changed', ...details }, 'Tools are not as they were pinned.');
      void deps
        .system()
        .event(name, details)
        .catch(() => {});
    },
    isChanged: (connection, { name, digest }) => unlike.get(keyOf(connection, name)) === digest,
  };
}
