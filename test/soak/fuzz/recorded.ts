/** What the gateway has recorded of a fuzz run, read back from its store after its end. */
import { createExchangeGrouping, releasedBytes, requestBytes } from '../../../gateway/recording/exchange.ts';
import { openRecordings } from '../../../gateway/recording/read.ts';
import { openStore } from '../../../gateway/store/open.ts';
import { keyOf } from './honest.ts';

export interface Recorded {
  /** Requests that were not refused, on the connection of the honest upstream, by method and body. */
  readonly passed: ReadonlyMap<string, number>;
  /** Refusals by code, in sessions and outside of them. */
  readonly refused: Readonly<Record<string, number>>;
  /** How calls of the hostile upstream ended, by result. */
  readonly results: Readonly<Record<string, number>>;
  /** What was released of the answer to the call of this id, on the connection of the hostile upstream. */
  readonly released: ReadonlyMap<number, Buffer>;
  /** Exchanges without an end. */
  readonly open: number;
}

export async function readRecorded(storeUrl: string): Promise<Recorded> {
  const recordings = openRecordings(openStore(storeUrl));
  const passed = new Map<string, number>();
  const refused: Record<string, number> = {};
  const results: Record<string, number> = {};
  const released = new Map<number, Buffer>();
  const count = (counts: Record<string, number>, name: string, more = 1): void => {
    counts[name] = (counts[name] ?? 0) + more;
  };
  let open = 0;
  for (const filter of [{}, { system: true }]) {
    for await (const { session, connection } of recordings.sessions(filter)) {
      const grouping = createExchangeGrouping();
      for await (const item of recordings.frames(session)) {
        if (item.kind !== 'frame') throw new Error(`A recording has a problem: ${JSON.stringify(item)}`);
        const { frame } = item;
        if (frame.type === 'event' && frame.event.name === 'refused') {
          count(refused, String(frame.event.reason), Number(frame.event.count));
        }
        const exchange = grouping.add(frame);
        if (exchange?.request === undefined) continue;
        const { request, end } = exchange;
        if (connection === 'hostile') {
          count(results, end?.outcome.result ?? 'none');
          released.set(Number(request.messages[0]?.id), releasedBytes(exchange));
        } else if (request.refused !== undefined) count(refused, request.refused);
        else {
          const key = keyOf(request.method, requestBytes(exchange));
          passed.set(key, (passed.get(key) ?? 0) + 1);
        }
      }
      open += grouping.rest().length;
    }
  }
  return { passed, refused, results, released, open };
}
