import { countrySpecs } from 'ibantools';

import { isAlphanumeric, isDigit, isLetter, type Reading, type Report } from './reading.ts';

/** By country, AA to ZZ; 0 where it has none. */
const lengths = new Uint8Array(26 * 26);
const place = (first: number, second: number) => (first & 0x1f) * 26 + (second & 0x1f) - 27;
for (const [country, { chars }] of Object.entries(countrySpecs))
  if (typeof chars === 'number') lengths[place(country.charCodeAt(0), country.charCodeAt(1))] = chars;

/** ISO 13616: a country, two check digits, and an account number as long as the country has it; the rest modulo 97 is 1. */
export function findIbans({ text, runs }: Reading, report: Report): void {
  let done = 0;
  for (let run = 0; run < runs.length; run += 2) {
    const digits = runs[run] ?? 0;
    const start = isSeparator(text.charCodeAt(digits - 1)) ? digits - 3 : digits - 2;
    const end = start < done ? -1 : ibanEnd(text, start, digits);
    if (end < 0) continue;
    report(start, end);
    done = end;
  }
}

const isSeparator = (code: number) => code === 0x20 || code === 0x2d || code === 0x2e;

function ibanEnd(text: string, start: number, digits: number): number {
  const first = text.charCodeAt(start);
  const second = text.charCodeAt(start + 1);
  if (!isLetter(first) || !isLetter(second)) return -1;
  const length = lengths[place(first, second)] ?? 0;
  if (length === 0 || !startsHere(text, start)) return -1;
  let compact = text.slice(start, start + 2);
  let at = digits;
  // A separator or two between any of its characters; most have one after every four.
  for (let skipped = 0; compact.length < length; at++) {
    const code = text.charCodeAt(at);
    if (isAlphanumeric(code)) {
      compact += text[at];
      skipped = 0;
    } else if (!isSeparator(code) || ++skipped > 2) {
      return -1;
    }
  }
  if (isAlphanumeric(text.charCodeAt(at))) return -1;
  return isDigit(compact.charCodeAt(3)) && remainder(compact.toUpperCase()) === 1 ? at : -1;
}

/** `IBANDE89…` and `\nDE89…` start here as well. */
function startsHere(text: string, start: number): boolean {
  if (!isAlphanumeric(text.charCodeAt(start - 1))) return true;
  if (text[start - 2] === '\\' && /[nrt]/.test(text[start - 1] ?? '')) return true;
  if (text[start - 3] === '%') return true;
  return text.slice(Math.max(0, start - 4), start).toUpperCase() === 'IBAN';
}

/** Of the account number followed by country and check digits, letters being 10 to 35. */
function remainder(iban: string): number {
  let rest = 0;
  for (let index = 0; index < iban.length; index++) {
    const code = iban.charCodeAt((index + 4) % iban.length);
    rest = isDigit(code) ? (rest * 10 + code - 0x30) % 97 : (rest * 100 + code - 0x37) % 97;
  }
  return rest;
}
