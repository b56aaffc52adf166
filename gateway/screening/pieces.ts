/**
 * UTF-16 units of one request. Filters of Model Armor skip what has more tokens than they take (10,000 for injections, when
 * this was written); ordinary text has a token in three or four characters, dense text one in each.
 */
const PIECE = 10_000;
/** Pieces share so much, so that what stands on a cut is whole in one of them. */
const OVERLAP = 500;

/** The pieces of a text, in order; none for an empty one. No character is cut in two. */
export function piecesOf(text: string): string[] {
  const pieces: string[] = [];
  for (let start = 0; start < text.length; ) {
    const end = start + PIECE < text.length ? wholeAt(text, start + PIECE) : text.length;
    pieces.push(text.slice(start, end));
    if (end === text.length) break;
    start = wholeAt(text, end - OVERLAP);
  }
  return pieces;
}

/** The place, or the one before it where it is inside a pair of surrogates. */
function wholeAt(text: string, at: number): number {
  const isInside = /^[\ud800-\udbff][\udc00-\udfff]/.test(text.slice(at - 1, at + 1));
  return isInside ? at - 1 : at;
}
