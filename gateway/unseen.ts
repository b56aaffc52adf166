/**
 * Emoji as Unicode recommends them, which join code points with what is refused elsewhere, or one character that moves,
 * hides or reorders what a reader sees: controls, formatting (bidi, zero-width), lone surrogates, separators of lines and
 * paragraphs, and what renders as nothing.
 */
const EMOJI_OR_UNSEEN = /\p{RGI_Emoji}|[\p{Cc}\p{Cf}\p{Cs}\p{Zl}\p{Zp}\p{Default_Ignorable_Code_Point}]/gv;
const UNSEEN = /^[\p{Cc}\p{Cf}\p{Cs}\p{Zl}\p{Zp}\p{Default_Ignorable_Code_Point}]$/v;

/** Text in which every character that would not be seen is written out as `\u{202e}`, as on a terminal. */
export function writeOutUnseen(text: string, options: { keepNewlines?: boolean } = {}): string {
  return text.replace(EMOJI_OR_UNSEEN, (found) => {
    if (!UNSEEN.test(found) || (found === '\n' && options.keepNewlines)) return found;
    return `\\u{${(found.codePointAt(0) ?? 0).toString(16)}}`;
  });
}
