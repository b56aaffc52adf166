/** Binary content: never searched, and replaced as a whole where its type is on the list. */

const MIME = /^[a-z0-9][a-z0-9.+_-]{0,63}\/[a-z0-9][a-z0-9.+_-]{0,63}$/;
const BASE64 = /^[A-Za-z0-9+/\r\n]*={0,2}[\r\n]*$/;

export function isBase64(text: string): boolean {
  return BASE64.test(text);
}

/**
 * Whether content of this type is to be replaced, by globs of types (`image/*`; `*` is any text). A type that is missing
 * or unreadable could be any: it is replaced as soon as anything is.
 */
export function createBlobRule(globs: readonly string[]): (type: string | undefined) => boolean {
  const parts = globs.map((glob) => glob.toLowerCase().split('*'));
  return (type) => {
    if (globs.length === 0) return false;
    const name = mimeOf(type);
    return name === undefined || parts.some((literals) => matches(name, literals));
  };
}

/**
 * What a client gets in place of the content: base64 of `[masked image/png]`. It decodes, and is no picture: clients show
 * a broken one.
 */
export function placeholder(type: string | undefined): string {
  return Buffer.from(`[masked ${mimeOf(type) ?? 'binary'}]`).toString('base64');
}

/** Without parameters, lower case; `undefined` where it is none. */
function mimeOf(type: string | undefined): string | undefined {
  const name = type?.split(';', 1)[0]?.trim().toLowerCase();
  return name !== undefined && MIME.test(name) ? name : undefined;
}

/** The literals in order, the first at the start and the last at the end: the leftmost place for each is enough. */
function matches(name: string, literals: readonly string[]): boolean {
  const [first = '', ...rest] = literals;
  const last = rest.pop();
  if (last === undefined) return name === first;
  if (!name.startsWith(first)) return false;
  let at = first.length;
  for (const literal of rest) {
    const found = name.indexOf(literal, at);
    if (found < 0) return false;
    at = found + literal.length;
  }
  return name.length - last.length >= at && name.endsWith(last);
}
