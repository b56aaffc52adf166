import { isAlphanumeric, isDigit, type Reading, type Report } from './reading.ts';
import { createWords, nearer, THINGS, wordsBefore } from './words.ts';

const SOCIAL = createWords('ssn ssns social socialsecurity socialsecuritynumber security taxpayer tin itin taxid soc');

/** US social security numbers: 3-2-4 digits with a separator; without one only where a word says so. */
export function findSsns(reading: Reading, report: Report): void {
  const { text, runs } = reading;
  for (let run = 0; run < runs.length; run += 2) {
    const start = runs[run] ?? 0;
    const length = (runs[run + 1] ?? 0) - start;
    if (length === 9) {
      if (isAssigned(text, start, 0) && isFree(text, start, start + 9) && said(reading, start) === 'for') {
        report(start, start + 9);
      }
    } else if (length === 3) {
      const end = groupedEnd(reading, run);
      if (end > 0) {
        report(start, end);
        run += 4;
      }
    }
  }
}

const said = (reading: Reading, at: number) => nearer(wordsBefore(reading, at), SOCIAL, THINGS);

function groupedEnd(reading: Reading, run: number): number {
  const { text, runs } = reading;
  const start = runs[run] ?? 0;
  let wide = 1;
  // `123 - 45 - 6789`
  if (text[start + 3] === ' ' && text[start + 4] === '-') wide = 3;
  const end = start + 9 + 2 * wide;
  if (runs[run + 2] !== start + 3 + wide || runs[run + 3] !== start + 5 + wide) return -1;
  if (runs[run + 4] !== start + 5 + 2 * wide || runs[run + 5] !== end) return -1;
  const separator = text.slice(start + 3, start + 3 + wide);
  if (text.slice(start + 5 + wide, start + 5 + 2 * wide) !== separator) return -1;
  if (separator !== '-' && separator !== ' ' && separator !== '.' && separator !== ' - ') return -1;
  if (!isAssigned(text, start, wide) || !isFree(text, start, end)) return -1;
  const words = said(reading, start);
  if (words === 'for') return end;
  if (words === 'against') return -1;
  // Numbers in a row are a table.
  const crowded =
    (text[start - 1] === ' ' && isDigit(text.charCodeAt(start - 2))) ||
    (text[end] === ' ' && isDigit(text.charCodeAt(end + 1)));
  return separator.includes('-') || !crowded ? end : -1;
}

/** No area is 000, 666 or 9xx, no group 00, no serial 0000; 9xx with some groups is a taxpayer's number (ITIN), as personal. */
function isAssigned(text: string, start: number, wide: number): boolean {
  const area = text.slice(start, start + 3);
  const group = text.slice(start + 3 + wide, start + 5 + wide);
  const serial = text.slice(start + 5 + 2 * wide, start + 9 + 2 * wide);
  if (area === '000' || area === '666' || group === '00' || serial === '0000') return false;
  return area[0] !== '9' || (group >= '50' && group !== '89' && group !== '93');
}

function isFree(text: string, start: number, end: number): boolean {
  const before = text[start - 1];
  const after = text[end];
  if (isAlphanumeric(text.charCodeAt(start - 1)) || isAlphanumeric(text.charCodeAt(end))) return false;
  if ((before === '-' || before === '.' || before === '/') && isAlphanumeric(text.charCodeAt(start - 2))) return false;
  return !((after === '-' || after === '.' || after === '/') && isAlphanumeric(text.charCodeAt(end + 1)));
}
