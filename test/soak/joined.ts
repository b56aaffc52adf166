/** What clients and upstream wrote down, in arrays by key: about 150 bytes an exchange, so a million of them fit. */
import { readLedgerFile } from './ledger-file.ts';

/** What a client says of one of its calls. */
export interface Told {
  readonly state: 'whole' | 'cut';
  readonly fate: 'not_forwarded' | 'outcome_withheld' | undefined;
  readonly status: number;
  readonly sent: Buffer;
  readonly length: number;
  readonly received: Buffer;
}

/** What the upstream says of it. */
export interface Reached {
  readonly whole: boolean;
  readonly length: number;
  readonly hash: Buffer;
}

export interface Joined {
  /** Keys are below it. */
  readonly size: number;
  told(key: number): Told | undefined;
  reached(key: number): Reached | undefined;
  /** Keys that reached the upstream more than once. */
  readonly twice: readonly number[];
}

const HASH = 32;
const FATES = ['-', 'not_forwarded', 'outcome_withheld'] as const;

export async function readJoined(clientsPath: string, upstreamPath: string): Promise<Joined> {
  const size = 1 + Math.max(await greatestKey(clientsPath), await greatestKey(upstreamPath));
  const clients = {
    // 0: no line; else 1 + the fate's place, and 4 more where the response was cut.
    facts: new Uint8Array(size),
    status: new Uint16Array(size),
    length: new Uint32Array(size),
    sent: Buffer.alloc(size * HASH),
    received: Buffer.alloc(size * HASH),
  };
  const upstream = { facts: new Uint8Array(size), length: new Uint32Array(size), hash: Buffer.alloc(size * HASH) };
  const twice: number[] = [];

  for await (const [key, state, status, fate, sent, length, received] of readLedgerFile(clientsPath)) {
    const at = Number(key);
    clients.facts[at] = 1 + FATES.indexOf((fate ?? '-') as (typeof FATES)[number]) + (state === 'cut' ? 4 : 0);
    clients.status[at] = Number(status);
    clients.length[at] = Number(length);
    clients.sent.write(sent ?? '', at * HASH, 'hex');
    clients.received.write(received ?? '', at * HASH, 'hex');
  }
  for await (const [key, how, length, hash] of readLedgerFile(upstreamPath)) {
    const at = Number(key);
    if (upstream.facts[at] !== 0) twice.push(at);
    upstream.facts[at] = how === 'whole' ? 2 : 1;
    upstream.length[at] = Number(length);
    upstream.hash.write(hash ?? '', at * HASH, 'hex');
  }

  const hashAt = (all: Buffer, key: number): Buffer => all.subarray(key * HASH, (key + 1) * HASH);
  return {
    size,
    twice,
    told(key) {
      const facts = clients.facts[key] ?? 0;
      if (facts === 0) return undefined;
      const fate = FATES[(facts - 1) % 4];
      return {
        state: facts > 4 ? 'cut' : 'whole',
        fate: fate === '-' ? undefined : fate,
        status: clients.status[key] ?? 0,
        sent: hashAt(clients.sent, key),
        length: clients.length[key] ?? 0,
        received: hashAt(clients.received, key),
      };
    },
    reached(key) {
      const facts = upstream.facts[key] ?? 0;
      if (facts === 0) return undefined;
      return { whole: facts === 2, length: upstream.length[key] ?? 0, hash: hashAt(upstream.hash, key) };
    },
  };
}

async function greatestKey(path: string): Promise<number> {
  let greatest = -1;
  for await (const [key] of readLedgerFile(path)) greatest = Math.max(greatest, Number(key));
  return greatest;
}
