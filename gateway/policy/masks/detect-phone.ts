import { getCountries, getCountryCallingCode } from 'libphonenumber-js/min';

import { isAlphanumeric, isDigit, type Reading, type Report, reaches } from './reading.ts';
import { createWords, lastOf, nearer, THINGS, wordsAfter, wordsBefore } from './words.ts';

const PHONES = createWords(`
  phone phones phonenumber telephone tel tél tlf telf tlfn fon fone phoneno telno mobileno mob cell cellular cellphone
  mobil* mobile* móvil movil móviles celular* celulares cellulare cellulari portable portatile telemóvel telemovel gsm handy*
  telef* teléf* téléph* telép* tilefon* puhelin* komórk* telefon* rufnummer* durchwahl kontaktnummer
  fax telefax call calls called calling ring rings dial dialled dialed text sms whatsapp viber hotline helpline
  reach contact contacts emergency landline office numéro appel* appelez anruf* anrufen rufen llama* llámame chiama* ligue
  bel bellen zadzwoń dzwoń ring soita nummer cep gsm тел телефон* моб мобильный мобільний звоните факс
  τηλέφωνο* τηλ κινητό ~電話 ~电话 ~手机 ~携帯 ~전화 ~휴대폰 ~핸드폰 ~фон ~फ़ोन ~फोन ~मोबाइल ~โทร ~هاتف ~جوال ~טלפון
  ~my_number ~your_number ~his_number ~her_number ~their_number
`);
const AFTER = createWords('mobile cell mobil handy work home office fax phone tel telefon portable');

const CODES = new Set(getCountries().map((country) => String(getCountryCallingCode(country))));

interface Candidate {
  readonly start: number;
  readonly end: number;
  readonly digits: string;
  readonly groups: readonly number[];
  /** What stands between the groups. */
  readonly gaps: readonly string[];
  readonly plus: boolean;
  /** The first group is in brackets, or the second one, as in `8 (495)`. */
  readonly bracket: boolean;
}

type Said = ReturnType<typeof nearer>;

const fewestDigits = 7;
const mostDigits = 17;
const mostGroups = 7;

/** Phone numbers by how they are written, and, where that says little, by the words around them. */
export function findPhones(reading: Reading, report: Report): void {
  const { runs } = reading;
  for (let run = 0; run < runs.length; ) {
    const found = phoneAt(reading, run);
    if (found) report(startOf(reading, run), found[0]);
    run = found ? found[1] : run + 2;
  }
}

/** The end of the number whose digits start with this run, and the run after it. */
function phoneAt(reading: Reading, run: number): [number, number] | undefined {
  if (!reaches(reading, run, fewestDigits, isGap)) return undefined;
  if (isInRow(reading, run)) return undefined;
  const start = startOf(reading, run);
  const plus = reading.text.charCodeAt(start) === PLUS || reading.text.charCodeAt(start + 1) === PLUS;
  if (!startsHere(reading, start, plus)) return undefined;
  const candidates = gather(reading, run, start, plus);
  if (candidates.length === 0) return undefined;
  let said: Said | undefined;
  for (let index = candidates.length - 1; index >= 0; index--) {
    const candidate = candidates[index];
    if (!candidate || !couldBe(reading, candidate)) continue;
    said ??= nearer(wordsBefore(reading, start), PHONES, THINGS);
    const next = run + 2 * candidate.groups.length;
    if (!isPhone(reading, candidate, said)) {
      // Only what a word could make a number is asked for one behind it.
      if (said !== 'neither' || !isPhone(reading, candidate, 'for')) continue;
      if (lastOf(AFTER, wordsAfter(reading, candidate.end)) < 0) continue;
    }
    const end = extensionEnd(reading.text, candidate.end);
    let after = next;
    while ((reading.runs[after] ?? end) < end) after += 2;
    return [end, after];
  }
  return undefined;
}

/** Of digits one by one only the first of a row starts a number: each may be the start of another otherwise. */
function isInRow({ text, runs }: Reading, run: number): boolean {
  if (run === 0 || (runs[run + 1] ?? 0) - (runs[run] ?? 0) > 1) return false;
  const end = runs[run - 1] ?? 0;
  return end - (runs[run - 2] ?? 0) === 1 && isGap(text, end, runs[run] ?? 0);
}

/** With the plus and the bracket before the digits. */
function startOf({ text, runs }: Reading, run: number): number {
  let start = runs[run] ?? 0;
  if (text.charCodeAt(start - 1) === OPEN) start--;
  if (text.charCodeAt(start - 1) === 0x20 && text.charCodeAt(start - 2) === PLUS) start--;
  if (text.charCodeAt(start - 1) === PLUS) {
    start--;
    if (text.charCodeAt(start - 1) === OPEN && text.charCodeAt(runs[run + 1] ?? 0) === CLOSE) start--;
  }
  return start;
}

const OPEN = 0x28;
const CLOSE = 0x29;
const PLUS = 0x2b;

function startsHere({ text }: Reading, start: number, plus: boolean): boolean {
  const before = text[start - 1] ?? '';
  const code = text.charCodeAt(start - 1);
  if (isAlphanumeric(code)) {
    return (
      /(?:\\[nrt]|%[0-9A-Fa-f]{2})$/.test(text.slice(Math.max(0, start - 3), start)) ||
      (plus && /[a-z]$/i.test(before) && /(?:tel|fon|phone|app)$/i.test(text.slice(Math.max(0, start - 5), start)))
    );
  }
  if (before === '+' || before === '$' || before === '€' || before === '£' || before === '#' || before === '_')
    return false;
  if (before === '.' || before === ',' || before === '/' || before === '-' || before === '~' || before === '@') {
    return plus && before !== '.' ? true : !isAlphanumeric(text.charCodeAt(start - 2)) && before !== '@';
  }
  return true;
}

/** Every number that could start here, shorter ones first. */
function gather({ text, runs }: Reading, first: number, start: number, plus: boolean): Candidate[] {
  const candidates: Candidate[] = [];
  let digits = '';
  const groups: number[] = [];
  const gaps: string[] = [];
  let bracket = text[start] === '(' && !plus;
  for (let run = first; run < runs.length; run += 2) {
    const from = runs[run] ?? 0;
    let to = runs[run + 1] ?? 0;
    if (digits.length + to - from > mostDigits || groups.length === mostGroups) break;
    if (run > first) {
      const last = runs[run - 1] ?? 0;
      if (!isGap(text, last, from)) break;
      const gap = text.slice(last, from);
      gaps.push(gap);
      if (gap.includes('(') && groups.length === 1) bracket = true;
    }
    digits += text.slice(from, to);
    groups.push(to - from);
    if (text[to] === ')' && groups.length === 1 && text[start] === '(' && digits.length > 6) to++;
    if (digits.length >= fewestDigits) {
      candidates.push({ start, end: to, digits, groups: [...groups], gaps: [...gaps], plus, bracket });
    }
  }
  return candidates;
}

/** Space, dash, full stop, slash, brackets. */
const isMark = (code: number) => (code >= 0x28 && code <= 0x29) || (code >= 0x2d && code <= 0x2f) || code === 0x20;

/** One separator, or a few around a bracket. */
function isGap(text: string, from: number, to: number): boolean {
  if (to - from > 4 || !isMark(text.charCodeAt(from))) return false;
  if (to - from === 1) return true;
  const gap = text.slice(from, to);
  return /^(?: ?[-/.] ?| {2}|[ -]?\(|\)[ -]{1,3}|\)\/|\)\.| ?[-.] ?\(|\) ?\()$/.test(gap);
}

function endsHere({ text }: Reading, { end, groups }: Candidate): boolean {
  const code = text.charCodeAt(end);
  if (isAlphanumeric(code)) return /^x ?\d/i.test(text.slice(end, end + 3)) || /^ext/i.test(text.slice(end, end + 3));
  const mark = text[end];
  if (mark === '%' || mark === '_' || mark === '€' || mark === '@') return false;
  // `5551234567.89`, `2024-000123-A`: the middle of something.
  const next = text.charCodeAt(end + 1);
  if ((mark === '.' || mark === ',' || mark === ':') && isDigit(next)) return false;
  return mark !== '-' || !(isDigit(next) || (isAlphanumeric(next) && groups.length < 4));
}

/** What no word has to be asked for. */
const couldBe = (reading: Reading, candidate: Candidate) =>
  !isDate(candidate.digits, candidate.groups, candidate.gaps) && !isDotted(candidate) && endsHere(reading, candidate);

function isPhone(reading: Reading, candidate: Candidate, said: Said): boolean {
  const { digits, groups, plus } = candidate;
  const total = digits.length;
  if (plus) return total >= 7 && total <= 16 && hasCode(digits) && !isPlace(candidate);
  if (said === 'for') return total >= 7 && total <= 15 && !isDecimal(candidate);
  if (digits.startsWith('00') && groups.length > 1 && said === 'neither') {
    return total >= 10 && total <= 17 && hasCode(digits.slice(2)) && digits[2] !== '0';
  }
  return said === 'neither' ? isShaped(reading, candidate) : isAmerican(candidate) && candidate.bracket;
}

const hasCode = (digits: string) =>
  CODES.has(digits.slice(0, 1)) || CODES.has(digits.slice(0, 2)) || CODES.has(digits.slice(0, 3));

/** Written as only phone numbers are. */
function isShaped(reading: Reading, candidate: Candidate): boolean {
  const { digits, groups, gaps, bracket } = candidate;
  const total = digits.length;
  const crowded = isCrowded(reading, candidate);
  if (isAmerican(candidate)) return bracket || !crowded;
  if (bracket) {
    const area = groups.length > 1 && gaps[0]?.includes('(') ? (groups[1] ?? 0) : (groups[0] ?? 0);
    const rest = total - area;
    return groups.length > 1 && area >= 2 && area <= 5 && rest >= 5 && rest <= 9 && total >= 8 && total <= 12;
  }
  if (crowded || groups.length < 2) return false;
  const shape = groups.join(',');
  const least = Math.min(...groups);
  // A trunk prefix: 030 1234567, 01 23 45 67 89, 0171/1234567, 090-1234-5678.
  if (digits[0] === '0' && digits[1] !== '0') {
    return total >= 9 && total <= 12 && (groups[0] ?? 0) >= 2 && least >= 2 && groups.length <= 5;
  }
  if (shape === '3,4,4') return /^1[3-9]/.test(digits);
  return shape === '1,3,3,2,2' && digits[0] === '8';
}

/** North American: neither area nor exchange starts with 0 or 1. */
function isAmerican({ digits, groups, gaps }: Candidate): boolean {
  const [one, two, three, four] = groups;
  if (groups.length === 3 && one === 3 && two === 3 && three === 4) {
    return /^[2-9]\d\d[2-9]/.test(digits) && (gaps[0]?.includes(')') || gaps[0] === gaps[1]);
  }
  const isLong = groups.length === 4 && one === 1 && two === 3 && three === 3 && four === 4;
  return isLong && /^1[2-9]\d\d[2-9]/.test(digits);
}

/** A number among others: a row of a table. */
function isCrowded({ text }: Reading, { start, end, gaps }: Candidate): boolean {
  if (gaps.some((gap) => gap !== ' ')) return false;
  const near = (at: number, step: number) => text[at] === ' ' && isDigit(text.charCodeAt(at + step));
  return near(start - 1, -1) || near(end, 1);
}

/** `20260107`, `2026-01-07`, `07.01.2026`, `7/1/2026 10`: the first three groups are a date. */
function isDate(digits: string, groups: readonly number[], gaps: readonly string[]): boolean {
  const [one = 0, two = 0, three = 0] = groups;
  if (one === 8 && /^(?:19|20)\d\d(?:0[1-9]|1[0-2])(?:0[1-9]|[12]\d|3[01])/.test(digits)) return true;
  if (groups.length < 3 || gaps[0] !== gaps[1] || !/^[-./ ]$/.test(gaps[0] ?? '')) return false;
  const first = one === 4 && two <= 2 && three <= 2;
  if (!first && !(three === 4 && one <= 2 && two <= 2)) return false;
  const [a, b, c] = [
    Number(digits.slice(0, one)),
    Number(digits.slice(one, one + two)),
    Number(digits.slice(one + two, one + two + three)),
  ];
  const isYear = (value: number) => value >= 1900 && value <= 2099;
  const isDay = (x: number, y: number) => x >= 1 && y >= 1 && x <= 31 && y <= 31 && (x <= 12 || y <= 12);
  return first ? isYear(a) && isDay(b, c) : isYear(c) && isDay(a, b);
}

/** Four numbers with dots that are an IP address or a version. */
const isDotted = ({ groups, gaps }: Candidate) =>
  groups.length === 4 && gaps.every((gap) => gap === '.') && groups.every((size) => size <= 3);

/** One dot alone: 1234567.89 */
const isDecimal = ({ groups, gaps }: Candidate) => groups.length === 2 && gaps[0] === '.' && (groups[0] ?? 0) !== 3;

/** Coordinates with signs: +52.520008, +40.7128-074.0060 */
function isPlace({ groups, gaps }: Candidate): boolean {
  return gaps[0] === '.' && (groups[0] ?? 0) <= 3 && (groups.length === 2 || (gaps[1] === '-' && gaps[2] === '.'));
}

/** Covers `x123`, `ext. 123`, `#12`, `;ext=12`, `доб. 5`. */
function extensionEnd(text: string, end: number): number {
  const found =
    /^[ ,;]{0,2}(?:extension|ext|x|#|доб|poste|int|wew|dw|anexo|ramal)[.:=]?\s?#?(\d{1,6})(?![\d\p{L}])/iu.exec(
      text.slice(end, end + 24),
    );
  return found ? end + found[0].length : end;
}
