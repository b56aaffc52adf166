/**
 * Every body that a soak sends or answers begins alike, with an id that no other has: `7` of a call, `"s7"` of the answer
 * to what the server asked during call 7. By it ledgers and recordings are joined.
 */
const BEGINNING = /^\{"jsonrpc":"2\.0", ?"id":(?:(\d+)|"s(\d+)"),/;
/** No beginning is longer. */
const LONGEST = 48;

/** A number that stands for the id: even for a call, odd for an answer. Undefined where the bytes begin otherwise. */
export function keyOf(body: Buffer): number | undefined {
  const [, call, answer] = BEGINNING.exec(body.toString('latin1', 0, LONGEST)) ?? [];
  if (call !== undefined) return 2 * Number(call);
  return answer === undefined ? undefined : 2 * Number(answer) + 1;
}
