import { isAlphanumeric, isLetter, type Reading, type Report, reaches } from './reading.ts';
import { createWords, nearer, THINGS, wordsBefore } from './words.ts';

const shortest = 13;
const longest = 19;

const CARDS = createWords(`
  card cards cardno cardnum cardnumber creditcard debitcard cc ccn ccnum pan visa mastercard maestro amex discover diners
  jcb unionpay american payment pay paid charge charged charges refund refunded debit credit declined authorized
  karte karten* kreditkarte* carte tarjeta carta cartão cartao kaart karta kart kort karty carta_credito
  карта карты картой ~カード ~卡号 ~卡 ~카드
`);

/** How issuers print them. */
const GROUPS = new Set([
  '4,4,4,4',
  '4,6,5',
  '4,6,4',
  '4,4,4,4,3',
  '4,4,4,4,2',
  '4,4,4,4,1',
  '4,4,4,1',
  '4,4,5',
  '4,4,4,3',
  '4,4,4,2',
  '6,13',
  '8,8',
  '6,4,6',
  '6,10',
]);

/** Issuer identification numbers: from, to (as many digits as written), and the lengths of their cards. */
const ISSUERS: readonly (readonly [string, string, readonly number[], 'common' | 'rare'])[] = [
  ['34', '34', [15], 'common'],
  ['37', '37', [15], 'common'],
  ['51', '55', [16], 'common'],
  ['2221', '2720', [16], 'common'],
  ['6011', '6011', [16, 17, 18, 19], 'common'],
  ['644', '659', [16, 17, 18, 19], 'common'],
  ['3528', '3589', [16, 17, 18, 19], 'common'],
  ['62', '62', [16, 17, 18, 19], 'common'],
  ['81', '82', [16, 17, 18, 19], 'rare'],
  ['300', '305', [14, 16, 17, 18, 19], 'common'],
  ['3095', '3095', [14, 16, 17, 18, 19], 'common'],
  ['36', '36', [14, 15, 16, 17, 18, 19], 'common'],
  ['38', '39', [14, 16, 17, 18, 19], 'common'],
  ['2200', '2204', [16, 17, 18, 19], 'common'],
  ['50', '50', [13, 14, 15, 16, 17, 18, 19], 'rare'],
  ['56', '58', [13, 14, 15, 16, 17, 18, 19], 'rare'],
  ['60', '63', [13, 14, 15, 16, 17, 18, 19], 'rare'],
  ['67', '69', [13, 14, 15, 16, 17, 18, 19], 'rare'],
  ['9792', '9792', [16], 'rare'],
  ['1', '1', [15], 'rare'],
];

type Known = 'common' | 'rare' | undefined;

/** Visa has one digit for its own, by far the most cards, and three lengths, of which 13 is long gone. */
function issuer(digits: string): Known {
  const length = digits.length;
  if (digits[0] === '4') return length === 16 ? 'common' : length === 13 || length === 19 ? 'rare' : undefined;
  for (const [from, to, lengths, known] of ISSUERS) {
    const head = digits.slice(0, from.length);
    if (head >= from && head <= to && lengths.includes(length)) return known;
  }
  return undefined;
}

/** ISO/IEC 7812-1, annex B. */
export function passesLuhn(digits: string): boolean {
  let sum = 0;
  for (let at = digits.length - 1, double = false; at >= 0; at--, double = !double) {
    const digit = digits.charCodeAt(at) - 0x30;
    sum += double ? (digit > 4 ? digit * 2 - 9 : digit * 2) : digit;
  }
  return sum % 10 === 0;
}

const isSeparator = (code: number) => code === 0x20 || code === 0x2d || code === 0x2e || code === 0x5f || code === 0x2f;

/** Whether what lies between two runs of digits may lie within one number. */
function joins(text: string, from: number, to: number): boolean {
  if (to - from === 1) return isSeparator(text.charCodeAt(from));
  return to - from <= 3 && text.charCodeAt(from) === 0x20 && /^[ -]{1,3}$/.test(text.slice(from, to));
}

/** Cards by their issuer, length and check digit; and by how they are grouped, or by the words around them. */
export function findCards(reading: Reading, report: Report): void {
  const { text, runs } = reading;
  for (let first = 0; first < runs.length; ) {
    const last = cardAt(reading, first);
    if (last < 0) {
      first += 2;
    } else {
      report(runs[first] ?? 0, runs[last + 1] ?? text.length);
      first = last + 2;
    }
  }
}

const single = ({ runs }: Reading, run: number) => (runs[run + 1] ?? 0) - (runs[run] ?? 0) === 1;

/** The last run of the card that starts with this one, or -1. At most 19 digits are looked at. */
function cardAt(reading: Reading, first: number): number {
  const { text, runs } = reading;
  if (!reaches(reading, first, shortest, joins)) return -1;
  if (
    single(reading, first) &&
    first > 0 &&
    joins(reading.text, reading.runs[first - 1] ?? 0, reading.runs[first] ?? 0)
  ) {
    // Of digits one by one only the first of a row starts a number: each may be the start of another otherwise.
    if (single(reading, first - 2)) return -1;
  }
  const start = runs[first] ?? 0;
  let digits = '';
  let found = -1;
  const groups: number[] = [];
  for (let run = first; run < runs.length; run += 2) {
    const from = runs[run] ?? 0;
    const to = runs[run + 1] ?? 0;
    if (run > first && !joins(text, runs[run - 1] ?? 0, from)) break;
    if (digits.length + (to - from) > longest) break;
    digits += text.slice(from, to);
    groups.push(to - from);
    if (digits.length < shortest) continue;
    // One number in ten gets past its check digit: the rest is asked for nothing else.
    const known = passesLuhn(digits) ? issuer(digits) : undefined;
    if (known && stands(reading, start, to, groups, known)) found = run;
  }
  return found;
}

/** Whether the surroundings of a number with a right check digit say that it is a card. */
function stands(reading: Reading, start: number, end: number, groups: readonly number[], known: Known): boolean {
  const { text } = reading;
  const previous = text.charCodeAt(start - 1);
  const next = text.charCodeAt(end);
  // In the middle of something longer: a hash, a fraction, a UUID.
  if (isAlphanumeric(next) && !/^(?:exp|cvv|cvc)/i.test(text.slice(end, end + 3))) return false;
  if ((text[end] === '-' || text[end] === '.') && isAlphanumeric(text.charCodeAt(end + 1)) && groups.length > 1)
    return false;
  const lead = wordsBefore(reading, start);
  const said = nearer(lead, CARDS, THINGS);
  if (isLetter(previous) && said !== 'for') return false;
  if ((text[start - 1] === '.' || text[start - 1] === '-') && isAlphanumeric(text.charCodeAt(start - 2))) return false;
  if (said === 'for') return true;
  if (groups.length > 1) return GROUPS.has(groups.join(',')) && (said !== 'against' || known === 'common');
  // Thirteen digits are a barcode or a moment far more often than one of the Visa cards of old.
  return said === 'neither' && known === 'common' && end - start >= 14 && end - start <= 16;
}
