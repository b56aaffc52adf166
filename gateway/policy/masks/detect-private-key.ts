import type { Reading, Report } from './reading.ts';

/** What stands behind the dashes of a beginning, and what PuTTY writes before its private lines. */
export const OPENINGS = ['BE', 'Pr'];

const DASHES = '-----';
const BEGIN = 'BEGIN ';
const END = '-----END ';
const FOREIGN = ['BEGIN SSH2 ENCRYPTED PRIVATE KEY ----', 'Private-Lines:'];
const longestLabel = 64;
const longestKey = 65_536;

/**
 * PEM blocks whose label ends in PRIVATE KEY (RFC 7468; OpenSSH's and PGP's too), with line ends as they are or escaped.
 * A block without an end is taken as far as it looks like one: the rest may have been cut off. SSH2's four dashes and
 * PuTTY's private lines count as well.
 */
export function findPrivateKeys({ text, tokens }: Reading, report: Report): void {
  let done = 0;
  // It only moves on: hostile text has as many beginnings as it likes.
  let closing = 0;
  for (const at of tokens) {
    if (at < done) continue;
    const foreign = FOREIGN.find((opening) => text.startsWith(opening, at));
    const label = text.startsWith(DASHES, at - DASHES.length) ? labelAt(text, at) : undefined;
    if (foreign) {
      done = bodyEnd(text, at + foreign.length);
      report(at, done);
    } else if (label) {
      const body = at + BEGIN.length + label.length + DASHES.length;
      while (closing >= 0 && closing < body) closing = text.indexOf(END, Math.max(body, closing + 1));
      const own = closing >= 0 && closing - body < longestKey && text.startsWith(label, closing + END.length);
      done = own ? closing + END.length + label.length + DASHES.length : bodyEnd(text, body);
      done = Math.min(done, text.length);
      report(at - DASHES.length, done);
    }
  }
}

function labelAt(text: string, start: number): string | undefined {
  if (!text.startsWith(BEGIN, start)) return undefined;
  const rest = text.slice(start + BEGIN.length, start + BEGIN.length + longestLabel);
  const label = rest.slice(0, Math.max(0, rest.indexOf(DASHES)));
  return /^(?:[A-Z0-9]{1,20} ){0,4}PRIVATE KEY(?: BLOCK)?$/.test(label) ? label : undefined;
}

const inBody = new Uint8Array(128);
for (const character of 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/=\\ \t\r\n:,."\'-_()') {
  inBody[character.charCodeAt(0)] = 1;
}

/** As far as base64, line ends and headers go; dashes end it where there are five. */
function bodyEnd(text: string, start: number): number {
  let end = start;
  while (end < text.length) {
    const code = text.charCodeAt(end);
    if (code >= 128 || inBody[code] !== 1) break;
    if (code === 0x2d && text.startsWith('-----', end)) return end;
    end++;
  }
  // No end mark: words of a sentence behind a truncated block are not of it.
  return lastLine(text, start, end);
}

/** The end of the last line that is as long as a key's: at least 16 characters of base64 without a space. */
function lastLine(text: string, start: number, end: number): number {
  let last = start;
  for (const { index, 0: line } of text.slice(start, end).matchAll(/[A-Za-z0-9+/=]{16,}/g))
    last = start + index + line.length;
  return last;
}
