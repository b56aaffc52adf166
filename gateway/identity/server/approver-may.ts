/**
 * What a person gets to see of approvals and access, and which buttons. Who really may decide is said where it is decided
 * (gateway/sessions): a button too many does nothing.
 */
import type { Config } from '../../config.ts';
import type { AccessConfig } from '../../config-access.ts';
import type { ApprovalRequest, Person } from '../../sessions/approval.ts';
import { isIn, isSamePerson, whyNotFor } from '../../sessions/decider.ts';
import type { AccessRequest, Window } from '../../sessions/window.ts';

type Windowed = Exclude<AccessConfig, 'standing'>;

/**
 * Nobody decides on their own call, nor on that of an agent of theirs: they see how it stands. Whoever it is none of the
 * business of sees what is there for an id that is none.
 */
export function viewOf(person: Person, { call }: ApprovalRequest): 'requester' | 'approver' | 'stranger' {
  if (whyNotFor(person, call.principal) !== undefined) return 'requester';
  return call.rules.some(({ approvers }) => isIn(person, approvers)) ? 'approver' : 'stranger';
}

export function windowsOf({ connections }: Config, name: string): Windowed | undefined {
  const access = connections[name]?.access;
  return access === undefined || access === 'standing' ? undefined : access;
}

/** How a person may get in on their own initiative: longest times in milliseconds. */
export function waysIn(
  config: Config,
  person: Person,
  name: string,
): { readonly justInTime?: number; readonly breakGlass?: number } {
  const windows = windowsOf(config, name);
  const { justInTime, breakGlass } = windows ?? {};
  const mayAsk = justInTime !== undefined && isIn(person, config.connections[name]?.groups ?? []);
  const mayBreak = breakGlass !== undefined && isIn(person, breakGlass.groups);
  return {
    ...(mayAsk ? { justInTime: justInTime.longest } : {}),
    ...(mayBreak ? { breakGlass: breakGlass.longest } : {}),
  };
}

export function mayDecideRequest(config: Config, person: Person, request: AccessRequest): boolean {
  const approvers = windowsOf(config, request.connection)?.justInTime?.approvers ?? [];
  return request.state === 'pending' && whyNotFor(person, request.person) === undefined && isIn(person, approvers);
}

export function mayRevoke(config: Config, person: Person, window: Window): boolean {
  const { justInTime, breakGlass } = windowsOf(config, window.connection) ?? {};
  const groups = [...(justInTime?.approvers ?? []), ...(breakGlass?.reviewers ?? [])];
  return window.state === 'open' && (isOwn(person, window) || isIn(person, groups));
}

export function mayReview(config: Config, person: Person, window: Window): boolean {
  const reviewers = windowsOf(config, window.connection)?.breakGlass?.reviewers ?? [];
  return window.review === 'due' && !isSamePerson(person, window) && isIn(person, reviewers);
}

/** Theirs, or of a connection of which they decide. */
export function maySeeAccess(
  config: Config,
  person: Person,
  what: { readonly issuer: string; readonly subject: string; readonly connection: string },
): boolean {
  const { justInTime, breakGlass } = windowsOf(config, what.connection) ?? {};
  return isOwn(person, what) || isIn(person, [...(justInTime?.approvers ?? []), ...(breakGlass?.reviewers ?? [])]);
}

export function isOwn(
  person: Person,
  { issuer, subject }: { readonly issuer: string; readonly subject: string },
): boolean {
  return person.issuer === issuer && person.subject === subject;
}
