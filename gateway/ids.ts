import { V7Generator } from 'uuidv7';

/** UUIDv7s of a clock's time, ascending within one process. */
export function createIds(now: () => number): () => string {
  const generator = new V7Generator();
  return () => generator.generateOrResetCore(now(), 10_000).toString();
}

/** RFC 9562, section 5.7: the beginning of the UUIDv7s of that time, in milliseconds since the epoch. Ids sort by it. */
export function idAt(milliseconds: number): string {
  const hex = Math.max(0, milliseconds).toString(16).padStart(12, '0');
  return `${hex.slice(0, 8)}-${hex.slice(8)}`;
}
