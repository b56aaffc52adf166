import { findCards } from './detect-card.ts';
import { findEmails } from './detect-email.ts';
import { findIbans } from './detect-iban.ts';
import { findIps } from './detect-ip.ts';
import { findJwts, OPENINGS as OF_JWTS } from './detect-jwt.ts';
import { findPhones } from './detect-phone.ts';
import { findPrivateKeys, OPENINGS as OF_KEYS } from './detect-private-key.ts';
import { OPENINGS as BEFORE_SECRETS, findSecrets } from './detect-secret.ts';
import { findSsns } from './detect-ssn.ts';
import type { BuiltIn, Detector, Finding } from './detector.ts';
import { type Reading, type Report, read } from './reading.ts';
import { OPENINGS as OF_TOKENS } from './secret-tokens.ts';

/** The built-in detectors, the most specific one first. */
const FINDERS: Readonly<Record<BuiltIn, (reading: Reading, report: Report) => void>> = {
  privateKey: findPrivateKeys,
  jwt: findJwts,
  secret: findSecrets,
  email: findEmails,
  iban: findIbans,
  card: findCards,
  ssn: findSsns,
  ip: findIps,
  phone: findPhones,
};

const openings = new Uint8Array(128 * 128);
for (const opening of [...OF_TOKENS, ...OF_JWTS, ...OF_KEYS, ...BEFORE_SECRETS]) {
  openings[opening.charCodeAt(0) * 128 + opening.charCodeAt(1)] = 1;
}

/** Shorter than any value of a built-in detector. */
const shortest = 4;

export interface Detection {
  /**
   * Sorted, and none overlaps another. Where two detectors find what overlaps, all of it is one finding: nothing that one
   * of them found is left over. It has the name of a pattern of the policies before that of a built-in detector, of a more
   * specific detector before that of a looser one, and else of what starts earlier, or is longer.
   *
   * `before`: what a person sees before the text, such as the key that a JSON string is the value of. Its words count as
   * those around a value do; nothing is found in it.
   */
  find(text: string, before?: string): readonly Finding[];
}

/** Detectors by name; the same one twice is one. Time and memory grow with the text's length, whatever is in it. */
export function createDetection(detectors: readonly Detector[]): Detection {
  const patterns = new Map<string, Extract<Detector, { pattern: unknown }>['pattern']>();
  const builtIn = new Set<string>();
  for (const detector of detectors) {
    if ('pattern' in detector) patterns.set(detector.name, detector.pattern);
    else builtIn.add(detector.name);
  }
  const finders = Object.entries(FINDERS)
    .map(([detector, find], rank) => ({ detector, find, rank }))
    .filter(({ detector }) => builtIn.has(detector));
  if (finders.length < builtIn.size) throw new TypeError('a detector that is neither built in nor a pattern');

  return {
    find(text, before = '') {
      const found: Ranked[] = [];
      if (finders.length > 0 && text.length >= shortest) {
        const reading = read(text, openings, before);
        const { map } = reading;
        let detector = '';
        let rank = 0;
        const report: Report = (start, end) => {
          if (!map) found.push({ start, end, detector, rank });
          else found.push({ start: map.starts[start] ?? 0, end: map.ends[end - 1] ?? 0, detector, rank });
        };
        for (const finder of finders) {
          ({ detector, rank } = finder);
          finder.find(reading, report);
        }
      }
      for (const [name, pattern] of patterns) {
        for (const { start, end } of pattern.find(text))
          if (end > start) found.push({ start, end, detector: name, rank: -1 });
      }
      return merge(found);
    },
  };
}

type Ranked = Finding & { readonly rank: number };

/** Joins what overlaps, under the name of the best of it. */
function merge(found: Ranked[]): readonly Finding[] {
  if (found.length === 0) return found;
  found.sort((one, other) => one.start - other.start || other.end - one.end || one.rank - other.rank);
  const merged: Finding[] = [];
  let best = found[0];
  let end = 0;
  let start = 0;
  for (const finding of found) {
    if (finding.start >= end) {
      if (best && end > start) merged.push({ start, end, detector: best.detector });
      ({ start, end } = finding);
      best = finding;
    } else {
      end = Math.max(end, finding.end);
      if (!best || finding.rank < best.rank) best = finding;
    }
  }
  if (best && end > start) merged.push({ start, end, detector: best.detector });
  return merged;
}
