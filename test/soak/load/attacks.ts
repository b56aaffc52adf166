/** Ways to harm a gateway from outside, each against loopback and until it is stopped. */
import { connect, type Socket } from 'node:net';
import { toolCall } from '../../raw-client.ts';
import { requestOf } from '../../raw-socket.ts';

export interface AttackInput {
  readonly port: number;
  /** How many sockets. */
  readonly count: number;
  /** Tokens that are good, of principals of the attacker's own. */
  readonly tokens: readonly string[];
  /** Tokens of the right issuer and key id with another signature. */
  readonly forged: readonly string[];
}

export interface Attack {
  /** Resolves when the attack has fully begun. */
  readonly ready: Promise<unknown>;
  /** Closes all sockets; tells what happened. */
  stop(): Promise<AttackCounts>;
}

export interface AttackCounts {
  readonly opened: number;
  /** Closed by the gateway. */
  readonly closed: number;
  readonly sent: number;
  readonly received: number;
  /** Answers by HTTP status. */
  readonly answers: Readonly<Record<string, number>>;
}

/** What one socket does. `again` opens another in its place. */
interface Way {
  readonly paused?: boolean;
  opened(socket: Socket, index: number): void;
  data?(socket: Socket, chunk: Buffer, index: number): void;
  /** Milliseconds. */
  readonly every?: number;
  tick?(socket: Socket, index: number): void;
  readonly again?: boolean;
}

const CONNECTING = 200;

function attackBy(input: AttackInput, way: Way): Attack {
  const sockets = new Map<Socket, number>();
  const counts = { opened: 0, closed: 0, sent: 0, received: 0, answers: {} as Record<string, number> };
  let stopped = false;
  let begun = 0;
  let connecting = 0;
  const ready = Promise.withResolvers<void>();

  function fill(): void {
    while (!stopped && begun < input.count && connecting < CONNECTING) open(begun++);
    if (connecting === 0 && begun >= input.count) ready.resolve();
  }

  function open(index: number): void {
    connecting++;
    const socket = connect({ port: input.port, host: '127.0.0.1', allowHalfOpen: true });
    let isOpen = false;
    const settled = (): void => {
      if (isOpen) return;
      isOpen = true;
      connecting--;
      fill();
    };
    socket.on('connect', () => {
      counts.opened++;
      sockets.set(socket, index);
      if (way.paused === true) socket.pause();
      way.opened(socket, index);
      settled();
    });
    socket.on('data', (chunk: Buffer) => {
      counts.received += chunk.length;
      for (const [, status = ''] of chunk.toString('latin1').matchAll(/HTTP\/1\.1 (\d{3})/g)) {
        counts.answers[status] = (counts.answers[status] ?? 0) + 1;
      }
      way.data?.(socket, chunk, index);
    });
    socket.on('end', () => socket.destroy());
    socket.on('error', () => {});
    socket.on('close', () => {
      counts.sent += socket.bytesWritten;
      settled();
      if (!sockets.delete(socket) || stopped) return;
      counts.closed++;
      // In a turn of its own: a gateway that refuses at once must not make this a loop without end.
      if (way.again === true) setTimeout(() => void (stopped || open(index)), 5);
    });
  }

  const ticking =
    way.tick === undefined
      ? undefined
      : setInterval(() => {
          for (const [socket, index] of sockets) way.tick?.(socket, index);
        }, way.every ?? 1000);
  fill();
  return {
    ready: ready.promise,
    async stop() {
      stopped = true;
      clearInterval(ticking);
      const open = [...sockets.keys()];
      const allClosed = Promise.all(open.map((socket) => new Promise((done) => socket.once('close', done))));
      for (const socket of open) socket.destroy();
      await allClosed;
      return counts;
    },
  };
}

const each = <T>(items: readonly T[], index: number): T | undefined => items[index % items.length];
const tokenOf = ({ tokens }: AttackInput, index: number): { token?: string } => {
  const token = each(tokens, index);
  return token === undefined ? {} : { token };
};
const VERSION = ['MCP-Protocol-Version: 2025-06-18'];
const callOf = (input: AttackInput, index: number, tool: string): string =>
  requestOf({ ...tokenOf(input, index), headers: VERSION, body: toolCall(index, tool) });

/** Answers a whole response with the next request, on the same socket where that goes on. */
function askAgain(next: (index: number) => string): Pick<Way, 'opened' | 'data' | 'again'> {
  return {
    opened: (socket, index) => socket.write(next(index), 'latin1'),
    data(socket, chunk, index) {
      // The gateway's own answers are one piece; one that closes the connection is followed by `end`.
      if (/^HTTP\/1\.1 /.test(chunk.toString('latin1', 0, 9)) && !/connection: close/i.test(chunk.toString('latin1'))) {
        socket.write(next(index), 'latin1');
      }
    },
    again: true,
  };
}

const JUNK = [
  'POST /fixture/mcp HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\nGET / HTTP/1.1\r\n\r\n',
  'POST /fixture/mcp HTTP/1.1\r\nHost: 127.0.0.1\r\nTransfer-Encoding: chunked\r\n\r\nfffffffffffffffff\r\n',
  'GET /fixture/mcp\r\n\r\n',
  '\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03',
  'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n',
  'GET /fixture/mcp HTTP/1.1\r\nHost: 127.0.0.1\r\nX : y\r\n\r\n',
  'CONNECT 127.0.0.1:22 HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n',
  'POST /fixture/../../mcp HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 3\r\nContent-Length: 4\r\n\r\nabc',
  `${'A'.repeat(70_000)}\r\n\r\n`,
  '\r\n'.repeat(1000),
];

export type AttackKind = keyof typeof ATTACKS;

export const ATTACKS = {
  /** Each asks for a megabyte and takes a kilobyte a second. */
  slowReaders: (input: AttackInput) =>
    attackBy(input, {
      paused: true,
      opened: (socket, index) => socket.write(callOf(input, index, 'huge'), 'latin1'),
      every: 1000,
      tick: (socket) => void socket.read(1024),
    }),
  /** Heads that come byte by byte and never end. */
  slowHeads: (input: AttackInput) =>
    attackBy(input, {
      opened: (socket) => socket.write('POST /fixture/mcp HTTP/1.1\r\nHost: 127.0.0.1\r\nX-Slow: '),
      every: 500,
      tick: (socket) => socket.write('x'),
      again: true,
    }),
  /** Bodies that come byte by byte; every second one of somebody who is known. */
  slowBodies: (input: AttackInput) =>
    attackBy(input, {
      opened(socket, index) {
        const who = index % 2 === 0 ? tokenOf(input, index) : {};
        socket.write(requestOf({ ...who, headers: VERSION, framing: ['Content-Length: 100000'], body: '{' }), 'latin1');
      },
      every: 500,
      tick: (socket) => socket.write(' '),
      again: true,
    }),
  /** Heads just under the limit, and far over it. */
  headerFloods: (input: AttackInput) =>
    attackBy(input, {
      ...askAgain((index) => {
        const many = Array.from({ length: index % 2 === 0 ? 1500 : 20_000 }, (_, number) => `X-${number}: ${number}`);
        return requestOf({ headers: many, body: '{}' });
      }),
    }),
  /** Connections on which nothing ever comes, or half a head and then the end. */
  halfOpen: (input: AttackInput) =>
    attackBy(input, {
      opened: (socket, index) => {
        if (index % 2 === 0) socket.end('POST /fixture/mcp HTTP/1.1\r\nHost: 127.0.0.1\r\n');
      },
      again: true,
    }),
  /** Calls without a token, with junk for one, and with a forged one. */
  unauthenticated: (input: AttackInput) =>
    attackBy(
      input,
      askAgain((index) => {
        const token = [undefined, 'junk', each(input.forged, index)][index % 3];
        return requestOf({ ...(token === undefined ? {} : { token }), body: toolCall(index) });
      }),
    ),
  /** Calls that policy denies, of somebody who is known. */
  denied: (input: AttackInput) =>
    attackBy(
      input,
      askAgain((index) => callOf(input, index, 'forbidden')),
    ),
  /** As many connections as there can be, each kept alive. */
  connections: (input: AttackInput) =>
    attackBy(input, { opened: (socket) => socket.write('GET /healthz HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n') }),
  /** Bodies at the limit, and beyond it. */
  hugeBodies: (input: AttackInput) => {
    const body = toolCall(1, 'json', { sql: 'x'.repeat(15 * 1024 * 1024) });
    const over = ' '.repeat(17 * 1024 * 1024);
    return attackBy(
      input,
      askAgain((index) =>
        index % 4 === 0
          ? requestOf({
              ...tokenOf(input, index),
              headers: VERSION,
              framing: ['Transfer-Encoding: chunked'],
              body: `${over.length.toString(16)}\r\n${over}\r\n0\r\n\r\n`,
            })
          : requestOf({ ...tokenOf(input, index), headers: VERSION, body }),
      ),
    );
  },
  /** Answers without end, read as fast as they come. */
  endless: (input: AttackInput) =>
    attackBy(input, { opened: (socket, index) => socket.write(callOf(input, index, 'endless'), 'latin1') }),
  /** Answers without end, of which nothing is read; and many small requests at once, whose answers nobody reads. */
  neverRead: (input: AttackInput) =>
    attackBy(input, {
      paused: true,
      opened(socket, index) {
        if (index % 2 === 0) socket.write(callOf(input, index, 'endless'), 'latin1');
        else socket.write('GET /healthz HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n'.repeat(2000));
      },
    }),
  /** What two parsers could read in two ways, and what is no HTTP at all. */
  junk: (input: AttackInput) =>
    attackBy(input, { opened: (socket, index) => socket.write(each(JUNK, index) ?? '', 'latin1'), again: true }),
} satisfies Record<string, (input: AttackInput) => Attack>;
