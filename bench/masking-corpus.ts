import type { Faker } from '@faker-js/faker';

import { type Corpus, KINDS, type Kind } from './masking-values.ts';

/** A line of labelled text; without a value it is a clean one. Offsets in UTF-16 units. */
export interface Line {
  readonly text: string;
  readonly values: readonly { readonly kind: Kind; readonly start: number; readonly end: number }[];
}

const refDate = '2026-06-01T00:00:00.000Z';

/** How many of a hundred labelled lines have which kind. */
const weights: Record<Kind, number> = {
  email: 18,
  phone: 22,
  card: 12,
  iban: 9,
  ssn: 9,
  ip: 12,
  secret: 10,
  privateKey: 3,
  jwt: 5,
};

const fillers: Readonly<Record<string, (faker: Faker) => string>> = {
  name: (f) => f.person.fullName(),
  word: (f) => f.lorem.word(),
  n: (f) => String(f.number.int({ min: 1, max: 999 })),
  date: (f) => f.date.past().toISOString().slice(0, 10),
  time: (f) => f.date.past().toISOString().slice(11, 19),
  uuid: (f) => f.string.uuid(),
};

/** Fills a template in; `{v}` and `{v2}` are values of their own. */
function fill(template: string, kind: Kind, corpus: Corpus, faker: Faker): Line {
  const values: Line['values'][number][] = [];
  let text = '';
  // Every other piece is the name between two braces, or text in braces that is none of ours.
  for (const [index, piece] of template.split(/\{(\w+)\}/).entries()) {
    if (index % 2 === 0) text += piece;
    else if (piece.startsWith('v')) {
      const value = faker.helpers.arrayElement(corpus.values[kind])(faker);
      values.push({ kind, start: text.length, end: text.length + value.length });
      text += value;
    } else text += fillers[piece]?.(faker) ?? '';
  }
  return { text, values };
}

/** Half of the lines are clean. The same seed gives the same lines. */
export function makeLines(corpus: Corpus, seed: number, count: number): Line[] {
  for (const [index, faker] of corpus.locales.entries()) {
    faker.seed(seed * 1000 + index);
    faker.setDefaultRefDate(refDate);
  }
  const kinds = KINDS.map((kind) => ({ value: kind, weight: weights[kind] }));
  return Array.from({ length: count }, (_, index) => {
    // Of one locale twice in the list both come from one generator, which is as well.
    const faker = corpus.locales[index % corpus.locales.length];
    if (!faker) throw new Error('a corpus has at least one locale');
    if (Math.floor(index / corpus.locales.length) % 2 === 0) {
      return { text: faker.helpers.arrayElement(corpus.clean)(faker), values: [] };
    }
    const kind = faker.helpers.weightedArrayElement(kinds);
    return fill(faker.helpers.arrayElement(corpus.templates[kind]), kind, corpus, faker);
  });
}
