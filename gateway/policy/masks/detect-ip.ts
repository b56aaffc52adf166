import { isAlphanumeric, isDigit, isHex, isLetter, type Reading, type Report } from './reading.ts';
import { createWords, lastOf, nearer, wordsBefore } from './words.ts';

const ADDRESSES = createWords(`
  ip ips ipv4 ipv6 ipaddress addr address addresses host hosts client server remote peer src dst source gateway dns
  nameserver from subnet cidr netmask forwarded ping adresse dirección indirizzo login connection connected
`);
const VERSIONS = createWords(`
  version versions ver v release releases build firmware upgrade* downgrade* update* patch driver package sdk runtime
  assemblyversion fileversion productversion dll installer revision rev section chapter clause figure table appendix
  paragraph item step rfc
`);

/** Addresses of nobody: unspecified, loopback, broadcast. */
const NOBODY = new Set([
  '0.0.0.0',
  '127.0.0.1',
  '255.255.255.255',
  '255.255.255.0',
  '255.255.0.0',
  '255.0.0.0',
  '::',
  '::1',
]);

/** IPv4 and IPv6 addresses, without port and prefix length. Versions are none. */
export function findIps(reading: Reading, report: Report): void {
  const { text, runs } = reading;
  for (let run = 0; run + 7 < runs.length; run += 2) {
    if (text.charCodeAt(runs[run + 1] ?? 0) === 0x2e && isV4At(reading, run)) {
      report(runs[run] ?? 0, runs[run + 7] ?? 0);
      run += 6;
    }
  }
  let done = 0;
  const { signs } = reading;
  for (let index = 0; index + 1 < signs.length; index++) {
    const sign = signs[index] ?? 0;
    // Of the two to seven colons of an address one comes first, and another within four digits of it.
    if (sign < done || (signs[index + 1] ?? 0) - sign > 5 || text.charCodeAt(sign) !== 0x3a) continue;
    let start = sign;
    while (start > done && sign - start < 5 && isHex(text.charCodeAt(start - 1))) start--;
    const end = v6End(text, start);
    if (end < 0) continue;
    if (isV6(reading, start, end)) report(start, end);
    done = end;
  }
}

function octets(reading: Reading, run: number): boolean {
  const { text, runs } = reading;
  for (let part = 0; part < 4; part++) {
    const from = runs[run + 2 * part] ?? 0;
    const to = runs[run + 2 * part + 1] ?? 0;
    if (to - from > 3 || (part > 0 && (runs[run + 2 * part - 1] !== from - 1 || text[from - 1] !== '.'))) return false;
    if (Number(text.slice(from, to)) > 255) return false;
  }
  return true;
}

function isV4At(reading: Reading, run: number): boolean {
  if (!octets(reading, run)) return false;
  const { text, runs } = reading;
  const start = runs[run] ?? 0;
  const end = runs[run + 7] ?? 0;
  const next = text.charCodeAt(end + 1);
  // A fifth part; an extension, a suffix, or letters behind it.
  if (text[end] === '.' && isDigit(next)) return false;
  if ((text[end] === '-' || text[end] === '+') && isLetter(next)) return false;
  if (
    isLetter(text.charCodeAt(end)) ||
    (text[end] === '.' &&
      /^\.(?:tar|tgz|zip|jar|dll|exe|whl|deb|rpm|gz|msi|dmg|nupkg)\b/.test(text.slice(end, end + 7)))
  )
    return false;
  if (NOBODY.has(text.slice(start, end))) return false;
  const before = text[start - 1] ?? '';
  const code = text.charCodeAt(start - 2);
  const lead = wordsBefore(reading, start, 32);
  if (before === '.' && isAlphanumeric(code)) return false;
  if (
    isLetter(before.charCodeAt(0)) &&
    !/(?:\\[nrt]|%[0-9A-Fa-f][A-Fa-f])$/.test(text.slice(Math.max(0, start - 3), start))
  )
    return false;
  // `libfoo-1.2.3.4`, `pkg@1.2.3.4`, `pip==1.2.3.4`, `Chrome/1.2.3.4`
  if (before === '-' && isLetter(code)) return nearer(lead, ADDRESSES, VERSIONS) === 'for';
  if (before === '=' && code === 0x3d) return false;
  if (before === '/' && /(?:^|[\s"'(;])[A-Z][A-Za-z]*\/$/.test(lead)) return false;
  return nearer(lead, ADDRESSES, VERSIONS) !== 'against';
}

/** The end of what is written like an IPv6 address from here, or -1: hexadecimal digits, colons, a zone, an IPv4 tail. */
function v6End(text: string, start: number): number {
  const previous = text.charCodeAt(start - 1);
  if (isAlphanumeric(previous) || previous === 0x3a || previous === 0x5f || previous === 0x2e) {
    if (!/\\[nrt]$/.test(text.slice(Math.max(0, start - 2), start))) return -1;
  }
  const limit = Math.min(text.length, start + 46);
  let end = start;
  let colons = 0;
  while (end < limit) {
    const code = text.charCodeAt(end);
    if (code === 0x3a) colons++;
    else if (!isHex(code) && !(code === 0x2e && isDigit(text.charCodeAt(end + 1)))) break;
    end++;
  }
  // A colon at the end is of the sentence, unless there are two.
  if (text[end - 1] === ':' && text[end - 2] !== ':') {
    end--;
    colons--;
  }
  if (colons < 2 || end - start < 3) return -1;
  return end < limit && isAlphanumeric(text.charCodeAt(end)) ? -1 : end;
}

function isV6(reading: Reading, start: number, end: number): boolean {
  const { text } = reading;
  if (text[end] === ':' && text[end + 1] !== ' ') return false;
  const address = text.slice(start, end);
  if (NOBODY.has(address)) return false;
  const halves = address.split('::');
  if (halves.length > 2) return false;
  const groups = halves.map((half) => (half === '' ? [] : half.split(':')));
  const all = groups.flat();
  const tail = all.at(-1) ?? '';
  const v4 = tail.includes('.');
  if (
    !all.every(
      (group, index) => /^[0-9A-Fa-f]{1,4}$/.test(group) || (v4 && index === all.length - 1 && isDotted(group)),
    )
  ) {
    return false;
  }
  const count = all.length + (v4 ? 1 : 0);
  if (halves.length === 1) {
    if (count !== 8) return false;
    // Eight pairs are a hardware address (EUI-64) or part of a fingerprint, unless a word says otherwise.
    return all.some((group) => group.length !== 2) || lastOf(ADDRESSES, wordsBefore(reading, start)) >= 0;
  }
  if (count > 7 || all.length === 0) return false;
  // `a::b` is a name in C++, Rust and Ruby too: what is short has to be of a range that is in use (IANA, RFC 4291).
  return v4 || inUse(all[0] ?? '', address) || (count >= 4 && /\d/.test(address));
}

const isDotted = (group: string) =>
  /^\d{1,3}(?:\.\d{1,3}){3}$/.test(group) && group.split('.').every((octet) => Number(octet) <= 255);

function inUse(first: string, address: string): boolean {
  if (address.startsWith('::')) return false;
  if (first.length !== 4) return /^64:ff9b::/i.test(address);
  return /^(?:[23]|f[cd]|fe[89ab]|ff)/i.test(first);
}
