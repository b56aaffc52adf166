/** Reading numbered or listed objects from a store whose every answer takes a while: several at once, given in order. */

const WIDEST = 16;

/**
 * Objects numbered without holes. The window doubles while objects are there and shrinks to one at the first that is
 * not, so catching up is wide and polling for the next object is one read.
 */
export function createNumberedReader<T>(fetch: (number: number) => Promise<T | undefined>): {
  get(number: number): Promise<T | undefined>;
} {
  const asked = new Map<number, Promise<T | undefined>>();
  let width = 1;
  return {
    async get(number) {
      const early = asked.has(number);
      for (let ahead = number; ahead < number + width; ahead++) {
        if (asked.has(ahead)) continue;
        const answer = fetch(ahead);
        answer.catch(() => undefined); // A failure belongs to the get that asks for this number.
        asked.set(ahead, answer);
      }
      const answer = asked.get(number);
      asked.delete(number);
      // An absence that was read ahead is old news: the object may have come since.
      const found = (await answer) ?? (early ? await fetch(number) : undefined);
      if (found === undefined) {
        asked.clear();
        width = 1;
      } else width = Math.min(WIDEST, width * 2);
      return found;
    },
  };
}

/** Applies `read` to each item, up to `WIDEST` at once, and yields the results in the order of the items. */
export async function* readInOrder<T, R>(
  items: Iterable<T> | AsyncIterable<T>,
  read: (item: T) => Promise<R>,
  width = WIDEST,
): AsyncGenerator<R> {
  const under: Promise<R>[] = [];
  for await (const item of items) {
    const answer = read(item);
    answer.catch(() => undefined); // Thrown below, in its turn.
    under.push(answer);
    if (under.length >= width) yield (await under.shift()) as R;
  }
  for (const answer of under) yield await answer;
}
