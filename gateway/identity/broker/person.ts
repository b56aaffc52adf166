import { type Claims, ownClaim } from './groups-claim.ts';
import { refusal } from './refusal.ts';

/** An address with an ASCII domain and nothing that a page, a log or a query would have to fear. */
const EMAIL = /^[^\s@"\\<>\p{C}]{1,64}@[a-z0-9]([a-z0-9.-]{0,251}[a-z0-9])?$/iu;

/** The e-mail address in a value, its domain in lower case. */
export function parseEmail(value: unknown): string | undefined {
  if (typeof value !== 'string' || !EMAIL.test(value)) return undefined;
  const at = value.lastIndexOf('@');
  return value.slice(0, at) + value.slice(at).toLowerCase();
}

/**
 * The verified e-mail address of one set of claims. `email_verified` says nothing of any other claim than `email`; who
 * configured another one has the directory's word for it. What is false is refused: some providers let people write any
 * address there. Where nothing is said, there is no address.
 */
export function verifiedEmail(claims: Claims, name: string): string | undefined {
  const email = parseEmail(ownClaim(claims, name));
  if (name !== 'email') return email;
  const verified = ownClaim(claims, 'email_verified');
  // Amazon Cognito and others send it as a string.
  if (verified === true || verified === 'true') return email;
  if (verified === undefined) return undefined;
  throw refusal('email_unverified', 'email_verified is not true');
}

/** For people to read: never compared with anything. */
export function displayName(claims: Claims): string | undefined {
  const name = ownClaim(claims, 'name');
  return typeof name === 'string' && /^[^\p{Cc}\p{Cf}]{1,200}$/u.test(name) ? name : undefined;
}

/** `auth_time` (OpenID Connect Core, section 2): seconds since the epoch. What is no time counts as long ago. */
export function authenticatedOf(claims: Claims): { authenticated?: number } {
  const at = ownClaim(claims, 'auth_time');
  if (at === undefined) return {};
  return { authenticated: typeof at === 'number' && Number.isFinite(at) ? at : 0 };
}

/** OpenID Connect Core, section 2: at most 255 ASCII characters. */
export function subjectOf(claims: Claims): string {
  const subject = ownClaim(claims, 'sub');
  if (typeof subject === 'string' && /^[\x20-\x7e]{1,255}$/.test(subject)) return subject;
  throw refusal('answer_invalid', 'sub is not a subject');
}
