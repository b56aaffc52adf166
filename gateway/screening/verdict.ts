/** What Model Armor says of a text, in few words. */
import { isRecord } from '../google-api.ts';

export type Verdict =
  | { readonly kind: 'clean' }
  /** Names of Model Armor's filters, sorted: `pi_and_jailbreak`, `rai.dangerous`, `sdp`, `malicious_uris`, `csam`. */
  | { readonly kind: 'match'; readonly filters: readonly string[] }
  /**
   * There is none. `timeout`: not in time, or nobody waits any more. `unavailable`: no answer, or not of every filter; it may
   * have one later. `refused`: who runs the gateway has to change something. `too_long`: more than is screened.
   */
  | { readonly kind: 'none'; readonly why: 'timeout' | 'unavailable' | 'refused' | 'too_long' };

/**
 * Reads a `SanitizationResult` with enumerations as names, as the client library gives it. Strict where it is safe: one
 * filter that matched is a match whatever the summary says, and without the summary's word that nothing did, or with
 * filters that did not run, there is no verdict.
 */
export function readVerdict(result: unknown): Verdict {
  if (!isRecord(result)) return { kind: 'none', why: 'unavailable' };
  const { filterMatchState, invocationResult, filterResults, sanitizationMetadata } = result;
  const filters = matchedIn(filterResults);
  if (filters.length > 0) return { kind: 'match', filters };
  if (filterMatchState === 'MATCH_FOUND') return { kind: 'match', filters: ['unknown'] };
  // The template's owner may have said that filters which fail do not matter.
  const mayFail = isRecord(sanitizationMetadata) && sanitizationMetadata.ignorePartialInvocationFailures === true;
  const ran = invocationResult === 'SUCCESS' || (invocationResult === 'PARTIAL' && mayFail);
  return filterMatchState === 'NO_MATCH_FOUND' && ran ? { kind: 'clean' } : { kind: 'none', why: 'unavailable' };
}

const MOST_FILTERS = 20;

function matchedIn(results: unknown): string[] {
  if (!isRecord(results)) return [];
  const found = Object.entries(results).flatMap(([name, result]) => {
    const types = matchingTypes(result);
    if (types.length > 0) return types.map((type) => `${word(name)}.${word(type)}`);
    return hasMatch(result) ? [word(name)] : [];
  });
  return [...new Set(found)].sort().slice(0, MOST_FILTERS);
}

/** `{ raiFilterResult: { raiFilterTypeResults: { dangerous: { matchState } } } }` */
function matchingTypes(result: unknown): string[] {
  if (!isRecord(result) || !isRecord(result.raiFilterResult)) return [];
  const types = result.raiFilterResult.raiFilterTypeResults;
  if (!isRecord(types)) return [];
  return Object.entries(types).flatMap(([type, one]) => (isRecord(one) && isMatch(one) ? [type] : []));
}

/** Each filter's result stands one or two levels down, under a name of its own; sdp's under what it was asked to do. */
function hasMatch(result: unknown): boolean {
  if (!isRecord(result)) return false;
  return Object.values(result)
    .filter(isRecord)
    .some((one) => isMatch(one) || Object.values(one).some((inner) => isRecord(inner) && isMatch(inner)));
}

function isMatch({ matchState }: Record<string, unknown>): boolean {
  return matchState === 'MATCH_FOUND';
}

/** Goes into recordings, so it is Google's word for a filter or none at all. */
function word(name: string): string {
  return /^[a-z][a-z_]{0,39}$/.test(name) ? name : 'unknown';
}
