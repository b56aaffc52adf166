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
import { createHmac, type KeyObject, timingSafeEqual } from 'node:crypto';

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
const SECTOR = 512;
/** A part of a sector that is shorter may be all zero in a record too: the upper bytes of its length, the end of its MAC. */
const EMPTY_LEAST = 8;
/** Longer than any header with its length and MAC, shorter than any header with one frame behind it. */
const HEADER_MOST = 128;
const recordOverhead = 4 + MAC_LENGTH;

export function journalName(number: number): string {
  return `${String(number).padStart(10, '0')}.journal`;
}

export function journalNumber(name: string): number | undefined {
  const match = /^(\d{10})\.journal$/.exec(name);
  return match === null ? undefined : Number(match[1]);
}

/** Whether `a` lies after `b`. */
export function isAfter(a: Position, b: Position): boolean {
  return a.file > b.file || (a.file === b.file && a.offset > b.offset);
}

export function encodeHeader(key: Buffer | KeyObject, header: JournalHeader): { bytes: Buffer; chain: Buffer } {
  const payload = Buffer.from(JSON.stringify(header));
  const record = chainRecord(key, Buffer.alloc(0), [payload]);
  return { bytes: Buffer.concat(record.buffers), chain: record.chain };
}

export function chainRecord(
  key: Buffer | KeyObject,
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

/** The commits of bytes that are whole from `from` on, with where each begins; a file's header is passed over. */
export function* readRecords(bytes: Buffer, from: number): Generator<{ at: number; lines: Buffer[] }> {
  let at = from;
  while (at < bytes.length) {
    const end = at + 4 + bytes.readUInt32LE(at);
    const lines: Buffer[] = [];
    if (at > 0) {
      splitLines(bytes.subarray(at + 4, end), lines);
      yield { at, lines };
    }
    at = end + MAC_LENGTH;
  }
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

export interface CheckedFile {
  /** Bytes that are whole and unbroken: the header and whole commits. */
  readonly length: number;
  /** What its header says of the file before. */
  readonly previous?: { readonly file: number; readonly length: number };
  /** What lies behind `length` is no torn tail: something that was durable once is broken or not ours. */
  readonly damaged: boolean;
}

/**
 * What recovery finds in one file. Never throws, whatever the bytes are. `from` is where sealing stands in it: what lies
 * before that is stored, so it may be broken, and the MAC that ends there continues the chain.
 */
export function checkJournalFile(key: Buffer | KeyObject, bytes: Buffer, number: number, from = 0): CheckedFile {
  if (from > bytes.length) return { length: bytes.length, damaged: true };
  let at = from;
  let chain: Buffer = from === 0 ? Buffer.alloc(0) : bytes.subarray(from - MAC_LENGTH, from);
  let header: JournalHeader | undefined;
  for (let record = recordAt(key, bytes, at, chain); record !== undefined; record = recordAt(key, bytes, at, chain)) {
    if (at === 0) {
      header = JSON.parse(record.payload.toString()) as JournalHeader;
      // Ours by its MAC, and yet of another version or under another file's name.
      if (header.v !== 1 || header.file !== number) return { length: 0, damaged: true };
    }
    chain = record.mac;
    at += record.length;
  }
  // A header is durable before the first record is written, so a torn one has nothing behind it.
  if (at === 0) return { length: 0, damaged: bytes.length > HEADER_MOST };
  const previous = header?.previous;
  return { length: at, damaged: isDamage(key, bytes, at, chain), ...(previous === undefined ? {} : { previous }) };
}

/** The record at `at`, where it is whole and its MAC continues `chain`. */
function recordAt(key: Buffer | KeyObject, bytes: Buffer, at: number, chain: Uint8Array) {
  const read = readRecord(key, bytes, at, chain);
  return read !== undefined && timingSafeEqual(read.mac, read.stored) ? read : undefined;
}

function readRecord(key: Buffer | KeyObject, bytes: Buffer, at: number, chain: Uint8Array) {
  if (at + recordOverhead > bytes.length) return undefined;
  const size = bytes.readUInt32LE(at);
  const end = at + size + recordOverhead;
  if (end > bytes.length) return undefined;
  const payload = bytes.subarray(at + 4, at + 4 + size);
  const mac = createHmac('sha256', key).update(chain).update(payload).digest();
  return { payload, mac, stored: bytes.subarray(end - MAC_LENGTH, end), length: end - at };
}

/**
 * Whether what lies at `at`, where no whole record is, was acknowledged once. A record is written only when the one before
 * it is durable, so at most one is under way, and it is the last. It is torn where bytes of it are not there or were never
 * written: the file ends before it does, or a sector of it is as empty as the file system gave it, in whatever order its
 * pages came. A record that is there to its last byte and is not what its MAC says was changed after it was written.
 */
function isDamage(key: Buffer | KeyObject, bytes: Buffer, at: number, chain: Buffer): boolean {
  if (goesOnBehind(key, bytes, at, chain)) return true;
  if (at + recordOverhead >= bytes.length) return false;
  // Nothing but its length is broken: taken to the end of the file it is whole.
  const payload = bytes.subarray(at + 4, bytes.length - MAC_LENGTH);
  const mac = createHmac('sha256', key).update(chain).update(payload).digest();
  if (timingSafeEqual(mac, bytes.subarray(bytes.length - MAC_LENGTH))) return true;
  const size = bytes.readUInt32LE(at);
  const end = at + size + recordOverhead;
  return size > 0 && end <= bytes.length && !hasEmptySector(bytes, at, end);
}

/** Whether a sector's part of these bytes is all zero. Disks write sectors whole; 512 bytes is the smallest there is. */
function hasEmptySector(bytes: Buffer, from: number, to: number): boolean {
  for (let at = from; at < to; ) {
    const next = Math.min(to, at - (at % SECTOR) + SECTOR);
    if (next - at >= EMPTY_LEAST && bytes.subarray(at, next).every((byte) => byte === 0)) return true;
    at = next;
  }
  return false;
}

/**
 * Whether a whole record follows the broken one at `at`. A record is written only after the one before it was durable,
 * so one that follows proves that what is broken is damage to something acknowledged and not the torn last commit.
 */
function goesOnBehind(key: Buffer | KeyObject, bytes: Buffer, at: number, chain: Buffer): boolean {
  const broken = readRecord(key, bytes, at, chain);
  // Only the stored MAC is broken: the next record continues the one that it should be.
  if (broken !== undefined && recordAt(key, bytes, at + broken.length, broken.mac) !== undefined) return true;
  // The length may be what is broken, so a record is looked for at every place where lines could begin and end.
  for (let start = at + recordOverhead; start + recordOverhead <= bytes.length; start++) {
    const end = start + 4 + bytes.readUInt32LE(start);
    if (end + MAC_LENGTH > bytes.length || bytes[start + 4] !== 0x7b || bytes[end - 1] !== 0x0a) continue;
    if (recordAt(key, bytes, start, bytes.subarray(start - MAC_LENGTH, start)) !== undefined) return true;
  }
  return false;
}
