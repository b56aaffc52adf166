import { isUtf8 } from 'node:buffer';
import { createTextReader, JsonTextError, walkJson } from '../../mcp/walk.ts';
import { applyEdits, type MaskEdit } from './apply.ts';
import { createBlobRule, isBase64, placeholder } from './blob.ts';
import { MaskError, type Masked } from './masked.ts';
import { CONTENT, MESSAGE, type Place, placeInside, placeOfMember } from './places.ts';
import { createSeeker, type SeekOptions } from './seek.ts';

export interface MaskOptions extends SeekOptions {
  /** Who sends the message: the client a request, the upstream a response. */
  readonly where: 'request' | 'response';
  /** MIME types (globs) of binary content that is replaced as a whole. */
  readonly replaceBlobs: readonly string[];
}

interface Literal {
  readonly start: number;
  readonly end: number;
  readonly text: string;
  readonly escaped: boolean;
}

/** An open array or object. */
interface Frame {
  readonly place: Place;
  /** The key nearest to the next value, and that value's place. */
  key: string | undefined;
  next: Place;
  /** Where the object can hold binary content: what it says of it so far. */
  readonly binary:
    | { readonly types: string[]; readonly mimes: (string | undefined)[]; readonly data: Literal[] }
    | undefined;
}

/**
 * Masks a JSON-RPC message, or an array of them: values inside string literals and nothing else, so that every byte
 * outside a span is the one that came. Where nothing is found the bytes are the very same buffer.
 *
 * **What is looked into**: every string and every key, save what places.ts keeps for the protocol; in a string that is JSON
 * itself its own strings, keys and numbers, four levels deep. The text is matched unescaped. Numbers, `true`, `false` and
 * `null` of the message can not give way to a tag and pass, unless `refuseNumbers` says otherwise.
 *
 * **What is read loosely**: every literal is masked where it stands, so of doubled keys all values are, and lone
 * surrogates, numbers beyond 2^53 and a byte order mark change nothing. Bytes that are not UTF-8, or not JSON as
 * JSON.parse has it, throw MaskError: what a lenient reader finds in them nobody can say.
 *
 * **Binary content** (`data` of image and audio blocks, `blob` of resources) is not searched. Where `replaceBlobs` has its
 * type, in any of doubled members, or the type can't be read, it is replaced (blob.ts). What is not base64 is text.
 *
 * Takes linear time and never recurses on nesting. Throws MaskError; no message of it holds a value.
 */
export function maskJson(bytes: Buffer, options: MaskOptions): Masked {
  if (!isUtf8(bytes)) throw new MaskError('It is not UTF-8.');
  try {
    return applyEdits(bytes, jsonEdits(bytes, options));
  } catch (error) {
    if (error instanceof JsonTextError) throw new MaskError('It is not JSON.', { cause: error });
    throw error;
  }
}

/** What maskJson changes, in no order. The bytes are UTF-8. Throws MaskError and JsonTextError. */
export function jsonEdits(bytes: Buffer, options: MaskOptions): MaskEdit[] {
  const seeker = createSeeker(options);
  const replaces = createBlobRule(options.replaceBlobs);
  const textAt = createTextReader(bytes);
  const edits: MaskEdit[] = [];
  const frames: Frame[] = [];

  /** One by one: a call can't take as many arguments as a text can hold values. */
  function take(found: readonly MaskEdit[]): void {
    for (const edit of found) edits.push(edit);
  }

  function onKey(start: number, end: number, escaped: boolean): void {
    const frame = frames.at(-1) as Frame;
    const literal = { start, end, text: textAt(start, end, escaped), escaped };
    const { place, named } = placeOfMember(frame.place, literal.text);
    frame.key = literal.text;
    frame.next = place;
    if (!named && !isBinary(frame)) take(seeker.key(bytes, literal));
  }

  function isBinary(frame: Frame): boolean {
    return frame.binary !== undefined && frame.key === frame.place.binary;
  }

  function onString(start: number, end: number, escaped: boolean): void {
    const frame = frames.at(-1);
    const literal = { start, end, text: textAt(start, end, escaped), escaped };
    if (frame?.binary !== undefined) {
      if (isBinary(frame)) {
        frame.binary.data.push(literal);
        return;
      }
      if (frame.key === 'type') frame.binary.types.push(literal.text);
      if (frame.key === 'mimeType') frame.binary.mimes.push(literal.text);
    }
    const place = frame?.next ?? CONTENT;
    if (place.kept) seeker.refuse(literal.text, frame?.key);
    else take(seeker.literal(bytes, literal, frame?.key));
  }

  function onOpen(_start: number, isObject: boolean): void {
    const above = frames.at(-1);
    const place = placeInside(above?.next ?? MESSAGE[options.where], isObject);
    const binary = isObject && place.binary !== undefined ? { types: [], mimes: [], data: [] } : undefined;
    frames.push({ place, key: above?.key, next: place, binary });
  }

  function onClose(): void {
    const frame = frames.pop();
    for (const literal of frame?.binary?.data ?? []) settle(frame as Frame, literal);
  }

  /** Type and content may come in either order, so the content waits for the end of its object. */
  function settle({ place, binary }: Frame, literal: Literal): void {
    const types = binary?.types ?? [];
    const media = types.filter((type) => type === 'image' || type === 'audio').length;
    const mimes = binary?.mimes.length ? binary.mimes : [undefined];
    const says = place.binary === 'blob' || media > 0;
    if (says && mimes.some(replaces)) {
      const { hmac } = options.tagger.tag('blob', literal.text);
      const replacement = Buffer.from(placeholder(mimes.find(replaces)));
      edits.push({ start: literal.start + 1, end: literal.end - 1, replacement, detector: 'blob', hmac });
    } else if (!(says && (place.binary === 'blob' || media === types.length) && isBase64(literal.text))) {
      take(seeker.literal(bytes, literal, place.binary));
    }
  }

  walkJson(bytes, {
    key: onKey,
    string: onString,
    number(start, end) {
      const frame = frames.at(-1);
      if (options.refuseNumbers === undefined || frame?.next.kept) return;
      seeker.refuseNumber(bytes.toString('latin1', start, end), frame?.key);
    },
    open: onOpen,
    close: onClose,
  });
  return edits;
}
