/** HTTP byte by byte: a client that sends what no HTTP library would, and an upstream that answers so. */
import { connect, createServer, type Socket } from 'node:net';

export interface RawSocket {
  readonly socket: Socket;
  send(bytes: string | Buffer): void;
  /** What has arrived, as ISO 8859-1. */
  received(): string;
  /** Resolves when what has arrived fulfils the condition; rejects where the socket closes before. */
  until(condition: (received: string) => boolean): Promise<string>;
  /** Resolves with everything once the socket is closed, by whom- and however. */
  closed(): Promise<string>;
}

function watch(socket: Socket): RawSocket {
  const chunks: Buffer[] = [];
  const received = (): string => Buffer.concat(chunks).toString('latin1');
  let looks: (() => void)[] = [];
  let isClosed = false;
  const look = (): void => {
    for (const one of looks) one();
  };
  socket.on('error', () => {});
  socket.on('data', (chunk) => {
    chunks.push(chunk);
    look();
  });
  socket.on('close', () => {
    isClosed = true;
    look();
  });
  const wait = (condition: () => boolean): Promise<string> =>
    new Promise((done, fail) => {
      const one = (): void => {
        if (condition()) done(received());
        else if (isClosed) fail(new Error(`The socket closed after: ${received()}`));
        else return;
        looks = looks.filter((other) => other !== one);
      };
      looks.push(one);
      one();
    });
  return {
    socket,
    send: (bytes) => void socket.write(typeof bytes === 'string' ? Buffer.from(bytes, 'latin1') : bytes),
    received,
    until: (condition) => wait(() => condition(received())),
    closed: () => wait(() => isClosed),
  };
}

export async function openRaw(port: number): Promise<RawSocket> {
  const socket = connect({ port, host: '127.0.0.1' });
  await new Promise<void>((done, fail) => socket.once('connect', done).once('error', fail));
  return watch(socket);
}

export interface RawAnswer {
  readonly status: number;
  readonly head: string;
  readonly body: string;
}

/** Sends bytes on a new socket and reads one answer that announces its length. */
export async function ask(port: number, bytes: string | Buffer): Promise<RawAnswer> {
  const raw = await openRaw(port);
  raw.send(bytes);
  const isHead = bytes.toString().startsWith('HEAD ');
  const read = (text: string): RawAnswer | undefined => wholeAnswer(text, isHead);
  await raw.until((text) => read(text) !== undefined);
  raw.socket.destroy();
  const answer = read(raw.received());
  if (answer === undefined) throw new Error('No answer.');
  return answer;
}

/** The first answer in the text that is not 1xx, once it is whole; a chunked one counts once its last chunk is there. */
function wholeAnswer(text: string, isHead = false): RawAnswer | undefined {
  const split = text.indexOf('\r\n\r\n');
  if (split < 0) return undefined;
  const head = text.slice(0, split);
  const body = text.slice(split + 4);
  const status = Number(/^HTTP\/1\.1 (\d{3})/.exec(head)?.[1]);
  if (status < 200) return wholeAnswer(body, isHead);
  if (isHead) return { status, head, body: '' };
  if (/transfer-encoding: chunked/i.test(head)) return body.endsWith('0\r\n\r\n') ? { status, head, body } : undefined;
  const length = Number(/content-length: (\d+)/i.exec(head)?.[1] ?? 0);
  return body.length < length ? undefined : { status, head, body: body.slice(0, length) };
}

export interface RawUpstream {
  readonly url: string;
  /** Everything that any client has sent so far. */
  received(): string;
  /** Requests that came with their whole body. */
  requests(): string[];
  /** Resolves when this many requests have come. */
  until(count: number): Promise<void>;
  /** Resolves with the next connection that closes. */
  disconnected(): Promise<void>;
  close(): Promise<void>;
}

/** An upstream on a bare socket: `answer` is called with each whole request. */
export async function startRawUpstream(
  answer: (request: string, socket: Socket) => void,
  path = '/mcp',
  port = 0,
): Promise<RawUpstream> {
  const sockets = new Set<RawSocket>();
  const requests: string[] = [];
  let looks: (() => void)[] = [];
  let disconnects: (() => void)[] = [];
  let all = '';
  const server = createServer((socket) => {
    const raw = watch(socket);
    sockets.add(raw);
    let seen = 0;
    socket.on('data', (chunk) => {
      all += chunk.toString('latin1');
      for (let whole = wholeRequest(raw.received().slice(seen)); whole !== undefined; ) {
        seen += whole.length;
        requests.push(whole);
        for (const look of looks) look();
        answer(whole, socket);
        whole = wholeRequest(raw.received().slice(seen));
      }
    });
    socket.on('close', () => {
      for (const disconnected of disconnects) disconnected();
      disconnects = [];
    });
  });
  await new Promise<void>((done) => server.listen(port, '127.0.0.1', done));
  const address = server.address();
  if (address === null || typeof address === 'string') throw new Error('No port.');
  return {
    url: `http://127.0.0.1:${address.port}${path}`,
    received: () => all,
    requests: () => requests,
    until: (count) =>
      new Promise((done) => {
        const look = (): void => {
          if (requests.length < count) return;
          looks = looks.filter((other) => other !== look);
          done();
        };
        looks.push(look);
        look();
      }),
    disconnected: () => new Promise((done) => disconnects.push(done)),
    close: () => {
      for (const { socket } of sockets) socket.destroy();
      return new Promise((done) => server.close(() => done()));
    },
  };
}

function wholeRequest(text: string): string | undefined {
  const split = text.indexOf('\r\n\r\n');
  if (split < 0) return undefined;
  const length = split + 4 + Number(/\r\ncontent-length: (\d+)/i.exec(text.slice(0, split + 2))?.[1] ?? 0);
  return text.length < length ? undefined : text.slice(0, length);
}

/** An answer with its length. */
export function answerOf(status: string, headers: Record<string, string>, body: string): string {
  const lines = Object.entries({ ...headers, 'content-length': String(body.length) });
  return `HTTP/1.1 ${status}\r\n${lines.map(([name, value]) => `${name}: ${value}\r\n`).join('')}\r\n${body}`;
}

export function jsonAnswer(id: number | string, result: unknown = {}): string {
  return answerOf('200 OK', { 'content-type': 'application/json' }, JSON.stringify({ jsonrpc: '2.0', id, result }));
}

/** A request as a string: header lines as they are, the body with its length unless `framing` says otherwise. */
export function requestOf(options: {
  method?: string;
  target?: string;
  token?: string;
  host?: string;
  headers?: readonly string[];
  body?: string;
  framing?: readonly string[];
  type?: string | null;
}): string {
  const { method = 'POST', target = '/fixture/mcp', host = '127.0.0.1', headers = [], body = '' } = options;
  const type = options.type === undefined ? 'application/json' : options.type;
  const lines = [
    `${method} ${target} HTTP/1.1`,
    `Host: ${host}`,
    ...(options.token === undefined ? [] : [`Authorization: Bearer ${options.token}`]),
    ...(type === null ? [] : [`Content-Type: ${type}`]),
    ...(options.framing ?? [`Content-Length: ${Buffer.byteLength(body, 'latin1')}`]),
    ...headers,
  ];
  return `${lines.join('\r\n')}\r\n\r\n${body}`;
}
