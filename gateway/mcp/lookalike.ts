/**
 * Keys that one reader takes for another key: Go's encoding/json matches them without regard to case (Unicode's simple
 * folding, so that `toolſ` is `tools`), JSON.parse does not. Where policy looks for a member, a message that has one that
 * only looks like it would show policy one thing and its reader another.
 */
export function createLookalikes(names: readonly string[]): (value: unknown) => boolean {
  const exact = new Set(names);
  const like = new RegExp(`^(?:${names.join('|')})$`, 'iu');
  return (value) =>
    typeof value === 'object' &&
    value !== null &&
    !Array.isArray(value) &&
    Object.keys(value).some((key) => !exact.has(key) && like.test(key));
}

/** What readers without regard to case compare: of keys that they take for one another it is the same. */
export function foldedKey(key: string): string {
  // Upper case first: `ſ` has no lower case of its own, and U+212A no upper case.
  return key.toUpperCase().toLowerCase();
}
