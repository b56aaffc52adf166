/** What writers were told to be durable, held against what a reader finds. */
import type { Frame, FrameBody } from '../../../gateway/recording/frame.ts';
import type { Strand } from '../../../gateway/recording/strand.ts';

/** What came of the soak's own frames. */
export interface Compared {
  /** Told to be durable and not recorded as they were written. */
  readonly lost: number;
  /** Recorded more than once. */
  readonly doubled: number;
  /** Refused and recorded all the same, on strands of `durability: disk`. */
  readonly untrue: number;
}

export interface Told {
  /** Queues an exchange: a request, a piece of its answer, its end. Resolves when each was acknowledged or refused. */
  exchange(strand: Strand, exchange: string, text: string): Promise<unknown>;
  /** Nobody hears any more of what is not settled yet: its writer is dead. */
  deaf(): void;
  counts(): { readonly acknowledged: number; readonly refused: number };
  compare(frames: AsyncIterable<Frame>): Promise<Compared>;
}

interface Written {
  readonly body: string;
  readonly isStrict: boolean;
  state: 'waiting' | 'acknowledged' | 'refused';
  found: number;
}

export function createTold(): Told {
  const written = new Map<string, Written>();
  let life = 0;

  function append(strand: Strand, body: FrameBody): Promise<void> {
    const isStrict = (strand.state.durability ?? 'disk') === 'disk';
    const entry: Written = { body: JSON.stringify(body), isStrict, state: 'waiting', found: 0 };
    written.set(keyOf(body) ?? '', entry);
    const mine = life;
    return new Promise((done) => {
      strand.append(body, (error) => {
        if (mine === life) entry.state = error === undefined ? 'acknowledged' : 'refused';
        done();
      });
    });
  }

  const count = (of: (entry: Written) => boolean): number => [...written.values()].filter(of).length;

  return {
    exchange(strand, exchange, text) {
      const bytes = { request: 2, upstream: text.length, released: text.length };
      const outcome = { http: 200, result: 'complete', messages: [] } as const;
      return Promise.all([
        append(strand, {
          type: 'request',
          exchange,
          method: 'POST',
          path: '/mcp',
          headers: [],
          body: { text: '{}' },
          bytes: 2,
          messages: [],
        }),
        append(strand, { type: 'data', exchange, from: 'upstream', text }),
        append(strand, { type: 'end', exchange, outcome, bytes }),
      ]);
    },

    deaf: () => void life++,

    counts: () => ({ acknowledged: count(isAcknowledged), refused: count(({ state }) => state === 'refused') }),

    async compare(frames) {
      let lost = 0;
      for await (const frame of frames) {
        const { v: _, session: __, strand: ___, seq: ____, at: _____, ...body } = frame as Frame & { v: number };
        const entry = written.get(keyOf(body as FrameBody) ?? '');
        if (entry === undefined) continue;
        entry.found++;
        if (entry.state === 'acknowledged' && JSON.stringify(body) !== entry.body) lost++;
      }
      return {
        lost: lost + count((entry) => isAcknowledged(entry) && entry.found === 0),
        doubled: count(({ found }) => found > 1),
        untrue: count(({ state, isStrict, found }) => state === 'refused' && isStrict && found > 0),
      };
    },
  };
}

const isAcknowledged = ({ state }: Written): boolean => state === 'acknowledged';

/** Ends that a recorder writes itself, of exchanges whose own end was refused, are others. */
function keyOf(body: FrameBody): string | undefined {
  if (!('exchange' in body)) return undefined;
  return `${body.type} ${body.exchange} ${body.type === 'end' ? body.outcome.result : ''}`;
}
