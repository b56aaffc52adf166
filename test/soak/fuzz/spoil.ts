/** Bytes with a few places changed, as no writer would write them. */
import fc from 'fast-check';

interface Change {
  readonly at: number;
  readonly length: number;
  readonly how: 'cut' | 'double' | 'put' | 'end';
  readonly by: Uint8Array;
}

const PIECES = [
  '\r\n',
  '\n',
  '\r',
  '\0',
  ':',
  ' ',
  '\t',
  '\r\n\r\n',
  '0\r\n\r\n',
  '"',
  '\\',
  '{',
  '}',
  ',',
  '\xff',
  ';',
  '%',
].map((piece) => Buffer.from(piece, 'latin1'));

const changes: fc.Arbitrary<readonly Change[]> = fc.array(
  fc.record({
    at: fc.nat(1_000_000),
    length: fc.nat(20),
    how: fc.constantFrom('cut', 'double', 'put', 'put', 'end'),
    by: fc.oneof(fc.constantFrom(...PIECES), fc.uint8Array({ minLength: 1, maxLength: 4 })),
  }),
  { minLength: 1, maxLength: 3 },
);

/** Three in four are as they were. */
export function mostlyWhole(all: fc.Arbitrary<Buffer>): fc.Arbitrary<Buffer> {
  return fc.oneof(
    { weight: 3, arbitrary: all },
    { weight: 1, arbitrary: fc.tuple(all, changes).map(([bytes, some]) => some.reduce(changed, bytes)) },
  );
}

function changed(bytes: Buffer, { at, length, how, by }: Change): Buffer {
  const place = at % (bytes.length + 1);
  const [front, back] = [bytes.subarray(0, place), bytes.subarray(place)];
  if (how === 'end') return front;
  if (how === 'put') return Buffer.concat([front, by, back]);
  const piece = back.subarray(0, length);
  return Buffer.concat(how === 'cut' ? [front, back.subarray(length)] : [front, piece, back]);
}
