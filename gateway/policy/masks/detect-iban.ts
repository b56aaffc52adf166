import { countrySpecs } from 'ibantools';

import { isAlphanumeric, isDigit, isLetter, type Reading, type Report } from './reading.ts';

const lengths = new Map<string, number>();
for (const [country, { chars }] of Object.entries(countrySpecs))
  if (typeof chars === 'number') lengths.set(country, chars);

/** ISO 13616: a country, two check digits, and an account number as long as the country has it; the rest modulo 97 is 1. */
export function findIbans({ text, runs }: Reading, report: Report): void {
  let done = 0;
  for (let run = 0; run < runs.length; run += 2) {
    const digits = runs[run] ?? 0;
    for (const gap of [0, 1]) {
      const start = digits - 2 - gap;
      if (start < done || (gap === 1 && !isSeparator(text.charCodeAt(digits - 1)))) continue;
      const end = ibanEnd(text, start, digits);
      if (end < 0) continue;
      report(start, end);
      done = end;
      break;
    }
  }
}

const isSeparator = (code: number) => code === 0x20 || code === 0x2d || code === 0x2e;

function ibanEnd(text: string, start: number, digits: number): number {
  if (!isLetter(text.charCodeAt(start)) || !isLetter(text.charCodeAt(start + 1))) return -1;
  const length = lengths.get(text.slice(start, start + 2).toUpperCase());
  if (length === undefined || !startsHere(text, start)) return -1;
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
