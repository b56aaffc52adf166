const MOST_CHARACTERS = 100;

/**
 * A name that a client gave itself, fit to be shown: one line, without characters that do not show or turn the text
 * around (a name must not be able to rewrite the sentence that it stands in). undefined where nothing is left of it.
 * It is still anybody's claim and still has to be escaped: `<script>` is a name.
 */
export function cleanName(value: unknown): string | undefined {
  if (typeof value !== 'string') return undefined;
  const line = value
    // Far more than is kept, so that a long text costs nothing.
    .slice(0, 10 * MOST_CHARACTERS)
    .normalize('NFC')
    .replaceAll(/[\p{Z}\t\r\n\u2800]+/gu, ' ')
    .replaceAll(/[\p{C}\p{Default_Ignorable_Code_Point}]/gu, '')
    .trim();
  const name = [...line].slice(0, MOST_CHARACTERS).join('').trim();
  return name === '' ? undefined : name;
}
