import { isAlphanumeric, isDigit, isHex, type Reading, type Report } from './reading.ts';

/** Longer local parts than RFC 5321 allows (64) are still taken for one. */
const longestLocal = 128;
const longestDomain = 255;

const local = new Uint8Array(128);
for (const character of "!#$%'*+-.^_`~") local[character.charCodeAt(0)] = 1;
for (let code = 0; code < 128; code++) if (isAlphanumeric(code)) local[code] = 1;

/** The last labels of names of files and units that look like a domain behind an `@`: logo@2x.png, getty@tty1.service. */
const FILES = new Set(
  'png jpg jpeg gif svg webp avif ico css js mjs cjs ts tsx jsx json map html htm xml yaml yml txt log pdf zip gz tgz tar jar war dll exe so service timer socket mount target slice scope path device py rb java class php lock toml min'.split(
    ' ',
  ),
);

const isLocal = (code: number) => (code < 128 ? local[code] === 1 : code > 0xa0 && code !== 0xff01 && !isCjkMark(code));
const isLabel = (code: number) =>
  isAlphanumeric(code) || code === 0x2d || code === 0x5f || (code > 0xa0 && !isCjkMark(code));
/** CJK and general punctuation: 、。「」《》‹›“” and the like. */
const isCjkMark = (code: number) =>
  (code >= 0x2000 && code <= 0x206f) ||
  (code >= 0x3000 && code <= 0x303f) ||
  code === 0xab ||
  code === 0xbb ||
  code === 0xb7;

/** `name@host.tld`, with quoted local parts, international names, addresses in brackets, and `%40` of a URL. */
export function findEmails({ text }: Reading, report: Report): void {
  let plain = text.indexOf('@');
  let encoded = text.indexOf('%40');
  let done = 0;
  while (plain >= 0 || encoded >= 0) {
    const isPlain = encoded < 0 || (plain >= 0 && plain < encoded);
    const sign = isPlain ? plain : encoded;
    const domain = sign + (isPlain ? 1 : 3);
    if (isPlain) plain = text.indexOf('@', domain);
    else encoded = text.indexOf('%40', domain);
    const end = sign < done ? -1 : domainEnd(text, domain);
    const start = end < 0 ? -1 : localStart(text, sign, done);
    if (start < 0 || isOther(text, start, sign, end)) continue;
    report(start, end);
    done = end;
  }
}

/** The end of the domain that starts here, or -1. */
function domainEnd(text: string, start: number): number {
  if (text[start] === '[') {
    const close = text.slice(start, start + 50).indexOf(']');
    return close > 3 && /^\[(?:IPv6:)?[0-9A-Fa-f.:]{3,45}\]$/.test(text.slice(start, start + close + 1))
      ? start + close + 1
      : -1;
  }
  const limit = Math.min(text.length, start + longestDomain);
  let dot = -1;
  let end = start;
  while (end < limit) {
    const code = text.charCodeAt(end);
    if (code === 0x2e) {
      if (end === start || text.charCodeAt(end - 1) === 0x2e || !isLabel(text.charCodeAt(end + 1))) break;
      dot = end;
    } else if (!isLabel(code)) {
      break;
    }
    end++;
  }
  while (end > dot + 1 && (text[end - 1] === '-' || text[end - 1] === '_')) end--;
  if (dot < 0) return -1;
  // A top-level domain has letters alone, or is `xn--…`; digits and what follows them are glued on: `x@y.com2024`.
  let last = dot + 1;
  if (!text.startsWith('xn--', last)) {
    while (last < end && !isDigit(text.charCodeAt(last)) && text[last] !== '-' && text[last] !== '_') last++;
    if (last < end && isDigit(text.charCodeAt(last)) && last - dot < 3) return -1;
    end = last;
  }
  const top = text.slice(dot + 1, end);
  return top.length < 2 || FILES.has(top.toLowerCase()) ? -1 : end;
}

/** Of a URL: spaces, quotes, brackets and what parts one field from another. */
const DELIMITERS = /%(?:0[9ad]|2[026cf]|3[a-f]|5[bd]|7[bd])/gi;

/** The start of the local part that ends here, or -1. Never before `floor`, where the last address ended. */
function localStart(text: string, end: number, floor: number): number {
  const limit = Math.max(floor, end - longestLocal);
  if (text[end - 1] === '"') return quotedStart(text, end, limit);
  let start = end;
  while (start > limit && isLocal(text.charCodeAt(start - 1))) start--;
  // What goes on is longer than any address.
  if (start === end - longestLocal && start > floor && isLocal(text.charCodeAt(start - 1))) return -1;
  // Behind the last %3D, %22 or the like of a URL.
  let delimiter = start;
  for (const { index } of text.slice(start, end).matchAll(DELIMITERS)) delimiter = start + index + 3;
  start = delimiter;
  // Marks around it are not of it: 'a@b.com', and %22 or %3D of a URL.
  while (start < end && (text[start] === "'" || text[start] === '`' || text[start] === '.' || text[start] === '*'))
    start++;
  const escaped = text[start - 1] === '\\' && /^[nrt]/.test(text.slice(start, start + 1));
  if (escaped && start + 1 < end) start++;
  return start < end ? start : -1;
}

function quotedStart(text: string, end: number, limit: number): number {
  for (let at = end - 2; at >= limit; at--) {
    const code = text.charCodeAt(at);
    if (code === 0x0a || code === 0x0d) return -1;
    if (code === 0x22 && text[at - 1] !== '\\') return at < end - 2 && !isHex(text.charCodeAt(at - 1)) ? at : -1;
  }
  return -1;
}

/** Remotes of git, and `user:password@host` of a URL, which detect-secret.ts reads. */
function isOther(text: string, start: number, sign: number, end: number): boolean {
  if (text.slice(start, sign) === 'git' && (text[end] === ':' || text[end] === '/')) return true;
  if (text[start - 1] !== ':') return false;
  return /:\/\/[^\s"'<>,;?/]{1,80}$/.test(text.slice(Math.max(0, start - 80), start));
}
