/** Reads the answers that came on a connection, as a strict client would. */

export interface Answer {
  readonly status: number;
  readonly head: string;
  readonly body: Buffer;
  /** Its end was there. */
  readonly whole: boolean;
}

/** All answers but 1xx, in order; undefined where what came is no HTTP. `headOnly`: they answer HEAD. */
export function readAnswers(received: Buffer, headOnly: boolean): Answer[] | undefined {
  const answers: Answer[] = [];
  let rest = received;
  while (rest.length > 0) {
    const split = rest.indexOf('\r\n\r\n');
    const head = rest.toString('latin1', 0, split < 0 ? rest.length : split);
    const status = Number(/^HTTP\/1\.1 (\d{3})(?: |$)/.exec(head)?.[1] ?? Number.NaN);
    // A head that was cut off is nobody's answer.
    if (split < 0) return 'HTTP/1.1 '.startsWith(head.slice(0, 9)) ? answers : undefined;
    if (Number.isNaN(status)) return undefined;
    rest = rest.subarray(split + 4);
    if (status < 200) continue;
    const [body, length, whole] = headOnly || status === 204 || status === 304 ? NOTHING : bodyOf(head, rest);
    answers.push({ status, head, body, whole });
    rest = rest.subarray(length);
  }
  return answers;
}

const NOTHING: readonly [Buffer, number, boolean] = [Buffer.alloc(0), 0, true];

/** The body, how many bytes it takes, and whether its end was there. */
function bodyOf(head: string, rest: Buffer): readonly [Buffer, number, boolean] {
  if (/\r\ntransfer-encoding: chunked/i.test(head)) return chunkedBody(rest);
  const length = /\r\ncontent-length: (\d+)/i.exec(head)?.[1];
  if (length === undefined) return [rest, rest.length, true];
  const body = rest.subarray(0, Number(length));
  return [body, body.length, body.length === Number(length)];
}

function chunkedBody(rest: Buffer): readonly [Buffer, number, boolean] {
  const pieces: Buffer[] = [];
  let at = 0;
  for (;;) {
    const line = rest.indexOf('\r\n', at);
    const size = line < 0 ? Number.NaN : Number.parseInt(rest.toString('latin1', at, line), 16);
    if (Number.isNaN(size)) return [Buffer.concat(pieces), rest.length, false];
    const from = line + 2;
    if (size === 0) return [Buffer.concat(pieces), Math.min(rest.length, from + 2), rest.length >= from + 2];
    pieces.push(rest.subarray(from, Math.min(rest.length, from + size)));
    at = from + size + 2;
    if (at > rest.length) return [Buffer.concat(pieces), rest.length, false];
  }
}
