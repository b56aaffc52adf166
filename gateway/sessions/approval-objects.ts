/**
 * The state objects of approvals, all signed and only ever created:
 *
 *     approvals/<hash>/<number>.json           a request with its whole call; numbers without holes, so one wins
 *     approvals-by-id/<id>/asked.json          the same without params, written last: what is here was announced
 *     approvals-by-id/<id>/approved-<who>.json one person's decision
 *     approvals-by-id/<id>/denied-<who>.json
 *     approvals-by-id/<id>/used.json           the exchange that was made of it
 *     approvals-waiting/…                      gateway/sessions/waiting.ts
 */
import { hashOfParts } from '../hash-of-parts.ts';
import { keepNewest } from '../keep-newest.ts';
import type { Store } from '../store/store.ts';
import type { BoundCall, Person } from './approval.ts';
import type { Signing } from './signed.ts';
import { isNoStore } from './standing.ts';

/** A request without the call's params. */
export interface Asked {
  readonly v: 1;
  readonly id: string;
  readonly code: string;
  /** Of its webhook. */
  readonly event: string;
  readonly hash: string;
  readonly number: number;
  /** Milliseconds since the epoch. */
  readonly at: number;
  readonly expires: number;
  readonly call: Omit<BoundCall, 'params'>;
}

/** A request as it is found by its call. */
export interface Claimed extends Asked {
  readonly call: BoundCall;
}

export interface Decision {
  readonly v: 1;
  readonly verdict: 'approve' | 'deny';
  readonly by: Person;
  /** Seconds since the epoch: the login that decided. */
  readonly authenticated: number;
  /** Milliseconds since the epoch. */
  readonly at: number;
  readonly reason?: string;
}

/** What is stored beside a request. */
export interface Beside {
  readonly announced: boolean;
  readonly decisions: readonly Decision[];
  readonly used: boolean;
  /** Something is there that no key here has signed. */
  readonly unreadable: boolean;
}

const ID = /^[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[0-9a-f]{4}-[0-9a-f]{12}$/;
const DECISION = /^(approved|denied)-[0-9a-f]{64}\.json$/;
/** More than deciders ever are; beyond it somebody floods the store. */
const MOST_BESIDE = 200;
/** Requests never change. Without their params they are small. */
const MOST_KEPT = 5000;

export const claimName = (hash: string, number: number): string =>
  `approvals/${hash}/${String(number).padStart(10, '0')}.json`;
export const askedName = (id: string): string => `approvals-by-id/${id}/asked.json`;
export const usedName = (id: string): string => `approvals-by-id/${id}/used.json`;

export function decisionName(id: string, { verdict, by }: Pick<Decision, 'verdict' | 'by'>): string {
  const what = verdict === 'approve' ? 'approved' : 'denied';
  return `approvals-by-id/${id}/${what}-${hashOfParts([by.issuer, by.subject])}.json`;
}

export function createApprovalObjects({ state, signing }: { state: Store; signing: Signing }) {
  const kept = new Map<string, Asked>();

  async function open<T>(name: string): Promise<T | undefined> {
    const bytes = await state.get(name);
    return bytes === undefined ? undefined : signing.open<T>(name, bytes);
  }

  return {
    /** The number of the last request for a call; 0 where there is none. */
    async lastNumber(hash: string): Promise<number> {
      const folder = `approvals/${hash}/`;
      let last = 0;
      try {
        for await (const name of state.list(folder)) {
          const number = Number(name.slice(folder.length, -'.json'.length));
          if (Number.isSafeInteger(number) && claimName(hash, number) === name) last = Math.max(last, number);
        }
      } catch (error) {
        if (!isNoStore(error)) throw error;
      }
      return last;
    },

    /** undefined where it is not there, or nobody here signed it under this hash. */
    claimed: (hash: string, number: number) => open<Claimed>(claimName(hash, number)),

    async asked(id: string): Promise<Asked | undefined> {
      if (!ID.test(id)) return undefined;
      const there = kept.get(id);
      if (there !== undefined) return there;
      const found = await open<Asked>(askedName(id));
      if (found !== undefined) keepNewest(kept, id, found, MOST_KEPT);
      return found;
    },

    /** Whatever stands beside a request, each verified under its own name. */
    async beside(id: string): Promise<Beside> {
      const folder = `approvals-by-id/${id}/`;
      const names: string[] = [];
      let unreadable = false;
      for await (const name of state.list(folder)) {
        if (names.length >= MOST_BESIDE) unreadable = true;
        else names.push(name.slice(folder.length));
      }
      const read = names.filter((name) => DECISION.test(name)).map((name) => open<Decision>(folder + name));
      const decisions: Decision[] = [];
      for (const found of await Promise.all(read)) {
        if (found === undefined) unreadable = true;
        else decisions.push(found);
      }
      const known = (name: string): boolean => name === 'asked.json' || name === 'used.json' || DECISION.test(name);
      return {
        announced: names.includes('asked.json'),
        decisions,
        used: names.includes('used.json'),
        unreadable: unreadable || !names.every(known),
      };
    },

    create: (name: string, facts: object) => state.create(name, signing.sign(name, facts)),
  };
}
