/** A command written as one text, as `--stdio "npx -y server"`, cut into its words. No shell ever sees it. */

/** What a shell would act on; here it would reach the program as a word, which nobody means. */
const SHELL = /^(?:[|&;<>()]|\$\(|`)/;

/** The words, with quotes and backslashes read as POSIX shells do. Throws with what to write instead. */
export function splitCommand(text: string): string[] {
  const words: string[] = [];
  let word: string | undefined;
  let rest = text;
  const take = (length: number, keep: string): void => {
    word = (word ?? '') + keep;
    rest = rest.slice(length);
  };
  while (rest !== '') {
    const [whole = '', single, double, escaped, space] =
      /^(?:'([^']*)'|"((?:[^"\\]|\\[\s\S])*)"|\\([\s\S])|(\s+)|)/.exec(rest) ?? [];
    if (space !== undefined) {
      if (word !== undefined) words.push(word);
      word = undefined;
      rest = rest.slice(space.length);
    } else if (single !== undefined) take(whole.length, single);
    else if (double !== undefined) take(whole.length, double.replaceAll(/\\(["\\$`])/g, '$1'));
    else if (escaped !== undefined) take(whole.length, escaped);
    else if (/^['"\\]/.test(rest)) throw new Error('It has a quote or a backslash that nothing follows or ends.');
    else if (SHELL.test(rest)) throw new Error('No shell runs it: write one program with its arguments, or a script.');
    else take(1, rest.charAt(0));
  }
  if (word !== undefined) words.push(word);
  if (words.length === 0) throw new Error('It is empty.');
  return words;
}
