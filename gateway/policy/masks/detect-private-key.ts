import type { Reading, Report } from './reading.ts';

const BEGIN = '-----BEGIN ';
const END = '-----END ';
const longestLabel = 64;

/**
 * PEM blocks whose label ends in PRIVATE KEY (RFC 7468; OpenSSH's and PGP's too), with line ends as they are or escaped.
 * A block without an end is taken as far as it looks like one: the rest may have been cut off. SSH2's four dashes and
 * PuTTY's private lines count as well.
 */
export function findPrivateKeys({ text }: Reading, report: Report): void {
  let done = 0;
  // Both only move on: hostile text has as many beginnings as it likes.
  let next = text.indexOf(BEGIN);
  let closing = text.indexOf(END);
  while (next >= 0) {
    const at = next;
    next = text.indexOf(BEGIN, at + 1);
    const label = at < done ? undefined : labelAt(text, at + BEGIN.length);
    if (!label) continue;
    const body = at + BEGIN.length + label.length + 5;
    while (closing >= 0 && closing < body) closing = text.indexOf(END, closing + 1);
    // Behind another beginning it is the end of another block.
    const own = closing >= 0 && (next < 0 || closing < next);
    done = own ? endOfClosing(text, closing) : bodyEnd(text, body);
    report(at, done);
  }
  findForeign(text, '---- BEGIN SSH2 ENCRYPTED PRIVATE KEY ----', report);
  findForeign(text, 'Private-Lines:', report);
}

function labelAt(text: string, start: number): string | undefined {
  const end = text.slice(start, start + longestLabel).indexOf('-----');
  const label = end < 0 ? '' : text.slice(start, start + end);
  return /^(?:[A-Z0-9]{1,20} ){0,4}PRIVATE KEY(?: BLOCK)?$/.test(label) ? label : undefined;
}

function endOfClosing(text: string, closing: number): number {
  const label = closing + END.length;
  const end = text.slice(label, label + longestLabel).indexOf('-----');
  return end < 0 ? label : label + end + 5;
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

function findForeign(text: string, opening: string, report: Report): void {
  let at = text.indexOf(opening);
  while (at >= 0) {
    const end = bodyEnd(text, at + opening.length);
    report(at, end);
    at = text.indexOf(opening, Math.max(end, at + 1));
  }
}
