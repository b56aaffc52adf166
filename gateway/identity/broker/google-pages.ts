import { parseEmail } from './person.ts';
import { refusal } from './refusal.ts';

/** One answer of a list of groups: their addresses, and where it goes on. */
export type Page = (pageToken: string | undefined) => Promise<{ groups: readonly unknown[]; next: unknown }>;

/** Google's own default, which keeps an answer below the size that is read. */
export const PAGE_SIZE = 200;
/** 10,000 groups: with more of them something is wrong. */
const MOST_PAGES = 50;

/** All pages, or none: with one missing, a rule that denies a group would fail open. */
export async function allOf(page: Page): Promise<readonly string[]> {
  const all = new Set<string>();
  let pageToken: string | undefined;
  for (let pages = 1; pages <= MOST_PAGES; pages++) {
    const { groups, next } = await page(pageToken);
    for (const group of groups) {
      const name = parseEmail(group)?.toLowerCase();
      // One that the caller may know of, but not see.
      if (name === undefined) throw refusal('groups_unknown', 'Google names a group without its address');
      all.add(name);
    }
    if (next === undefined || next === '') return [...all];
    if (typeof next !== 'string') throw refusal('groups_unknown', 'nextPageToken is not a token');
    pageToken = next;
  }
  throw refusal('groups_unknown', `there are more than ${MOST_PAGES * PAGE_SIZE} groups`);
}
