/**
 * The state objects of access windows, all signed and only ever created:
 *
 *     access-requests/<id>/asked.json     who wants in, where, why and how long
 *     access-requests/<id>/decided.json   the one decision: of two who decide at once the first
 *     windows/<id>.json                   a window (gateway/sessions/standing.ts)
 *     windows/<id>.lifted.json            its revocation; not signed, as it only takes away
 *     window-reviews/<id>.json            the review of break glass
 *     access-requests-waiting/…           gateway/sessions/waiting.ts
 */
import { keepNewest } from '../keep-newest.ts';
import type { Store } from '../store/store.ts';
import type { Person } from './approval.ts';
import type { Signing } from './signed.ts';
import {
  isNoStore,
  liftedStandingName,
  readStandingName,
  type Standing,
  type StandingKind,
  standingName,
} from './standing.ts';
import type { AccessRequest, Window } from './window.ts';

export interface AskedAccess {
  readonly v: 1;
  readonly id: string;
  readonly code: string;
  readonly person: Person;
  readonly connection: string;
  readonly reason: string;
  /** Milliseconds. */
  readonly duration: number;
  readonly at: number;
  readonly expires: number;
}

export interface DecidedAccess {
  readonly v: 1;
  readonly verdict: 'approve' | 'deny';
  readonly by: Person;
  readonly authenticated: number;
  readonly at: number;
  readonly reason?: string;
  /** The id that its window has, once approved. */
  readonly window?: string;
}

/** A window as it is stored. */
export interface StoredWindow extends Standing, Omit<Window, 'state' | 'review' | 'expires'> {
  readonly v: 1;
  /** Whether a person has it, or an agent. */
  readonly holder: Person['kind'];
  readonly expires: number;
}

export interface WindowReview {
  readonly by: string;
  readonly at: number;
  readonly words: string;
}

export const WINDOWS = 'windows/';
const ID = /^[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[0-9a-f]{4}-[0-9a-f]{12}$/;
/** What never changes is read once. */
const MOST_KEPT = 5000;

export const askedAccessName = (id: string): string => `access-requests/${id}/asked.json`;
export const decidedAccessName = (id: string): string => `access-requests/${id}/decided.json`;
export const windowName = (id: string): string => standingName(WINDOWS, id);
export const reviewName = (id: string): string => `window-reviews/${id}.json`;

/** What is not ours was never open: nobody gets in by it, and it stops nobody else. */
export function windowKind(signing: Signing): StandingKind<StoredWindow> {
  return {
    prefix: WINDOWS,
    read: (id, bytes) => signing.open<StoredWindow>(windowName(id), bytes) ?? neverOpen(id),
  };
}

function neverOpen(id: string): StoredWindow {
  const nobody = { issuer: '', subject: '', connection: '', reason: '' };
  return { v: 1, id, kind: 'justInTime', holder: 'human', ...nobody, from: 0, expires: 0 };
}

/** `decided`: undefined where nobody has, `unreadable` where something is there that no key here has signed. */
export function accessState(
  asked: AskedAccess,
  decided: DecidedAccess | 'unreadable' | undefined,
  now: number,
): AccessRequest['state'] {
  if (decided === undefined) return now < asked.expires ? 'pending' : 'void';
  if (decided === 'unreadable' || decided.at >= asked.expires) return 'void';
  return decided.verdict === 'approve' ? 'approved' : 'denied';
}

export function createWindowObjects({ state, signing }: { state: Store; signing: Signing }) {
  const kept = new Map<string, unknown>();

  async function open<T>(name: string): Promise<T | 'unreadable' | undefined> {
    const there = kept.get(name);
    if (there !== undefined) return there as T;
    const bytes = await state.get(name);
    if (bytes === undefined) return undefined;
    const found = signing.open<T>(name, bytes);
    if (found === undefined) return 'unreadable';
    keepNewest(kept, name, found, MOST_KEPT);
    return found;
  }

  async function ours<T>(name: string): Promise<T | undefined> {
    const found = await open<T>(name);
    return found === 'unreadable' ? undefined : found;
  }

  return {
    asked: async (id: string) => (ID.test(id) ? ours<AskedAccess>(askedAccessName(id)) : undefined),
    decided: (id: string) => open<DecidedAccess>(decidedAccessName(id)),
    window: async (id: string) => (ID.test(id) ? ours<StoredWindow>(windowName(id)) : undefined),
    isRevoked: async (id: string) => (await state.get(liftedStandingName(WINDOWS, id))) !== undefined,
    /** Nobody's where it is not signed: a review that was slipped in is none. */
    review: (id: string) => ours<WindowReview>(reviewName(id)),
    /** Ids of windows, open or not, the newest first. */
    async ids(): Promise<string[]> {
      const found: string[] = [];
      try {
        for await (const name of state.list(WINDOWS)) {
          const named = readStandingName(WINDOWS, name);
          if (named?.lifted === false) found.push(named.id);
        }
      } catch (error) {
        if (!isNoStore(error)) throw error;
      }
      return found.reverse();
    },
    create: (name: string, facts: object) => state.create(name, signing.sign(name, facts)),
  };
}

export type WindowObjects = ReturnType<typeof createWindowObjects>;
