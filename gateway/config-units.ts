/** Durations and sizes as people write them in a configuration. Pure. */

const MILLISECONDS = { ms: 1, s: 1000, m: 60_000, h: 3_600_000, d: 86_400_000 } as const;
const BYTES = { B: 1, KiB: 1024, MiB: 1024 ** 2, GiB: 1024 ** 3 } as const;

/** `500ms`, `1s`, `10m`, `8h`, `1d` in milliseconds; `undefined` for anything else, plain numbers included. */
export function parseDuration(value: unknown): number | undefined {
  const match = typeof value === 'string' ? /^(\d{1,9})(ms|s|m|h|d)$/.exec(value) : null;
  if (match === null) return undefined;
  return Number(match[1]) * MILLISECONDS[match[2] as keyof typeof MILLISECONDS];
}

/** `64KiB`, `16MiB`, `1GiB` or a whole number of bytes, in bytes; `undefined` for anything else. */
export function parseSize(value: unknown): number | undefined {
  if (typeof value === 'number') return Number.isSafeInteger(value) && value >= 0 ? value : undefined;
  const match = typeof value === 'string' ? /^(\d{1,9})(B|KiB|MiB|GiB)$/.exec(value) : null;
  if (match === null) return undefined;
  return Number(match[1]) * BYTES[match[2] as keyof typeof BYTES];
}
