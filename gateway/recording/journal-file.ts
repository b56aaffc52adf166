/**
 * The bytes of a journal file: a header, then records. All integers are little-endian.
 *
 *     record  := length:u32  payload[length]  mac[32]
 *     header  := a record whose payload is JSON {v, file, previous?: {file, length}}
 *     mac     := HMAC-SHA256(key, mac of the record before (nothing, for the header) ‖ payload)
 *
 * A record is one commit: lines of NDJSON, whole. A torn record was acknowledged to nobody, so cutting it loses nothing.
 * `previous.length` says how far the file before counts: what lies behind it there was refused after a failed fsync.
 */
import { createHmac, timingSafeEqual } from 'node:crypto';

export interface Position {
  readonly file: number;
  readonly offset: number;
}

interface JournalHeader {
  readonly v: 1;
  readonly file: number;
  readonly previous?: { readonly file: number; readonly length: number };
}

export const HEADER_FIELDS = { v: 1 } as const;
/** A new file is begun when one has grown to this. */
export const FILE_LIMIT = 64 * 1024 * 1024;
/** A commit gathers about this much at most, so that sealing can read it in bounded memory. */
export const RECORD_LIMIT = 8 * 1024 * 1024;
const MAC_LENGTH = 32;
const recordOverhead = 4 + MAC_LENGTH;

export function journalName(number: number): string {
  return `${String(number).padStart(10, '0')}.journal`;
}

export function journalNumber(name: string): number | undefined {
  const match = /^(\d{10})\.journal$/.exec(name);
  return match === null ? undefined : Number(match[1]);
}

export function encodeHeader(key: Buffer, header: JournalHeader): { bytes: Buffer; chain: Buffer } {
  const payload = Buffer.from(JSON.stringify(header));
  const record = chainRecord(key, Buffer.alloc(0), [payload]);
  return { bytes: Buffer.concat(record.buffers), chain: record.chain };
}

export function chainRecord(
  key: Buffer,
  previous: Buffer,
  payload: readonly Buffer[],
): { buffers: Buffer[]; length: number; chain: Buffer } {
  const hmac = createHmac('sha256', key).update(previous);
  let size = 0;
  for (const part of payload) {
    hmac.update(part);
    size += part.length;
  }
  const length = Buffer.allocUnsafe(4);
  length.writeUInt32LE(size);
  const chain = hmac.digest();
  return { buffers: [length, ...payload, chain], length: size + recordOverhead, chain };
}

/**
 * Splits whole records into their lines. `used` is how many bytes those took; where not even one record is whole,
 * `needed` says how many bytes the first one has.
 */
export function splitRecords(bytes: Buffer, skipHeader: boolean): { lines: Buffer[]; used: number; needed: number } {
  const lines: Buffer[] = [];
  let used = 0;
  let header = skipHeader;
  let needed = recordOverhead;
  while (used + 4 <= bytes.length) {
    const size = bytes.readUInt32LE(used);
    needed = size + recordOverhead;
    if (used + needed > bytes.length) break;
    if (!header) splitLines(bytes.subarray(used + 4, used + 4 + size), lines);
    header = false;
    used += needed;
  }
  return { lines, used, needed };
}

function splitLines(payload: Buffer, into: Buffer[]): void {
  let from = 0;
  while (from < payload.length) {
    const newline = payload.indexOf(0x0a, from);
    const to = newline < 0 ? payload.length : newline + 1;
    into.push(payload.subarray(from, to));
    from = to;
  }
}

/** What recovery finds in one file: how much of it is whole and unbroken, and what its header says of the file before. */
export function checkJournalFile(
  key: Buffer,
  bytes: Buffer,
  number: number,
): { length: number; previous?: { file: number; length: number } } {
  let at = 0;
  let chain: Buffer = Buffer.alloc(0);
  let header: JournalHeader | undefined;
  while (at + recordOverhead <= bytes.length) {
    const size = bytes.readUInt32LE(at);
    if (at + size + recordOverhead > bytes.length) break;
    const payload = bytes.subarray(at + 4, at + 4 + size);
    const mac = createHmac('sha256', key).update(chain).update(payload).digest();
    if (!timingSafeEqual(mac, bytes.subarray(at + 4 + size, at + size + recordOverhead))) break;
    if (header === undefined) {
      header = JSON.parse(payload.toString()) as JournalHeader;
      if (header.v !== 1 || header.file !== number) return { length: 0 };
    }
    chain = mac;
    at += size + recordOverhead;
  }
  if (header === undefined) return { length: 0 };
  return { length: at, ...(header.previous === undefined ? {} : { previous: header.previous }) };
}
