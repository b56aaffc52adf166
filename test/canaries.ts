/**
 * Credential canaries. Every secret that a test uses is named here, mostly by the doubles that make it; whatever a
 * gateway leaves behind is then searched for all of them, plain and in the encodings in which one slips out.
 *
 * One pass over the bytes, however many secrets there are: of each needle all runs of four bytes are known, and of what
 * is searched only every ninth is looked at, since the shortest needle has nine of them.
 */
import { createPrivateKey } from 'node:crypto';

/** Bytes that a secret must not be in, and the words for where they are. */
export interface Place {
  readonly name: string;
  readonly bytes: Buffer;
  /** What a gateway told its clients: the one place for what it issued to them. */
  readonly toClients?: true;
}

interface Needle {
  readonly issued: boolean;
  readonly label: string;
  readonly form: string;
  readonly bytes: Buffer;
}

/** A shorter secret is found by chance. */
const SHORTEST = 12;
const GRAM = 4;
const STRIDE = SHORTEST - GRAM + 1;
/** Bytes of a secret that are looked for: its last ones, which are unlike in two tokens of one issuer. */
const EXCERPT = 24;
const BITS = 20;

const known = new Set<string>();
const issuedValues = new Set<string>();
let pending: (readonly [value: string | Buffer, label: string, issued: boolean])[] = [];
const seen = new Uint8Array(1 << BITS);
const byGram = new Map<number, (readonly [Needle, number])[]>();

/** Says that a value must be nowhere from now on. `label` is what a failure calls it. Returns the value. */
export function secret<T extends string | Buffer>(value: T, label: string): T {
  if (typeof value !== 'string' || !issuedValues.has(value)) pending.push([value, label, false]);
  return value;
}

/** Says that a value is a client's own, issued by the gateway: it may be in what clients are told and nowhere else. */
export function issued(value: string, label: string): string {
  issuedValues.add(value);
  pending.push([value, label, true]);
  return value;
}

/** Throws where a secret is in one of the places, in words that name both and hold neither. */
export function assertNoSecrets(places: Iterable<Place>): void {
  const found = new Set<string>();
  index();
  for (const { name, bytes, toClients } of places) {
    for (const { label, form, issued } of needlesIn(bytes)) {
      if (!issued || toClients !== true) found.add(`${label} is in ${name}, ${form}`);
    }
  }
  if (found.size === 0) return;
  const some = [...found].slice(0, 10);
  throw new Error(`Secrets are where none may be (${found.size}):\n${some.join('\n')}`);
}

function needlesIn(bytes: Buffer): Set<Needle> {
  const found = new Set<Needle>();
  for (let at = 0; at + GRAM <= bytes.length; at += STRIDE) {
    const gram = gramAt(bytes, at);
    if (seen[slotOf(gram)] === 0) continue;
    for (const [needle, offset] of byGram.get(gram) ?? []) {
      const start = at - offset;
      const end = start + needle.bytes.length;
      if (start >= 0 && end <= bytes.length && bytes.compare(needle.bytes, 0, undefined, start, end) === 0) {
        found.add(needle);
      }
    }
  }
  return found;
}

function gramAt(bytes: Buffer, at: number): number {
  const [a = 0, b = 0, c = 0, d = 0] = [bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]];
  return a | (b << 8) | (c << 16) | (d << 24);
}

function slotOf(gram: number): number {
  return Math.imul(gram, 0x9e3779b1) >>> (32 - BITS);
}

function index(): void {
  const fresh = pending;
  pending = [];
  for (const [value, label, issued] of fresh) {
    for (const core of coresOf(value)) {
      const excerpt = core.subarray(-EXCERPT);
      const id = excerpt.toString('hex');
      if (excerpt.length < SHORTEST || known.has(id)) continue;
      known.add(id);
      for (const [form, bytes] of formsOf(excerpt)) add({ label, form, bytes, issued });
    }
  }
}

function add(needle: Needle): void {
  for (let at = 0; at + GRAM <= needle.bytes.length; at++) {
    const gram = gramAt(needle.bytes, at);
    seen[slotOf(gram)] = 1;
    const there = byGram.get(gram);
    if (there === undefined) byGram.set(gram, [[needle, at]]);
    else there.push([needle, at]);
  }
}

/** The parts of a value that are secret: of a JWT its signature, of a private key its number and a line of its text. */
function coresOf(value: string | Buffer): Buffer[] {
  if (typeof value !== 'string') return [value];
  const text = value.trim();
  const [, escaped] = /"private_key"\s*:\s*("(?:[^"\\]|\\.)*")/.exec(text) ?? [];
  if (escaped !== undefined) return coresOf(JSON.parse(escaped) as string);
  if (text.startsWith('-----BEGIN')) {
    const lines = text.split('\n').filter((line) => !line.startsWith('-----'));
    const { d = '' } = createPrivateKey(text).export({ format: 'jwk' });
    // The last line of a short key is its public half.
    return [Buffer.from(d, 'base64url'), Buffer.from(lines[lines.length > 3 ? 1 : 0] ?? '')];
  }
  const [, signature = text] = /^[\w-]+\.[\w-]+\.([\w-]+)$/.exec(text) ?? [];
  return [Buffer.from(signature)];
}

/** A secret's bytes as they are and in other words: each at least as long as the shortest secret. */
function formsOf(plain: Buffer): Map<string, Buffer> {
  const forms = new Map([['as it is', plain]]);
  const written = new Set([plain.toString('latin1')]);
  const note = (form: string, text: string): void => {
    if (text.length < SHORTEST || written.has(text)) return;
    written.add(text);
    forms.set(form, Buffer.from(text, 'latin1'));
  };
  note('in hexadecimal', plain.toString('hex'));
  note('in capital hexadecimal', plain.toString('hex').toUpperCase());
  for (const lead of [0, 1, 2]) {
    // What stands before it shifts the groups of three bytes; only whole groups of the secret's own are the same always.
    const own = plain.subarray((3 - lead) % 3);
    const whole = own.subarray(0, own.length - (own.length % 3));
    note(`in base64 (${lead})`, whole.toString('base64'));
    note(`in base64url (${lead})`, whole.toString('base64url'));
  }
  if (plain.toString('utf8').includes('\ufffd')) return forms;
  const text = plain.toString('utf8');
  note('percent-encoded', encodeURIComponent(text));
  note('in JSON', Buffer.from(JSON.stringify(text).slice(1, -1)).toString('latin1'));
  return forms;
}
