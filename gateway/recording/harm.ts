/**
 * Harms a journal in every way that a disk, a power cut or a stray hand may, and checks what recovery makes of it: a valid
 * prefix of every strand that has all that was acknowledged before the harm, or damage that is named. For tests.
 */
import assert from 'node:assert/strict';
import { type Damage, type Examined, examineJournal } from './examine.ts';
import type { Frame } from './frame.ts';
import { isAfter, type Position, readRecords } from './journal-file.ts';
import { createRandom, filesOf, type JournalSample } from './journal-sample.ts';
import { JOURNAL_KEY, LEDGER } from './test-recorder.ts';

const NOWHERE: Position = { file: 0, offset: 0 };

interface Judged {
  readonly damage: Damage | undefined;
  readonly lines: readonly string[];
}

interface Harm {
  /** What is on the disk, in the order of being written: the sample's last bytes are gone. */
  cut(file: number, offset: number): Promise<void>;
  /** The same, and behind the cut lies what was never written. */
  cutAndFill(file: number, offset: number, tail: Buffer): Promise<void>;
  /** One byte is another. */
  flip(file: number, offset: number): Promise<void>;
  /** Journals that were looked at. */
  readonly count: number;
}

async function createHarm(sample: JournalSample): Promise<Harm> {
  const { files, acknowledged } = sample;
  const last = Math.max(...files.keys());
  let count = 0;
  const whole = await judge(files);
  assert.equal(whole.damage, undefined);
  assert.deepEqual(
    whole.lines,
    acknowledged.map(({ line }) => line),
  );

  async function judge(harmed: ReadonlyMap<number, Buffer>): Promise<Judged> {
    count++;
    const known = { key: JOURNAL_KEY, ledger: LEDGER, sealed: NOWHERE, strands: [] };
    const examined = await examineJournal(filesOf(harmed), known);
    return { damage: examined.damage, lines: linesIn(harmed, examined) };
  }

  /** Everything acknowledged before `at` is there, and nothing but what was written, in its order. */
  function assertPrefix({ lines }: Judged, at: Position, what: string): void {
    const due = acknowledged.filter(({ end }) => !isAfter(end, at)).length;
    assert.ok(lines.length >= due, `${what}: ${due} were acknowledged, ${lines.length} are there`);
    const counts = new Map<string, number>();
    for (const [index, line] of lines.entries()) {
      const [session = '', seq] = line.split(' ');
      assert.equal(Number(seq), counts.get(session) ?? 0, `${what}: ${line}`);
      counts.set(session, Number(seq) + 1);
      if (index < due) assert.equal(line, acknowledged[index]?.line, what);
    }
  }

  function upTo(file: number, offset: number, tail: Buffer): ReadonlyMap<number, Buffer> {
    const left = new Map([...files].filter(([number]) => number < file));
    return left.set(file, Buffer.concat([files.get(file)?.subarray(0, offset) ?? Buffer.alloc(0), tail]));
  }

  return {
    get count() {
      return count;
    },
    async cut(file, offset) {
      const what = `cut at ${file}:${offset}`;
      const judged = await judge(upTo(file, offset, Buffer.alloc(0)));
      assert.equal(judged.damage, undefined, what);
      assertPrefix(judged, { file, offset }, what);
    },
    async cutAndFill(file, offset, tail) {
      const what = `cut at ${file}:${offset}, ${tail.length} bytes behind it`;
      const judged = await judge(upTo(file, offset, tail));
      assertPrefix(judged, { file, offset }, what);
      // Only what lies behind the end of a commit may be taken for a torn one: else it is the commit that is broken.
      if (acknowledged.some(({ end }) => end.file === file && end.offset === offset)) {
        assert.equal(judged.damage, undefined, what);
      }
    },
    async flip(file, offset) {
      const bytes = Buffer.from(files.get(file) ?? []);
      bytes[offset] = (bytes[offset] ?? 0) ^ 0x10;
      const judged = await judge(new Map(files).set(file, bytes));
      const what = `flip at ${file}:${offset}`;
      const counts = whole.lines.length === judged.lines.length && judged.damage === undefined;
      if (counts) {
        // Nothing that counts was there: refused bytes of a poisoned file, or the header of a last file with nothing in it.
        assert.deepEqual(judged.lines, whole.lines, what);
        assert.ok(isAfter({ file, offset: offset + 1 }, endIn(file)) || file === last, what);
        return;
      }
      assert.notEqual(judged.damage, undefined, what);
      assertPrefix(judged, { file, offset }, what);
    },
  };

  function endIn(file: number): Position {
    return acknowledged.reduce((end, one) => (one.end.file === file ? one.end : end), { file, offset: 0 });
  }
}

function linesIn(files: ReadonlyMap<number, Buffer>, { found }: Examined): string[] {
  return [...found].flatMap(([number, length]) =>
    [...readRecords((files.get(number) ?? Buffer.alloc(0)).subarray(0, length), 0)].flatMap(({ lines }) =>
      lines.map((line) => {
        const { session, seq, type } = JSON.parse(line.toString()) as Frame;
        return `${session} ${seq} ${type}`;
      }),
    ),
  );
}

function headerIn(bytes: Buffer): number {
  return bytes.length < 4 ? bytes.length : bytes.readUInt32LE(0) + 36;
}

/** Every byte of a sample: cut off there, another byte there, and tails of zeros and of noise behind it. */
export async function harmEverywhere(sample: JournalSample, seed: number, tailsEvery = 1): Promise<number> {
  const harm = await createHarm(sample);
  const random = createRandom(seed);
  for (const [file, bytes] of sample.files) {
    for (let offset = 0; offset <= bytes.length; offset++) {
      await harm.cut(file, offset);
      if (offset < bytes.length) await harm.flip(file, offset);
      // Where a header is torn nothing can be behind it: a record comes when the header is durable.
      if (offset < headerIn(bytes) || offset % tailsEvery !== 0) continue;
      const size = 1 + Math.floor(random() * 700);
      await harm.cutAndFill(file, offset, Buffer.alloc(size));
      const noise = Buffer.alloc(size).map(() => Math.floor(random() * 256));
      await harm.cutAndFill(file, offset, Buffer.from(noise));
    }
  }
  return harm.count;
}
