import { LF, SPACE } from '../../mcp/ascii.ts';
import { beginsAsMessage } from '../../mcp/begins.ts';
import { BOM, colonOf, lineEnd, type SsePart } from '../../mcp/sse.ts';
import { JsonTextError } from '../../mcp/walk.ts';
import { applyEdits, type MaskEdit } from './apply.ts';
import { jsonEdits, type MaskOptions } from './mask-json.ts';
import { checkEncoding, textEdits } from './mask-text.ts';
import { MaskError, type Masked } from './masked.ts';

/** One `data` field: where its value stands in the event, and where in the data that all of them make. */
interface Segment {
  readonly start: number;
  readonly end: number;
  readonly at: number;
  /** Segments with lines of other fields between them are of different runs. */
  readonly run: number;
}

interface Line {
  readonly start: number;
  /** Behind the name; the line's end where it has no colon, or one further on than any name is long. */
  readonly colon: number;
  readonly end: number;
}

interface Lines {
  readonly data: readonly Segment[];
  readonly comments: readonly Line[];
  readonly fields: readonly Line[];
}

const NAMED = /^(?:id|event|retry)$/;

/**
 * Masks one part of an event stream: the data of an event as a message (maskJson), and comments as text. Lines of other
 * fields stay byte for byte, and so do the event's line ends. Where nothing is found the bytes are the very same buffer;
 * spans are offsets in the event's bytes.
 *
 * Data that is not JSON is masked as text, like the address in an `endpoint` event, unless it begins as a message does.
 * An id, a name or another field in which something is found can not be changed, since clients send ids back.
 * Both throw MaskError, as does data of an event that broke off inside its JSON.
 */
export function maskEvent(part: Pick<SsePart, 'kind' | 'bytes' | 'data' | 'incomplete'>, options: MaskOptions): Masked {
  const { bytes } = part;
  checkEncoding(bytes);
  const { lines, data } = readAsSplit(part);
  for (const { start, colon, end } of lines.fields) {
    const from = NAMED.test(bytes.toString('latin1', start, colon)) ? colon : start;
    if (textEdits(bytes.subarray(from, end), options).length === 0) continue;
    throw new MaskError('Something is found in a field of an event that can not be changed.');
  }
  const edits = lines.comments.flatMap(({ start, end }) =>
    textEdits(bytes.subarray(start + 1, end), options).map((edit) => shifted(edit, start + 1)),
  );
  const inData = dataEdits(data, part.incomplete === true, options);
  return applyEdits(bytes, [...edits, ...inEvent(inData, lines.data)]);
}

function dataEdits(data: Buffer, incomplete: boolean, options: MaskOptions): MaskEdit[] {
  if (data.length === 0) return [];
  try {
    return jsonEdits(data, options);
  } catch (error) {
    if (!(error instanceof JsonTextError)) throw error;
    if (!incomplete && !beginsAsMessage(data)) return textEdits(data, options);
    throw new MaskError('The data of an event is not JSON.', { cause: error });
  }
}

/**
 * A byte order mark is skipped at the start of a stream alone; elsewhere it is part of a field's name. The splitter knows
 * which, and its data says so.
 */
function readAsSplit(part: Pick<SsePart, 'bytes' | 'data' | 'incomplete'>): { lines: Lines; data: Buffer } {
  const { bytes } = part;
  const hasMark = BOM.every((byte, index) => bytes[index] === byte);
  for (const from of hasMark ? [BOM.length, 0] : [0]) {
    const lines = readLines(bytes, from);
    const data = joined(bytes, lines.data);
    if (part.incomplete || data.equals(part.data ?? Buffer.alloc(0))) return { lines, data };
  }
  throw new MaskError('The data of an event is not what its lines say.');
}

function readLines(bytes: Buffer, from: number): Lines {
  const data: Segment[] = [];
  const comments: Line[] = [];
  const fields: Line[] = [];
  let at = 0;
  let run = 0;
  for (let start = from; start < bytes.length; ) {
    const end = lineEnd(bytes, start);
    const colon = colonOf(bytes, start, end);
    const line = { start, colon, end };
    const isData = bytes.toString('latin1', start, colon) === 'data';
    if (isData) {
      const value = colon < end ? colon + (bytes[colon + 1] === SPACE ? 2 : 1) : end;
      data.push({ start: value, end, at, run });
      at += end - value + 1;
    } else if (end > start) {
      (colon === start ? comments : fields).push(line);
      run++;
    }
    // CR LF: the LF reads as one more blank line.
    start = end + 1;
  }
  return { data, comments, fields };
}

function joined(bytes: Buffer, segments: readonly Segment[]): Buffer {
  const [only] = segments;
  if (only === undefined) return Buffer.alloc(0);
  if (segments.length === 1) return bytes.subarray(only.start, only.end);
  const last = segments.at(-1) as Segment;
  const data = Buffer.alloc(last.at + last.end - last.start, LF);
  for (const { start, end, at } of segments) bytes.copy(data, at, start, end);
  return data;
}

/** Edits of the data as edits of the event; what spans lines takes the line ends and field names between them along. */
function inEvent(edits: readonly MaskEdit[], segments: readonly Segment[]): MaskEdit[] {
  let index = 0;
  const behind = (segment: Segment): number => segment.at + segment.end - segment.start;
  const segmentOf = (isIn: (segment: Segment) => boolean): Segment => {
    while (index < segments.length - 1 && !isIn(segments[index] as Segment)) index++;
    return segments[index] as Segment;
  };
  return edits
    .toSorted((left, right) => left.start - right.start)
    .map((edit) => {
      const first = segmentOf((segment) => edit.start <= behind(segment));
      const last = segmentOf((segment) => edit.end <= behind(segment));
      if (first.run !== last.run) throw new MaskError('What is found in an event has another field between its lines.');
      return { ...edit, start: first.start + edit.start - first.at, end: last.start + edit.end - last.at };
    });
}

function shifted(edit: MaskEdit, by: number): MaskEdit {
  return { ...edit, start: edit.start + by, end: edit.end + by };
}
