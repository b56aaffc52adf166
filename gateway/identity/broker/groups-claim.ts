import { refusal } from './refusal.ts';

/** Of a token or of userinfo: verified as a whole, but of no known shape. */
export type Claims = Readonly<Record<string, unknown>>;

export function ownClaim(claims: Claims, name: string): unknown {
  return Object.hasOwn(claims, name) ? claims[name] : undefined;
}

/**
 * Whether a claim was left out because it did not fit, and stands elsewhere (OpenID Connect Core, section 5.6.2; Entra
 * does so with more than 200 groups).
 */
export function isElsewhere(claims: Claims, name: string): boolean {
  const elsewhere = ownClaim(claims, '_claim_names');
  if (elsewhere === undefined) return false;
  return typeof elsewhere !== 'object' || elsewhere === null || Object.hasOwn(elsewhere, name);
}

/**
 * The groups of a claim. Missing, overflowed, cut or of another shape they are unknown, never none: a rule that denies a
 * group would fail open. `limit`: a list this long counts as cut.
 */
export function groupsOfClaim(claims: Claims, name: string, limit?: number): readonly string[] {
  if (isElsewhere(claims, name)) throw refusal('groups_unknown', `the claim ${name} did not fit into the token`);
  const groups = ownClaim(claims, name);
  if (groups === undefined) throw refusal('groups_unknown', `there is no claim ${name}`);
  if (!Array.isArray(groups) || !groups.every((group) => typeof group === 'string' && group !== '')) {
    throw refusal('groups_unknown', `the claim ${name} is not a list of names`);
  }
  if (limit !== undefined && groups.length >= limit) {
    throw refusal('groups_unknown', `the claim ${name} has ${groups.length} names: groupsLimit says that it was cut`);
  }
  return groups;
}
