/**
 * Screening of texts by Google Model Armor: a verdict in time, or none. What follows from it is policy's to say. No text
 * is in any log or error; what is remembered of one is its hash, for a minute.
 */
import type { Config } from '../config.ts';
import { type GoogleIdentity, ownGoogleIdentity } from '../google-identity.ts';
import { hashOfParts } from '../hash-of-parts.ts';
import { keepNewest } from '../keep-newest.ts';
import type { ScreenedPart } from '../policy/rule.ts';
import { MOST_SCREENED } from '../policy/screened-text.ts';
import { ArmorFailure, createArmorFetch } from './armor-fetch.ts';
import { createModelArmor, type Template, templateNamed } from './model-armor.ts';
import { piecesOf } from './pieces.ts';
import { readVerdict, type Verdict } from './verdict.ts';

export interface ScreenRequest {
  /** `projects/…/locations/…/templates/…` */
  readonly template: string;
  readonly part: ScreenedPart;
  readonly text: string;
  /** Milliseconds for all of it. */
  readonly timeout: number;
  /** Nobody waits for the verdict any more. */
  readonly signal?: AbortSignal | undefined;
}

export interface Screening {
  /** Never rejects: where there is no verdict, that is the answer. */
  screen(request: ScreenRequest): Promise<Verdict>;
  /** Loads what the first text would wait for: for when policy that screens takes force. Throws nothing. */
  prepare(): Promise<void>;
  close(): Promise<void>;
}

export interface ScreeningDeps {
  readonly google: Config['google'];
  /** Milliseconds since the epoch. */
  readonly now: () => number;
  /** Default: the process's own. */
  readonly identity?: GoogleIdentity;
  /** Told why there was no verdict, in words that may be logged: a host and a status. */
  readonly failed?: (failure: { readonly template: string; readonly words: string }) => void;
}

/** A list of tools is read again by every session; a verdict on it is asked for once a minute. */
const REMEMBERED_MS = 60_000;
const MOST_REMEMBERED = 2000;
/** Of one text, at once. */
const AT_ONCE = 4;

export function createScreening(deps: ScreeningDeps): Screening {
  const { google, now, identity = ownGoogleIdentity, failed = () => {} } = deps;
  const fetch = createArmorFetch();
  const armor = createModelArmor({ google, identity, fetch });
  const remembered = new Map<string, { readonly verdict: Verdict; readonly until: number }>();

  /** Twice at most, and only where nothing was wrong with the question. */
  async function ask(template: Template, part: ScreenedPart, text: string, signal: AbortSignal): Promise<Verdict> {
    for (let isFirst = true; ; isFirst = false) {
      try {
        const verdict = readVerdict(await armor.sanitize({ template, part, text, signal }));
        if (verdict.kind === 'none') failed({ template: template.name, words: 'a filter did not run' });
        return verdict;
      } catch (error) {
        if (signal.aborted) return TIMEOUT;
        const { status, message } = error instanceof ArmorFailure ? error : NO_WORDS;
        // A socket that had been open for a while may close under a request; a server may be on its way out.
        if (isFirst && (status === undefined || status === 503)) continue;
        failed({ template: template.name, words: message });
        return { kind: 'none', why: DEFINITE.has(status ?? 0) ? 'refused' : 'unavailable' };
      }
    }
  }

  /** A match stands, whatever is found in other pieces; without a verdict on one of them there is none on the whole. */
  function askAll(template: Template, part: ScreenedPart, text: string, signal: AbortSignal): Promise<Verdict> {
    const waiting = piecesOf(text);
    const matched = Promise.withResolvers<Verdict>();
    let rest: Verdict = { kind: 'clean' };
    const work = async (): Promise<void> => {
      for (let piece = waiting.shift(); piece !== undefined && !signal.aborted; piece = waiting.shift()) {
        const verdict = await ask(template, part, piece, signal);
        if (verdict.kind === 'match') matched.resolve(verdict);
        if (verdict.kind === 'none') rest = verdict;
      }
    };
    const all = Promise.all(Array.from({ length: AT_ONCE }, work)).then(() => (signal.aborted ? TIMEOUT : rest));
    return Promise.race([matched.promise, all]);
  }

  return {
    async screen({ template: name, part, text, timeout, signal }) {
      const template = templateNamed(name);
      if (template === undefined) return { kind: 'none', why: 'refused' };
      if (text === '') return { kind: 'clean' };
      if (text.length > MOST_SCREENED) return { kind: 'none', why: 'too_long' };
      const key = hashOfParts([name, part, text]);
      const known = remembered.get(key);
      if (known !== undefined && known.until > now()) return known.verdict;
      const verdict = await within(timeout, signal, (limit) => askAll(template, part, text, limit));
      if (verdict.kind !== 'none')
        keepNewest(remembered, key, { verdict, until: now() + REMEMBERED_MS }, MOST_REMEMBERED);
      return verdict;
    },
    prepare: () => armor.load().catch(() => {}),
    close: () => fetch.close(),
  };
}

const TIMEOUT: Verdict = { kind: 'none', why: 'timeout' };
const NO_WORDS = { status: 200, message: 'an error without safe words' };
/** Google's word that asking again will not help; anything else may come from anybody between. */
const DEFINITE: ReadonlySet<number> = new Set([400, 401, 403, 404]);

/** What is still under way when the verdict is there, or late, is aborted. */
async function within(
  milliseconds: number,
  signal: AbortSignal | undefined,
  work: (limit: AbortSignal) => Promise<Verdict>,
): Promise<Verdict> {
  const limit = new AbortController();
  const late = Promise.withResolvers<Verdict>();
  const stop = (): void => late.resolve(TIMEOUT);
  const timer = setTimeout(stop, milliseconds);
  signal?.addEventListener('abort', stop, { once: true });
  if (signal?.aborted === true) stop();
  try {
    return await Promise.race([late.promise, work(limit.signal)]);
  } finally {
    limit.abort();
    clearTimeout(timer);
    signal?.removeEventListener('abort', stop);
  }
}
