/**
 * A stdio server for tests that does one thing, often a wrong one. Run as a program with the name of what it does. It
 * writes raw lines, which an SDK would not.
 */
import { spawn } from 'node:child_process';
import { closeSync } from 'node:fs';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';

export const SCRIPTED_SERVER = fileURLToPath(import.meta.url);

interface Asked {
  readonly id?: string | number;
  readonly method?: string;
  readonly params?: {
    readonly arguments?: Record<string, string>;
    readonly _meta?: { readonly progressToken?: string | number };
  };
}

const say = (line: string): void => void process.stdout.write(`${line}\n`);
const answer = (id: unknown, result = '{}'): void =>
  say(`{"jsonrpc":"2.0","id":${JSON.stringify(id)},"result":${result}}`);

/** Calls `act` for each line; `initialize` and notifications are answered or ignored as a server does. */
function serve(act: (asked: Asked, line: string) => void): void {
  createInterface({ input: process.stdin }).on('line', (line) => {
    const asked = JSON.parse(line) as Asked;
    if (asked.method === 'initialize') answer(asked.id, `{"pid":${process.pid}}`);
    else if (asked.method !== undefined && asked.id !== undefined) act(asked, line);
  });
}

const STUBBORN = "process.on('SIGTERM', () => {}); setInterval(() => {}, 1000); process.send?.('up')";

const behaviours: Record<string, () => void> = {
  /** Writes the line that a call holds, with the id of the call for ID and its token for TOKEN. */
  say: () =>
    serve(({ id, params }) => {
      const token = JSON.stringify(params?._meta?.progressToken ?? null);
      for (const line of Object.values(params?.arguments ?? {})) {
        say(line.replaceAll('ID', JSON.stringify(id)).replaceAll('TOKEN', token));
      }
    }),
  /** Acknowledges a subscription, says something that is of no subscription or of another one, and ends it. */
  subscription: () =>
    serve(({ id }) => {
      const notify = (method: string, params: object): void =>
        say(JSON.stringify({ jsonrpc: '2.0', method: `notifications/${method}`, params }));
      const of = (subscription: unknown) => ({ _meta: { 'io.modelcontextprotocol/subscriptionId': subscription } });
      notify('subscriptions/acknowledged', of(id));
      notify('message', { level: 'info', data: 'of nobody' });
      notify('tools/list_changed', of(4711));
      notify('cancelled', { requestId: id });
    }),
  /** Answers with the very line that it got, as text. */
  echo: () => serve(({ id }, line) => answer(id, JSON.stringify({ line }))),
  /** Answers with its environment. */
  environment: () => serve(({ id }) => answer(id, JSON.stringify(process.env))),
  /** Answers with everything that it was told before, notifications and responses too. */
  told: () => {
    const told: unknown[] = [];
    createInterface({ input: process.stdin }).on('line', (line) => {
      const asked = JSON.parse(line) as Asked;
      if (asked.method === 'initialize') answer(asked.id);
      else if (asked.method === 'tools/list') answer(asked.id, JSON.stringify({ told }));
      else told.push(asked);
    });
  },
  endless: () =>
    serve(() => {
      const piece = Buffer.alloc(64 * 1024, 'a');
      const more = (): void =>
        void (process.stdout.write(piece) ? setImmediate(more) : process.stdout.once('drain', more));
      more();
    }),
  /** Ignores SIGTERM, and so does its own child, whose number it answers. */
  stubborn: () => {
    process.on('SIGTERM', () => {});
    const grandchild = spawn(process.execPath, ['-e', STUBBORN], { stdio: ['ignore', 'ignore', 'ignore', 'ipc'] });
    const up = new Promise((done) => grandchild.once('message', done));
    setInterval(() => {}, 1000);
    serve(async ({ id }) => {
      await up;
      answer(id, `{"pids":[${process.pid},${grandchild.pid}]}`);
    });
  },
  refuses: () => {
    const error = '{"code":-32602,"message":"no"}';
    createInterface({ input: process.stdin }).on('line', (line) =>
      say(`{"jsonrpc":"2.0","id":${JSON.stringify((JSON.parse(line) as Asked).id)},"error":${error}}`),
    );
  },
  /** Asks the client something, and answers with what it got for an answer. */
  asks: () => {
    let asking: unknown;
    createInterface({ input: process.stdin }).on('line', (line) => {
      const { id, method } = JSON.parse(line) as Asked;
      if (method === undefined) return answer(asking, JSON.stringify({ line }));
      asking = id;
      say('{"jsonrpc":"2.0","id":9007199254740993,"method":"roots/list"}');
    });
  },
  exits: () => process.exit(7),
  /** Exits in the middle of a call; its child keeps the pipes open. */
  exitsLater: () =>
    serve(() => {
      const grandchild = spawn(process.execPath, ['-e', STUBBORN], { stdio: ['ignore', 'inherit', 'inherit', 'ipc'] });
      grandchild.once('message', () => process.stderr.write(`${grandchild.pid}\n`, () => process.exit(3)));
    }),
  floodsStderr: () =>
    serve(({ id }) => {
      process.stderr.write(`${'x'.repeat(20_000)}\n`);
      for (let i = 0; i < 1000; i++) process.stderr.write(`line ${i} \u001b[31m\n`);
      process.stderr.write('', () => answer(id));
    }),
  /** Holds 64 MiB more with every call, in a process of its own. */
  memory: () => {
    const grow = "const held=[];process.on('message',()=>{held.push(Buffer.alloc(64*1024**2,1));process.send('more')})";
    const holder = spawn(process.execPath, ['-e', grow], { stdio: ['ignore', 'ignore', 'ignore', 'ipc'] });
    const more = (): void => void holder.send('more');
    serve(() => {
      holder.on('message', more);
      more();
    });
  },
  silent: () => {
    process.stdin.resume();
  },
  /** Reads nothing after its handshake. */
  deaf: () => {
    const input = createInterface({ input: process.stdin });
    input.once('line', (line) => {
      input.close();
      process.stdin.pause();
      answer((JSON.parse(line) as Asked).id);
      setInterval(() => {}, 1000);
    });
  },
  /** Writes 32 MiB in progress notifications, then says how far it got on stderr. */
  pours: () =>
    serve(({ id, params }) => {
      const token = JSON.stringify(params?._meta?.progressToken);
      const text = 'p'.repeat(64 * 1024);
      let left = 512;
      const more = (): void => {
        while (left-- > 0) {
          const line = `{"jsonrpc":"2.0","method":"notifications/progress","params":{"progressToken":${token},"progress":${512 - left},"message":"${text}"}}\n`;
          if (!process.stdout.write(line)) return void process.stdout.once('drain', more);
        }
        process.stderr.write('poured\n');
        answer(id);
      };
      more();
    }),
  hangsUp: () =>
    serve(() => {
      closeSync(1);
      setInterval(() => {}, 1000);
    }),
};

if (process.argv[1] === SCRIPTED_SERVER) behaviours[process.argv[2] ?? '']?.();
