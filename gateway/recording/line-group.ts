/**
 * The lines of one strand that a round takes from the journal, kept as runs of neighbouring bytes: a busy gateway writes
 * tens of thousands of lines between two rounds, and an object for each would be copied by every collection until the
 * round is built. Lines are told apart without parsing: the common fields come first, in fixed order, with no foreign text.
 */

/** Raw bytes of one segment at most: a bound of memory. */
const SEGMENT_LIMIT = 16 * 1024 * 1024;
/** More comments than this are not carried, in lines and in bytes: they are in the state, which each round writes anew. */
const CARRY_LINES = 200;
const CARRY_BYTES = 16 * 1024;

/** What becomes one segment. */
export interface Part {
  readonly runs: Buffer[];
  readonly firstLine: Buffer;
  lastLine: Buffer;
  count: number;
  size: number;
}

export interface LineGroup {
  readonly parts: Part[];
  readonly gaps: Buffer[];
  /** The lines themselves where they are comments alone, and few; else undefined. */
  comments: Buffer[] | undefined;
  add(line: Buffer): void;
}

export function createLineGroup(): LineGroup {
  let carried = 0;
  const group: LineGroup = {
    parts: [],
    gaps: [],
    comments: [],
    add(line) {
      const kind = kindOf(line);
      if (kind === 'gap') group.gaps.push(line);
      carried += line.length;
      if (kind !== 'comment' || carried > CARRY_BYTES || (group.comments?.length ?? 0) >= CARRY_LINES) {
        group.comments = undefined;
      }
      group.comments?.push(line);
      const part = group.parts.at(-1);
      if (part === undefined || part.size + line.length > SEGMENT_LIMIT) {
        group.parts.push({ runs: [line], firstLine: line, lastLine: line, count: 1, size: line.length });
        return;
      }
      part.count++;
      part.size += line.length;
      part.lastLine = line;
      const run = part.runs.at(-1);
      if (run !== undefined && run.buffer === line.buffer && run.byteOffset + run.length === line.byteOffset) {
        part.runs[part.runs.length - 1] = Buffer.from(run.buffer, run.byteOffset, run.length + line.length);
      } else {
        part.runs.push(line);
      }
    },
  };
  return group;
}

const SESSION_AT = '{"v":1,"session":"'.length;

export function sessionOf(line: Buffer): string {
  return line.toString('latin1', SESSION_AT, line.indexOf(0x22, SESSION_AT));
}

const SEQ = /^\{"v":1,"session":"[^"]*","strand":"[^"]*","seq":(\d+),/;

/** The line's `seq`; -1 where it has none. */
export function seqOf(line: Buffer): number {
  const match = SEQ.exec(line.toString('latin1', 0, Math.min(line.length, 320)));
  return match === null ? -1 : Number(match[1]);
}

const TYPE = Buffer.from(',"type":"');
const COMMENT = 'data","comment":true';

function kindOf(line: Buffer): 'gap' | 'comment' | 'other' {
  const at = line.indexOf(TYPE, SESSION_AT) + TYPE.length;
  if (line[at] === 0x67 && line.toString('latin1', at, at + 4) === 'gap"') return 'gap';
  if (line[at] === 0x64 && line.toString('latin1', at, at + COMMENT.length) === COMMENT) return 'comment';
  return 'other';
}
