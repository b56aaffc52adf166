import type { EventId, EventStore, JSONRPCMessage, StreamId } from '@modelcontextprotocol/server';

/**
 * The memory of one legacy session, from which a stream is resumed (2025-11-25 transports, "Resumability and Redelivery").
 *
 * An event id is `<stream>_<n>` with n counted over the whole session, so an id names its stream and its place in it.
 * A message without `method` and `jsonrpc` is the priming event: it has an id but is never sent again.
 */
export function createEventStore(): EventStore {
  const events: { id: EventId; stream: StreamId; message: JSONRPCMessage }[] = [];

  return {
    async storeEvent(stream, message) {
      const id = `${stream}_${events.length}`;
      events.push({ id, stream, message });
      return id;
    },
    async getStreamIdForEventId(id) {
      return events.find((event) => event.id === id)?.stream;
    },
    async replayEventsAfter(lastEventId, { send }) {
      const last = events.findIndex((event) => event.id === lastEventId);
      const stream = events[last]?.stream;
      if (stream === undefined) throw new Error('unknown event id');
      for (const event of events.slice(last + 1)) {
        // Redelivery stays inside the stream that broke: the specification forbids the messages of another one.
        if (event.stream === stream && 'jsonrpc' in event.message) await send(event.id, event.message);
      }
      return stream;
    },
  };
}
