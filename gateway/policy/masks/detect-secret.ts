import { isAlphanumeric, isDigit, type Reading, type Report } from './reading.ts';
import { valueAfter, wholeValue } from './secret-names.ts';
import { isMixed, runEnd, tokenEnd } from './secret-tokens.ts';

/** Of words that tokens follow without a sign between, and of marks inside of tokens. */
export const OPENINGS = ['Be', 'be', 'BE', 'at', 'us'];

const longestPassword = 256;

/** Keys and tokens by their vendors' formats; passwords in URLs; and what is named as one: `password=…`, `Authorization: …`. */
export function findSecrets(reading: Reading, report: Report): void {
  const { text, tokens, signs } = reading;
  let done = 0;
  for (const start of tokens) {
    if (start < done) continue;
    const second = text.charCodeAt(start + 1);
    const bearer = (second === 0x65 || second === 0x45) && /^bearer $/i.test(text.slice(start, start + 7));
    const found = bearer ? bearerAt(text, start + 7) : tokenEnd(text, start);
    if (found < 0) {
      const marked = markedAt(text, start);
      if (marked) report(...marked);
      continue;
    }
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
  findEntraSecrets(text, report);
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
  return end - sign - 1 === 35 && (text.startsWith('AA', sign + 1) || isMixed(text.slice(sign + 1, end)))
    ? [start, end]
    : undefined;
}

/** Tokens whose mark is in their middle: HCP Terraform's, and Mailchimp's keys. The mark is a token of its own to a reading. */
function markedAt(text: string, at: number): [number, number] | undefined {
  if (text.startsWith('atlasv1.', at) && text[at - 1] === '.') {
    return around(text, at - 1, /[A-Za-z0-9]{14}$/, at + 8, /^[\w-]{60,70}/);
  }
  if (text.startsWith('us', at) && text[at - 1] === '-')
    return around(text, at - 1, /[0-9a-f]{32}$/, at + 2, /^\d{1,2}(?!\w)/);
  return undefined;
}

/** Client secrets of Microsoft Entra have `Q~` behind three characters and a digit. */
function findEntraSecrets(text: string, report: Report): void {
  for (let at = text.indexOf('Q~'); at >= 0; at = text.indexOf('Q~', at + 2)) {
    const found = around(text, at, /[\w~.-]{3}\d$/, at + 2, /^[\w~.-]{31,34}(?![\w~-])/);
    if (found) report(...found);
  }
}

/** What ends at `before` and goes on at `after`, where nothing else is glued to its front. */
function around(text: string, before: number, head: RegExp, after: number, tail: RegExp): [number, number] | undefined {
  const front = head.exec(text.slice(Math.max(0, before - 33), before))?.[0].length;
  const back = tail.exec(text.slice(after, after + 72))?.[0].length;
  if (!front || !back || isAlphanumeric(text.charCodeAt(before - front - 1))) return undefined;
  return [before - front, after + back];
}
