/** Who may decide for whom. Nobody decides their own, or their agent's; and only who has just logged in does. */
import { GatewayError } from '../errors.ts';
import type { BoundCall, Person } from './approval.ts';
import { oneLine } from './freeze.ts';

/** Seconds since the login. */
const FRESH_FOR = 300;
/** Seconds that the clock of the replica where the person logged in may be ahead. */
const SKEW = 30;

const reasonLine = oneLine(500);

/** A refusal for a person's eyes. */
export function refused(words: string): GatewayError {
  return new GatewayError('denied', 'not_forwarded', words);
}

/** Throws `denied` unless the reason is one line of at most 500 characters that hides nothing. */
export function checkReason(reason: string, what = 'A reason'): void {
  if (reasonLine.safeParse(reason).success) return;
  throw refused(`${what} is one line of at most 500 characters, without control or invisible characters.`);
}

/** Throws `denied` unless this is a person who logged in within the last five minutes. `authenticated`: Unix seconds. */
export function checkFreshPerson(by: Person, authenticated: number, now: number): void {
  if (by.kind !== 'human') throw refused('Only a person can do this.');
  const age = now / 1000 - authenticated;
  if (!(age <= FRESH_FOR && age >= -SKEW)) throw refused('Log in again: this needs a login of the last five minutes.');
}

/** Why this person may not decide for who asked, in words; undefined where they may. */
export function whyNotFor(by: Person, asker: Person): string | undefined {
  if (isSamePerson(by, asker)) return 'Nobody decides their own request.';
  const names = namesOf(by);
  const actsFor = asker.onBehalfOf;
  if (actsFor !== undefined && (actsFor === by.subject || names.includes(actsFor.toLowerCase()))) {
    return 'Nobody decides a request of an agent that acts for them.';
  }
  if (asker.owner !== undefined && by.groups.includes(asker.owner)) {
    return "Nobody decides a request of their own group's agent.";
  }
  return undefined;
}

/** Why this person decides nothing of a call, whenever they logged in; undefined where they may. */
export function whyNotApprove(by: Person, call: Pick<BoundCall, 'principal' | 'rules'>): string | undefined {
  if (by.kind !== 'human') return 'Only a person can do this.';
  const own = whyNotFor(by, call.principal);
  if (own !== undefined) return own;
  if (call.rules.some(({ approvers }) => isIn(by, approvers))) return undefined;
  return 'You are in none of the groups that approve this call.';
}

/** By issuer and subject, or by any address: of two issuers one person has two subjects, and one address. */
export function isSamePerson(one: NamedPerson, other: NamedPerson): boolean {
  if (one.issuer === other.issuer && one.subject === other.subject) return true;
  const names = namesOf(one);
  return namesOf(other).some((name) => names.includes(name));
}

type NamedPerson = Pick<Person, 'issuer' | 'subject' | 'email'>;

/** Mail addresses, for comparing; some issuers have them as subject. */
function namesOf({ subject, email }: NamedPerson): string[] {
  return [email, subject].filter((name) => name?.includes('@') === true).map((name) => String(name).toLowerCase());
}

export function isIn(person: Person, groups: readonly string[]): boolean {
  return groups.some((group) => person.groups.includes(group));
}

/** For audit objects and pages. */
export function nameOf({ email, subject }: Pick<Person, 'email' | 'subject'>): string {
  return email ?? subject;
}

/** What is kept of a person: nothing that a principal holds besides. */
export function personOf({ kind, issuer, subject, email, groups, owner, onBehalfOf }: Person): Person {
  return {
    kind,
    issuer,
    subject,
    ...(email === undefined ? {} : { email }),
    groups: [...groups],
    ...(owner === undefined ? {} : { owner }),
    ...(onBehalfOf === undefined ? {} : { onBehalfOf }),
  };
}
