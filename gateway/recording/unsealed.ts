/** Counts what is queued for the journal or in it and not under a stored checkpoint: by strand, principal, connection and upstream. */

export const KINDS = ['principal', 'connection', 'upstream'] as const;
export type Kind = (typeof KINDS)[number];

/** To whom bytes are counted. A system strand has nobody. */
export type Holder = Readonly<Partial<Record<Kind, string>>>;

/** One principal is the same by issuer and subject, whatever else a token says. */
export function principalName({ issuer, subject }: { issuer: string; subject: string }): string {
  return JSON.stringify([issuer, subject]);
}

export interface Account {
  readonly holder: Holder;
  /** Whether nothing is left of what was added. */
  isEmpty(): boolean;
  add(bytes: number): void;
  /** A stored checkpoint covers them, or they were refused. */
  take(bytes: number): void;
  /** No more is added; it is forgotten once nothing is left. */
  close(): void;
}

export interface Unsealed {
  open(holder: Holder): Account;
  /** Bytes of one holder. */
  held(kind: Kind, name: string): number;
  /** Of all others of a kind that have an open account or bytes. */
  others(kind: Kind, name: string): number[];
  /** How many of a kind have an open account or bytes. */
  count(kind: Kind): number;
}

interface Counter {
  bytes: number;
  accounts: number;
}

export function createUnsealed(): Unsealed {
  const counters: Record<Kind, Map<string, Counter>> = {
    principal: new Map(),
    connection: new Map(),
    upstream: new Map(),
  };

  function counterOf(kind: Kind, name: string): Counter {
    let counter = counters[kind].get(name);
    if (counter === undefined) {
      counter = { bytes: 0, accounts: 0 };
      counters[kind].set(name, counter);
    }
    return counter;
  }

  return {
    open(holder) {
      const named = KINDS.flatMap((kind) => {
        const name = holder[kind];
        return name === undefined ? [] : [{ kind, name, counter: counterOf(kind, name) }];
      });
      for (const { counter } of named) counter.accounts++;
      let own = 0;
      let closed = false;

      // On the way of every frame: additions alone.
      function count(bytes: number): void {
        own += bytes;
        for (const { counter } of named) counter.bytes += bytes;
      }

      function forgetIfOver(): void {
        if (!closed || own > 0) return;
        closed = false;
        for (const { kind, name, counter } of named) if (--counter.accounts === 0) counters[kind].delete(name);
      }

      return {
        holder,
        isEmpty: () => own === 0,
        add: count,
        take(bytes) {
          count(-Math.min(bytes, own));
          forgetIfOver();
        },
        close() {
          closed = true;
          forgetIfOver();
        },
      };
    },
    held: (kind, name) => counters[kind].get(name)?.bytes ?? 0,
    others: (kind, name) => [...counters[kind]].flatMap(([other, { bytes }]) => (other === name ? [] : [bytes])),
    count: (kind) => counters[kind].size,
  };
}
