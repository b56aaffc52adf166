/** Names of a ledger's objects. Ten digits keep byte order and numeric order the same. */

const DIGITS = 10;

function numbered(number: number): string {
  const digits = String(number).padStart(DIGITS, '0');
  if (!Number.isSafeInteger(number) || number < 0 || digits.length > DIGITS) {
    throw new RangeError('A ledger object has a whole number of at most ten digits.');
  }
  return digits;
}

/** The object that holds a run of manifests. */
export function entriesName(ledger: string, number: number): string {
  return `ledger/${ledger}/entries/${numbered(number)}.ndjson`;
}

/** The object that holds a checkpoint's signed note. */
export function checkpointName(ledger: string, number: number): string {
  return `ledger/${ledger}/checkpoint/${numbered(number)}`;
}
