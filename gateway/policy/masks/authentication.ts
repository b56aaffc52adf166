import { passesLuhn } from './detect-card.ts';
import { isAlphanumeric, isDigit, isHex, read } from './reading.ts';
import { createWords, lastOf, wordsBefore } from './words.ts';

export type AuthenticationData = 'track' | 'cvv' | 'pinBlock';

export interface AuthenticationFinding {
  readonly kind: AuthenticationData;
  readonly start: number;
  readonly end: number;
}

const nothing = new Uint8Array(128 * 128);

const CODES = createWords(
  'cvv cvv2 cvc cvc2 cav cav2 csc cvn cvd ~security_code ~securitycode ~verification_code ~verification_value ~card_code ~card_verification ~prüfnummer ~prüfziffer ~cryptogramme ~código_de_seguridad',
);
const CARDS = createWords('card cards pan visa mastercard amex american expiry expires exp cvv cvc creditcard');
const IDS = createWords('cid');
const PIN_BLOCKS = createWords('pinblock ~pin_block ~encrypted_pin ~encryptedpin');
const PINS = createWords('~card_pin ~cardpin ~atm_pin ~atmpin ~debit_pin');

/** How far a code's name may be from it, and a card from what may be anybody's `cid`. */
const nearName = 28;
const nearCard = 120;

/**
 * Sensitive authentication data (PCI DSS 3.3.1), which nobody may keep after authorization: contents of a magnetic stripe or
 * its equivalent on a chip, verification codes and PIN blocks, the latter two where they are named. A connection with
 * `data: pci` refuses a message that has any. `before`: as for detect.ts.
 */
export function findAuthenticationData(text: string, before = ''): readonly AuthenticationFinding[] {
  const reading = read(text, nothing, before);
  const { runs, map } = reading;
  const found: AuthenticationFinding[] = [];
  const tell = (kind: AuthenticationData, start: number, end: number) =>
    found.push({ kind, start: map?.starts[start] ?? start, end: map?.ends[end - 1] ?? end });
  let done = 0;
  for (let run = 0; run < runs.length; run += 2) {
    const start = runs[run] ?? 0;
    const end = runs[run + 1] ?? 0;
    if (start < done) continue;
    const track = trackEnd(reading.text, start, end);
    if (track > 0) {
      tell('track', start, track);
      done = track;
      continue;
    }
    const block = blockEnd(reading.text, start);
    const lead = block > 0 || end - start <= 12 ? flat(wordsBefore(reading, start, nearName)) : '';
    if (lead === '') continue;
    if (block > 0 && lastOf(PIN_BLOCKS, lead) >= 0) {
      tell('pinBlock', block - 16, block);
      done = block;
    } else if (isAlphanumeric(reading.text.charCodeAt(end)) || isAlphanumeric(reading.text.charCodeAt(start - 1))) {
    } else if (end - start >= 4 && end - start <= 12 && close(lead, PINS)) {
      tell('pinBlock', start, end);
    } else if (end - start === 3 || end - start === 4) {
      const called =
        close(lead, CODES) || (close(lead, IDS) && lastOf(CARDS, flat(wordsBefore(reading, start, nearCard))) >= 0);
      if (called) tell('cvv', start, end);
    }
  }
  return found;
}

/** `card_code`, `cardCode` and `card-code` are `card code`. */
const flat = (lead: string) => lead.replace(/([a-z])([A-Z])/g, '$1 $2').replace(/[-_]/g, ' ');

/** Whether the name is the last thing said, but for `is`, `no.`, and signs. */
function close(lead: string, words: ReturnType<typeof createWords>): boolean {
  const end = lastOf(words, lead);
  return (
    end >= 0 &&
    /^[^\p{L}\p{N}]*(?:(?:is|no|number|code|value|num|lautet|est|es|2)[^\p{L}\p{N}]*){0,2}$/iu.test(lead.slice(end))
  );
}

/**
 * Track 1: `%B` number `^` name `^` YYMM and service code; track 2: number `=` or `D` YYMM, service code, discretionary data
 * (ISO/IEC 7813; EMV tag 57).
 */
function trackEnd(text: string, start: number, end: number): number {
  const number = text.slice(start, end);
  // As hexadecimal without a separator the number, the D and the rest may run on.
  if (number.length < 12 || number.length > 19 || !passesLuhn(number)) return -1;
  const separator = text[end];
  if (separator === '^') {
    const close = text.slice(end + 1, end + 30).indexOf('^');
    return close >= 2 && digitsEnd(text, end + 2 + close) - (end + 2 + close) >= 4
      ? digitsEnd(text, end + 2 + close)
      : -1;
  }
  if (separator !== '=' && separator !== 'D' && separator !== 'd') return -1;
  const rest = digitsEnd(text, end + 1);
  const month = Number(text.slice(end + 3, end + 5));
  return rest - end - 1 >= 7 && month >= 1 && month <= 12 ? rest : -1;
}

function digitsEnd(text: string, start: number): number {
  let end = start;
  while (isDigit(text.charCodeAt(end))) end++;
  return end;
}

/** The end of the sixteen hexadecimal digits that this digit is among, or -1. */
function blockEnd(text: string, digit: number): number {
  let start = digit;
  while (digit - start < 17 && isHex(text.charCodeAt(start - 1))) start--;
  let end = digit;
  while (end - start < 17 && isHex(text.charCodeAt(end))) end++;
  return end - start === 16 && !isAlphanumeric(text.charCodeAt(end)) && !isAlphanumeric(text.charCodeAt(start - 1))
    ? end
    : -1;
}
