/**
 * Globs of names: `*` is any text, also none; every other character is itself. A name comes from a client and may
 * be as long as a body: the time is linear in it, whatever the glob (Knuth, Morris, Pratt for the pieces between `*`).
 */
export function compileGlob(glob: string): (name: string) => boolean {
  const [first = '', ...rest] = glob.split('*');
  const last = rest.pop();
  if (last === undefined) return (name) => name === glob;
  const middle = rest.filter((piece) => piece !== '').map(compileSearch);
  return (name) => {
    if (name.length < first.length + last.length || !name.startsWith(first) || !name.endsWith(last)) return false;
    const end = name.length - last.length;
    let at = first.length;
    // The leftmost place for each piece leaves the most room for the next.
    for (const find of middle) {
      const after = find(name, at, end);
      if (after === undefined) return false;
      at = after;
    }
    return true;
  };
}

/** Finds where the first occurrence of a piece within [from, end) ends, in linear time. */
export function compileSearch(piece: string): (text: string, from: number, end: number) => number | undefined {
  // How much of the piece's beginning is still matched when the character after `index` of them is another.
  const fallback = [0];
  for (let index = 1, matched = 0; index < piece.length; index++) {
    while (matched > 0 && piece[index] !== piece[matched]) matched = fallback[matched - 1] ?? 0;
    if (piece[index] === piece[matched]) matched++;
    fallback[index] = matched;
  }
  return (text, from, end) => {
    let matched = 0;
    for (let at = from; at < end; at++) {
      while (matched > 0 && text[at] !== piece[matched]) matched = fallback[matched - 1] ?? 0;
      if (text[at] === piece[matched]) matched++;
      if (matched === piece.length) return at + 1;
    }
    return undefined;
  };
}
