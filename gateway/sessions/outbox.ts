/**
 * What is to be told by webhook. An entry is stored before its fact and names the fact's object: it is sent once that is
 * there, so that a crash in between tells of nothing that did not happen and forgets nothing that did.
 */
import type { EVENTS, WebhookConfig } from '../config-access.ts';
import { idAt } from '../ids.ts';
import type { Store } from '../store/store.ts';
import type { Person } from './approval.ts';
import { createSigning, type Signing } from './signed.ts';
import { isNoStore } from './standing.ts';

export type EventName = (typeof EVENTS)[number];

/** What receivers are told. Never arguments, never a reason: receivers are chat rooms. */
export interface Told {
  readonly event: EventName;
  readonly about: { readonly kind: 'approval' | 'access' | 'window'; readonly id: string };
  readonly code: string;
  readonly connection: string;
  readonly principal: Pick<Person, 'kind' | 'issuer' | 'subject' | 'email' | 'onBehalfOf'>;
  readonly method?: string;
  /** Name of the tool, prompt or resource. */
  readonly tool?: string;
  readonly hash?: string;
  /** Milliseconds since the epoch. */
  readonly expires?: number;
  readonly verdict?: 'approve' | 'deny';
  /** Who decided, revoked or reviewed. */
  readonly by?: string;
}

export interface OutboxEntry {
  readonly v: 1;
  /** UUIDv7: the event's stable id, the same in every delivery. */
  readonly id: string;
  readonly at: number;
  /** Name of the state object without which it did not happen. */
  readonly fact: string;
  /** Names of webhooks. */
  readonly to: readonly string[];
  readonly told: Told;
}

export interface Outbox {
  /** Resolves when it is stored, before the fact may be. Again for the same id: nothing more. */
  put(id: string, fact: string, told: Told): Promise<void>;
}

const OUTBOX = 'outbox/';

export function outboxName(id: string): string {
  return `${OUTBOX}${id}.json`;
}

export function createOutbox(deps: {
  readonly state: Store;
  readonly now: () => number;
  readonly keys: () => readonly Buffer[];
  /** Those of the configuration in force, by name. */
  readonly webhooks: () => Readonly<Record<string, WebhookConfig>>;
}): Outbox {
  const signing = createSigning(deps.keys);
  return {
    async put(id, fact, told) {
      const all = Object.entries(deps.webhooks());
      const to = all.filter(([, { events }]) => events.includes(told.event)).map(([name]) => name);
      if (to.length === 0) return;
      const entry: OutboxEntry = { v: 1, id, at: deps.now(), fact, to, told };
      await deps.state.create(outboxName(id), signing.sign(outboxName(id), entry));
    },
  };
}

/** Ids of entries that are at least that new, ascending. `since`: milliseconds since the epoch. */
export async function* listOutbox(state: Store, since: number): AsyncIterable<string> {
  try {
    for await (const name of state.list(OUTBOX, { startAfter: OUTBOX + idAt(since) })) {
      yield name.slice(OUTBOX.length, -'.json'.length);
    }
  } catch (error) {
    if (!isNoStore(error)) throw error;
  }
}

/** undefined where nobody here has signed it. */
export async function readOutbox(state: Store, signing: Signing, id: string): Promise<OutboxEntry | undefined> {
  const bytes = await state.get(outboxName(id));
  return bytes === undefined ? undefined : signing.open<OutboxEntry>(outboxName(id), bytes);
}
