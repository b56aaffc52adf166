import { isAlphanumeric, isDigit, type Reading, type Report } from './reading.ts';
import { valueAfter, wholeValue } from './secret-names.ts';
import { isMixed, runEnd, tokenEnd } from './secret-tokens.ts';

/** Of words that tokens follow without a sign between. */
export const OPENINGS = ['Be', 'be', 'BE'];

const longestPassword = 256;

/** Keys and tokens by their vendors' formats; passwords in URLs; and what is named as one: `password=…`, `Authorization: …`. */
export function findSecrets(reading: Reading, report: Report): void {
  const { text, tokens, signs } = reading;
  let done = 0;
  for (const start of tokens) {
    if (start < done) continue;
    const bearer = /^(?:bearer|Bearer|BEARER) +$/.test(text.slice(start, start + 7));
    const found = bearer ? bearerAt(text, start + 7) : tokenEnd(text, start);
    if (found < 0) continue;
    report(bearer ? start + 7 : start, found);
    done = found;
  }
  done = 0;
  for (const sign of signs) {
    if (sign < done) continue;
    const found = passwordOfUrl(text, sign) ?? botToken(reading, sign) ?? valueAfter(text, sign);
    if (!found) continue;
    report(...found);
    done = found[1];
  }
  findMarked(text, report);
  const whole = wholeValue(text, reading.before);
  if (whole) report(...whole);
}

function bearerAt(text: string, start: number): number {
  const end = runEnd(text, start, 't');
  return end - start >= 16 && isMixed(text.slice(start, end)) ? end : -1;
}

/** `scheme://user:password@host`: the password. One that holds `@` or `/` unescaped goes to the last `@` before a space. */
function passwordOfUrl(text: string, sign: number): [number, number] | undefined {
  if (text[sign] !== ':' || text[sign + 1] !== '/' || text[sign + 2] !== '/') return undefined;
  const rest = text.slice(sign + 3, sign + 3 + longestPassword);
  const stop = rest.search(/[\s"'<>`|]/);
  const authority = stop < 0 ? rest : rest.slice(0, stop);
  const colon = authority.indexOf(':');
  const host = authority.search(/[/?#]/);
  // A colon behind the first slash is a port's or a path's.
  if (colon < 0 || (host >= 0 && host < colon)) return undefined;
  let at = authority.lastIndexOf('@');
  const query = authority.indexOf('?');
  // An address in the query is none of the password's.
  if (query >= 0 && at > query && authority.lastIndexOf('@', query) > colon) at = authority.lastIndexOf('@', query);
  const password = authority.slice(colon + 1, at);
  if (at <= colon + 1 || /^\d{1,5}\//.test(password) || /^(?:\$\{|\{\{|<|\*+$|%s|\[)/.test(password)) return undefined;
  return [sign + 3 + colon + 1, sign + 3 + at];
}

/** Telegram: eight to ten digits, a colon, 35 characters. */
function botToken({ text }: Reading, sign: number): [number, number] | undefined {
  let start = sign;
  while (start > sign - 11 && isDigit(text.charCodeAt(start - 1))) start--;
  if (sign - start < 8 || sign - start > 10) return undefined;
  const end = runEnd(text, sign + 1, 'w', 35);
  return end - sign - 1 === 35 && isMixed(text.slice(sign + 1, end)) ? [start, end] : undefined;
}

/** Tokens whose mark is in their middle: Azure's client secrets, HCP Terraform's tokens, Mailchimp's keys. */
function findMarked(text: string, report: Report): void {
  for (const [mark, before, after] of [
    ['Q~', /[\w~.-]{3}\d$/, /^[\w~.-]{31,34}(?![\w~-])/],
    ['.atlasv1.', /[A-Za-z0-9]{14}$/, /^[\w-]{60,70}/],
    ['-us', /[0-9a-f]{32}$/, /^\d{1,2}(?!\w)/],
  ] as const) {
    for (let at = text.indexOf(mark); at >= 0; at = text.indexOf(mark, at + mark.length)) {
      const head = before.exec(text.slice(Math.max(0, at - 33), at));
      const tail = after.exec(text.slice(at + mark.length, at + mark.length + 72));
      if (!head || !tail) continue;
      const start = at - head[0].length;
      if (!isAlphanumeric(text.charCodeAt(start - 1))) report(start, at + mark.length + tail[0].length);
    }
  }
}
