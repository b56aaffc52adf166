/**
 * Sends what the outbox holds, at least once. Every replica looks every 2 s and sends what has no mark; a lease by minute
 * keeps them from sending the same at once, and each waits longer after each failure.
 */
import type { WebhookConfig } from '../config-access.ts';
import { listOutbox, type OutboxEntry, readOutbox } from './outbox.ts';
import { createSigning } from './signed.ts';
import { createDelivery, type DeliveryDeps } from './webhook-delivery.ts';

export interface WebhooksDeps extends DeliveryDeps {
  /** Those of the outbox. */
  readonly keys: () => readonly Buffer[];
  /** Those of the configuration in force, by name. */
  readonly webhooks: () => Readonly<Record<string, WebhookConfig>>;
  /** From 0 to below 1. */
  readonly random?: () => number;
}

export interface Webhooks {
  /** Looks for what is to be sent, and begins to send it; called every 2 s. */
  poll(): Promise<void>;
  /** Resolves when nothing is being sent. */
  idle(): Promise<void>;
}

/** Milliseconds. What is older was given up by a replica that ran, or never could be. */
const LOOKS_BACK = 48 * 3_600_000;
/** Milliseconds by which an entry's id may be older than the time at which it can be listed: clocks differ, writes last. */
const SKEW = 300_000;
/** Milliseconds within which a fact follows its entry; later it never happened. */
const FACT_WITHIN = 600_000;
const FIRST_WAIT = 2000;
const LONGEST_WAIT = 3_600_000;
/** Entries that are read, and that one webhook is sent, in one go. */
const MOST_READ = 500;
const MOST_SENT = 50;

interface Open {
  readonly entry: OutboxEntry;
  happened: boolean;
  /** By name of webhook; absent before its first attempt. */
  readonly tries: Map<string, { count: number; due: number; over: boolean }>;
}

export function createWebhooks(deps: WebhooksDeps): Webhooks {
  const { state, now, random = Math.random } = deps;
  const signing = createSigning(deps.keys);
  const deliver = createDelivery(deps);
  /** By id, ascending: what is not over. */
  const open = new Map<string, Open>();
  let over = new Set<string>();
  let since = now() - LOOKS_BACK;
  const busy = new Map<string, Promise<void>>();

  async function look(): Promise<void> {
    const listed = new Set<string>();
    let unread = 0;
    const next = now() - SKEW;
    for await (const id of listOutbox(state, since)) {
      listed.add(id);
      if (open.has(id) || over.has(id)) continue;
      if (++unread > MOST_READ) continue;
      const entry = await readOutbox(state, signing, id);
      if (entry === undefined) over.add(id);
      else open.set(id, { entry, happened: false, tries: new Map() });
    }
    over = new Set([...over].filter((id) => listed.has(id)));
    // Nothing older is looked at again, so only after everything was read.
    if (unread <= MOST_READ) since = Math.max(since, next);
  }

  /** Whether the fact is there, without which there is nothing to tell. */
  async function hasHappened(one: Open): Promise<boolean> {
    if (one.happened) return true;
    one.happened = (await state.get(one.entry.fact)) !== undefined;
    if (!one.happened && now() - one.entry.at > FACT_WITHIN) finish(one);
    return one.happened;
  }

  function finish({ entry }: Open): void {
    open.delete(entry.id);
    over.add(entry.id);
  }

  function tryOf(one: Open, name: string) {
    const there = one.tries.get(name) ?? { count: 0, due: 0, over: false };
    one.tries.set(name, there);
    return there;
  }

  async function sendAll(name: string, webhook: WebhookConfig, all: readonly Open[]): Promise<void> {
    for (const one of all) {
      const attempt = tryOf(one, name);
      // A store that fails is as a receiver that does: later again.
      const outcome = await deliver(name, webhook, one.entry).catch(() => 'failed' as const);
      if (outcome === 'sent') attempt.over = true;
      else attempt.due = now() + (outcome === 'taken' ? FIRST_WAIT : waitAfter(attempt.count++));
    }
  }

  /** Milliseconds; half of it is chance, so that replicas and events do not all come at once. */
  function waitAfter(failures: number): number {
    return Math.min(FIRST_WAIT * 2 ** Math.min(failures, 20), LONGEST_WAIT) * (0.5 + random() / 2);
  }

  async function dueFor(name: string): Promise<Open[]> {
    const due: Open[] = [];
    // The newest first: an emergency does not wait behind what is old and new to this process alone.
    for (const one of [...open.values()].reverse()) {
      if (due.length >= MOST_SENT) break;
      if (!one.entry.to.includes(name)) continue;
      const { due: at, over: isOver } = tryOf(one, name);
      if (!isOver && at <= now() && (await hasHappened(one))) due.push(one);
    }
    return due;
  }

  return {
    async poll() {
      await look();
      const webhooks = deps.webhooks();
      for (const [name, webhook] of Object.entries(webhooks)) {
        // One that is slow or down holds up itself alone.
        if (busy.has(name)) continue;
        const due = await dueFor(name);
        if (due.length === 0) continue;
        busy.set(
          name,
          sendAll(name, webhook, due).finally(() => busy.delete(name)),
        );
      }
      for (const one of [...open.values()]) {
        const { to } = one.entry;
        // One that is no longer configured is told nothing.
        if (to.every((name) => !Object.hasOwn(webhooks, name) || one.tries.get(name)?.over === true)) finish(one);
      }
    },
    async idle() {
      await Promise.all(busy.values());
    },
  };
}
