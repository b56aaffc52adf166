/** Sends bytes on a connection of their own and takes what comes, until the gateway has closed it. */
import { connect } from 'node:net';
import { readAnswers } from './http-answers.ts';

/** Milliseconds without a byte after which the sending side is closed: of what seems whole, and of half a request. */
const QUIET_MS = { whole: 5000, half: 50 };
/** Milliseconds that the gateway may take to close its side then. */
const HANG_MS = 30_000;

export interface Sent {
  readonly received: Buffer;
  readonly hung: boolean;
}

export function send(port: number, bytes: Buffer): Promise<Sent> {
  return new Promise((done) => {
    const chunks: Buffer[] = [];
    const isHead = bytes.toString('latin1', 0, 5) === 'HEAD ';
    const socket = connect({ port, host: '127.0.0.1', allowHalfOpen: true });
    const received = (): Buffer => Buffer.concat(chunks);
    const over = (hung: boolean): void => {
      clearTimeout(quiet);
      clearTimeout(hanging);
      socket.destroy();
      done({ received: received(), hung });
    };
    const hanging = setTimeout(() => over(true), HANG_MS);
    const quiet = setTimeout(() => socket.end(), QUIET_MS[seemsWhole(bytes) ? 'whole' : 'half']);
    socket.on('connect', () => socket.write(bytes));
    socket.on('data', (chunk: Buffer) => {
      chunks.push(chunk);
      quiet.refresh();
      const answers = readAnswers(received(), isHead);
      // One request, one answer: what is behind it was no request, or will be told by another answer.
      if (answers?.at(-1)?.whole === true) socket.end();
    });
    socket.on('end', () => socket.end());
    socket.on('error', () => {});
    socket.on('close', () => over(false));
  });
}

/** As far as can be seen without reading it as strictly as the gateway does. */
function seemsWhole(bytes: Buffer): boolean {
  const text = bytes.toString('latin1');
  const split = text.indexOf('\r\n\r\n');
  if (split < 0) return false;
  const head = text.slice(0, split);
  if (/transfer-encoding/i.test(head)) return text.endsWith('0\r\n\r\n');
  return text.length - split - 4 >= Number(/content-length: *(\d+)/i.exec(head)?.[1] ?? 0);
}
