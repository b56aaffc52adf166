import { isDigit, isLetter, type Reading } from './reading.ts';

/** Words whose nearness says what a number is. */
export interface Words {
  /** In any case. */
  has(word: string): boolean;
  /** Where the last word ends, of those that are found anywhere, or -1. */
  lastPart(text: string): number;
}

const letter = /\p{L}/u;

function isWordCode(code: number): boolean {
  if (code < 128) return isLetter(code);
  return letter.test(String.fromCharCode(code));
}

const isUpper = (code: number) => code >= 0x41 && code <= 0x5a;

function isAscii(text: string): boolean {
  for (let at = 0; at < text.length; at++) if (text.charCodeAt(at) >= 128) return false;
  return true;
}

/**
 * `tel` is the word itself, not the end of `hotel`; `telef*` any word that begins so; of what is written without spaces,
 * `~電話` is found anywhere. `phoneNumber` is two words, and so is `phone_number`.
 */
export function createWords(list: string): Words {
  const whole = new Set<string>();
  const starts = new Map<string, string[]>();
  const parts: string[] = [];
  for (const word of list.split(/\s+/).filter(Boolean)) {
    if (word.startsWith('~')) parts.push(word.slice(1).replaceAll('_', ' '));
    else if (word.endsWith('*')) {
      const head = word.slice(0, headLength);
      starts.set(head, [...(starts.get(head) ?? []), word.slice(0, -1)]);
    } else whole.add(word);
  }
  const ascii = parts.filter(isAscii);
  const anyAscii = ascii.length > 0 ? new RegExp(ascii.join('|'), 'i') : undefined;
  /** Texts say the same words again and again. */
  const known = new Map<string, boolean>();
  const isOne = (lower: string): boolean =>
    whole.has(lower) || (starts.get(lower.slice(0, headLength))?.some((start) => lower.startsWith(start)) ?? false);
  return {
    has(word) {
      const there = known.get(word);
      if (there !== undefined) return there;
      const is = isOne(word.toLowerCase());
      if (known.size < mostKnown) known.set(word, is);
      return is;
    },
    lastPart(text) {
      if (parts.length === 0) return -1;
      let found = -1;
      const plain = isAscii(text);
      if (plain && !anyAscii?.test(text)) return -1;
      const lower = text.toLowerCase();
      for (const part of plain ? ascii : parts) {
        const at = lower.lastIndexOf(part);
        if (at >= 0) found = Math.max(found, at + part.length);
      }
      return found;
    },
  };
}

const headLength = 3;
const mostKnown = 4096;
const longestWord = 24;

/** The words of a text from its end, until one is wanted: where that one ends, or -1. */
function lastWord(text: string, wanted: (word: string) => boolean): number {
  let end = text.length;
  while (end > 0) {
    while (end > 0 && !isWordCode(text.charCodeAt(end - 1))) end--;
    let start = end;
    while (start > 0 && isWordCode(text.charCodeAt(start - 1))) {
      start--;
      if (
        start > 0 &&
        isUpper(text.charCodeAt(start)) &&
        !isUpper(text.charCodeAt(start - 1)) &&
        !isProduct(text, start)
      )
        break;
    }
    if (start < end && end - start <= longestWord && wanted(text.slice(start, end))) return end;
    end = start;
  }
  return -1;
}

/** `iPhone` is one word. */
const isProduct = (text: string, capital: number) =>
  text.charCodeAt(capital - 1) === 0x69 && !isWordCode(text.charCodeAt(capital - 2));

/** Where the last of the words in a text ends, or -1. */
export function lastOf(words: Words, text: string): number {
  return Math.max(lastWord(text, words.has), words.lastPart(text));
}

/** Which of two is nearer to the end of a text: the words that speak for something, or those against it. */
export function nearer(text: string, words: Words, against: Words): 'for' | 'against' | 'neither' {
  let verdict: 'for' | 'against' | 'neither' = 'neither';
  const end = lastWord(text, (word) => {
    if (words.has(word)) verdict = 'for';
    else if (against.has(word)) verdict = 'against';
    return verdict !== 'neither';
  });
  return words.lastPart(text) > end ? 'for' : verdict;
}

const reach = 48;

/** The words before a place: on its line, or on the line above where it is the first of its own. */
export function wordsBefore({ text, before }: Reading, at: number, length = reach): string {
  const floor = Math.max(0, at - length);
  let start = at;
  let said = false;
  while (start > floor) {
    const code = text.charCodeAt(start - 1);
    if ((code === 0x0a || code === 0x0d) && said) break;
    said ||= isDigit(code) || isWordCode(code);
    start--;
  }
  const lead = text.slice(start, at);
  return start === 0 && before !== '' ? `${before}: ${lead}` : lead;
}

/** The words after a place, on its line. */
export function wordsAfter(reading: Reading, at: number, length = 16): string {
  const rest = reading.text.slice(at, at + length);
  const line = rest.search(/[\r\n]/);
  return line < 0 ? rest : rest.slice(0, line);
}

/** What numbers are that are nobody's: of an order, a parcel, a part, a book, a moment, a place, a sum. */
export const THINGS = createWords(`
  order orders bestellung* bestellnr commande pedido ordine zamówienie
  invoice rechnung* facture factura fattura faktura po
  tracking shipment parcel sendung* fedex ups usps dhl awb
  ref reference referenz referenza référence sku serial part isbn ean gtin upc barcode batch lot
  ticket case issue id ids uuid guid commit sha md5 hash digest checksum
  version build release port pid size bytes byte length offset
  time timestamp ts date iat exp expires epoch unix
  lat lon lng latitude longitude location coords coordinates point geo
  price total amount sum qty quantity balance row line page article artikel item product model
  seed score loss sequence seq index count counter sample key keys
`);
