import type { EventStore, JSONRPCMessage } from '@modelcontextprotocol/server';

/** Events that one session can be resumed over. */
const MOST_EVENTS = 1_000;

/** What one session's streams sent, so that a client that lost a stream can ask for the rest (`Last-Event-ID`). */
export function createEventStore(): EventStore {
  const events = new Map<string, { stream: string; message: JSONRPCMessage }>();
  let last = 0;

  return {
    async storeEvent(stream, message) {
      const id = String(++last);
      events.set(id, { stream, message });
      events.delete(String(last - MOST_EVENTS));
      return id;
    },
    async getStreamIdForEventId(id) {
      return events.get(id)?.stream;
    },
    async replayEventsAfter(id, { send }) {
      const stream = events.get(id)?.stream;
      if (stream === undefined) throw new Error('This event is not known any more.');
      let after = false;
      for (const [eventId, event] of events) {
        // An event without a message only primed its stream (2025-11-25): it is a place to resume from, never sent again.
        if (after && event.stream === stream && 'jsonrpc' in event.message) await send(eventId, event.message);
        after ||= eventId === id;
      }
      return stream;
    },
  };
}
