/**
 * Clients that call through a gateway which is killed under them. Each call is sent once, has an id that no other has, and
 * leaves one line in their ledger: key, state, status, fate, SHA-256 of what was sent, length and SHA-256 of what came.
 */
import { hash } from 'node:crypto';
import { Pool } from 'undici';
import { createLedgerFile } from './ledger-file.ts';

export interface SoakClients {
  /** Calls on keep-alive connections to this gateway until `over` resolves and the last call has come back. */
  callUntil(origin: string, over: Promise<unknown>): Promise<void>;
  readonly tally: Readonly<Tally>;
  /** What was acknowledged, by kind. */
  readonly kinds: Readonly<Record<Kind, number>>;
  close(): void;
}

export type Tally = Record<'calls' | 'acknowledged' | 'cut' | Fate, number>;
/** `answer`: a POST of the client's that answers what the server asked during a sampling call. */
export type Kind = (typeof SHARES)[number][0] | 'answer';
type Fate = 'not_forwarded' | 'outcome_withheld';

export interface SoakClientsOptions {
  readonly ledger: string;
  readonly path: string;
  readonly clients: number;
  readonly token: () => string;
  readonly random: () => number;
  /** Characters that a call is made larger by, at most; most calls are far below it. */
  readonly padding?: number;
}

interface Outcome {
  /** `whole`: the response ended as HTTP says it should. `unsent`: there was nobody to send to. */
  readonly state: 'whole' | 'cut' | 'unsent';
  readonly status: number;
  readonly received: Buffer;
}

const ASKS = Buffer.from('"method":"sampling/createMessage"');
/** Of 100 calls so many are of each kind. */
const SHARES = [
  ['json', 50],
  ['sse', 26],
  ['sampling', 14],
  ['broken', 5],
  ['malformed', 5],
] as const;
const KIND_OF = SHARES.flatMap(([kind, share]) => Array<(typeof SHARES)[number][0]>(share).fill(kind));
const PADDING = 40_000;

export function createSoakClients(options: SoakClientsOptions): SoakClients {
  const { random, token, path, padding: most = PADDING } = options;
  const ledger = createLedgerFile(options.ledger);
  const tally: Tally = { calls: 0, acknowledged: 0, cut: 0, not_forwarded: 0, outcome_withheld: 0 };
  const kinds = { json: 0, sse: 0, sampling: 0, broken: 0, malformed: 0, answer: 0 };
  let serial = 0;

  function callOnce(pool: Pool, auth: string, sent: Buffer, onData?: (received: Buffer) => void): Promise<Outcome> {
    return new Promise((done) => {
      const chunks: Buffer[] = [];
      let status = 0;
      const settle = (state: Outcome['state']): void => done({ state, status, received: Buffer.concat(chunks) });
      const headers = {
        authorization: auth,
        'content-type': 'application/json',
        accept: 'application/json, text/event-stream',
        'mcp-protocol-version': '2025-06-18',
      };
      pool.dispatch(
        { path, method: 'POST', headers, body: sent, bodyTimeout: 0, headersTimeout: 0 },
        {
          onRequestStart() {},
          onResponseStart(_, code) {
            status = code;
          },
          onResponseData(_, chunk) {
            chunks.push(chunk);
            onData?.(Buffer.concat(chunks));
          },
          onResponseEnd: () => settle('whole'),
          onResponseError: (_, error) =>
            settle((error as NodeJS.ErrnoException).code === 'ECONNREFUSED' ? 'unsent' : 'cut'),
        },
      );
    });
  }

  function note(key: number, kind: Kind, sent: Buffer, { state, status, received }: Outcome): void {
    if (state === 'unsent') return;
    const fate = state === 'whole' ? fateIn(received) : undefined;
    tally.calls++;
    tally[state === 'cut' ? 'cut' : (fate ?? 'acknowledged')]++;
    if (state === 'whole' && fate === undefined) kinds[kind]++;
    ledger.note(key, state, status, fate ?? '-', hash('sha256', sent), received.length, hash('sha256', received));
  }

  /** Calls once, and answers what the server asks meanwhile. False where there is nobody. */
  async function call(pool: Pool): Promise<boolean> {
    const id = ++serial;
    const kind = KIND_OF[Math.floor(random() * KIND_OF.length)] ?? 'json';
    // Most are small, few are large.
    const padding = 'é'.repeat(Math.floor(random() ** 12 * most));
    const sent = Buffer.from(
      `{"jsonrpc":"2.0", "id":${id},"method":"tools/call","params":{"name":"${kind}","arguments":{"p":"${padding}"}}${kind === 'malformed' ? '' : '}'}`,
    );
    const auth = `Bearer ${token()}`;
    let answering: Promise<void> | undefined;
    const answer = async (): Promise<void> => {
      const model = '"role":"assistant","content":{"type":"text","text":"é!"},"model":"m"';
      const answered = Buffer.from(`{"jsonrpc":"2.0","id":"s${id}","result":{${model}}}`);
      note(2 * id + 1, 'answer', answered, await callOnce(pool, auth, answered));
    };
    const onData = (received: Buffer): void => {
      if (answering === undefined && received.includes(ASKS)) answering = answer();
    };
    const outcome = await callOnce(pool, auth, sent, kind === 'sampling' ? onData : undefined);
    note(2 * id, kind, sent, outcome);
    await answering;
    return outcome.state !== 'unsent';
  }

  return {
    tally,
    kinds,
    async callUntil(origin, over) {
      // An answer has a connection beside that of the call that waits for it.
      const pool = new Pool(origin, { connections: 2 * options.clients, pipelining: 1 });
      let stopped = false;
      const client = async (): Promise<void> => {
        while (!stopped && (await call(pool)));
      };
      const calling = Array.from({ length: options.clients }, client);
      await over;
      stopped = true;
      await Promise.all(calling);
      await pool.destroy();
    },
    close: ledger.close,
  };
}

function fateIn(received: Buffer): Fate | undefined {
  if (received.includes('"fate":"not_forwarded"')) return 'not_forwarded';
  return received.includes('"fate":"outcome_withheld"') ? 'outcome_withheld' : undefined;
}
