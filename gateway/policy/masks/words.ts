import type { Reading } from './reading.ts';

/** Words whose nearness says what a number is. */
export interface Words {
  /** Where in a text the last of them ends, or -1. */
  last(text: string): number;
}

const letter = /\p{L}/u;

function isWordCode(code: number): boolean {
  if (code < 128) return (code >= 0x41 && code <= 0x5a) || (code >= 0x61 && code <= 0x7a);
  return letter.test(String.fromCharCode(code));
}

const isUpper = (code: number) => code >= 0x41 && code <= 0x5a;

/**
 * `tel` is the word itself, not the end of `hotel`; `telef*` any word that begins so; of what is written without spaces,
 * `~電話` is found anywhere. `phoneNumber` is two words, and so is `phone_number`.
 */
export function createWords(list: string): Words {
  const whole = new Set<string>();
  const starts: string[] = [];
  const anywhere: string[] = [];
  for (const word of list.split(/\s+/).filter(Boolean)) {
    if (word.endsWith('*')) starts.push(word.slice(0, -1));
    else if (word.startsWith('~')) anywhere.push(word.slice(1).replaceAll('_', ' '));
    else whole.add(word);
  }
  const known = (word: string) => whole.has(word) || starts.some((start) => word.startsWith(start));

  return {
    last(text) {
      const lower = text.toLowerCase();
      let found = -1;
      for (const word of anywhere) {
        const at = lower.lastIndexOf(word);
        if (at >= 0) found = Math.max(found, at + word.length);
      }
      let end = text.length;
      while (end > found) {
        while (end > 0 && !isWordCode(text.charCodeAt(end - 1))) end--;
        let start = end;
        while (start > 0 && isWordCode(text.charCodeAt(start - 1))) {
          start--;
          const first = text.charCodeAt(start);
          if (isUpper(first) && start > 0 && !isUpper(text.charCodeAt(start - 1))) break;
        }
        if (start === end || end <= found) break;
        // The word as written, and, of `SSNumber` and `iPhone`, in lower case all the same.
        if (known(text.slice(start, end).toLowerCase())) return end;
        end = start;
      }
      return found;
    },
  };
}

const reach = 48;

/** The words before a place: on its line, or on the line above where it is the first of its own. */
export function wordsBefore(reading: Reading, at: number, length = reach): string {
  let lead = reading.text.slice(Math.max(0, at - length), at);
  const line = Math.max(lead.lastIndexOf('\n'), lead.lastIndexOf('\r'));
  if (line >= 0 && /[\p{L}\p{N}]/u.test(lead.slice(line))) lead = lead.slice(line + 1);
  return at <= length && line < 0 && reading.before !== '' ? `${reading.before}: ${lead}` : lead;
}

/** The words after a place, on its line. */
export function wordsAfter(reading: Reading, at: number, length = 16): string {
  const rest = reading.text.slice(at, at + length);
  const line = rest.search(/[\r\n]/);
  return line < 0 ? rest : rest.slice(0, line);
}

/** Which of two is nearer to the end of a text: the words that speak for something, or those against it. */
export function nearer(text: string, words: Words, against: Words): 'for' | 'against' | 'neither' {
  const one = words.last(text);
  const other = against.last(text);
  if (one < 0 && other < 0) return 'neither';
  return one >= other ? 'for' : 'against';
}

/** What numbers are that are nobody's: of an order, a parcel, a part, a book, a moment, a place, a sum. */
export const THINGS = createWords(`
  order orders bestellung* bestellnr commande pedido ordine zamówienie
  invoice rechnung* facture factura fattura faktura po
  tracking shipment parcel sendung* fedex ups usps dhl awb
  ref reference referenz referenza référence sku serial part isbn ean gtin upc barcode batch lot
  ticket case issue id ids uuid guid commit sha md5 hash digest checksum
  version build release port pid size bytes byte length offset
  time timestamp ts date iat exp expires epoch unix ms
  lat lon lng latitude longitude location coords coordinates point geo
  price total amount sum qty quantity balance row line page article artikel item product model
  seed score loss sequence seq index count counter sample key keys
`);
