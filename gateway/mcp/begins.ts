const BEGINS_AS_MESSAGE = /^[\ufeff \t\r\n]*(?:\[[ \t\r\n]*)?\{/;

/** Whether a lenient reader could still take it for a message, though it is no JSON: NaN, comments, a comma too many. */
export function beginsAsMessage(data: Buffer): boolean {
  return BEGINS_AS_MESSAGE.test(data.toString('utf8'));
}
