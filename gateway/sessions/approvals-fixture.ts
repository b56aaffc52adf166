/** For tests: people, calls, and replicas that share a store. */
import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import type { WebhookConfig } from '../config-access.ts';
import { GatewayError } from '../errors.ts';
import { createMemoryStore } from '../store/memory.ts';
import type { Store } from '../store/store.ts';
import type { BoundCall, Person } from './approval.ts';
import { createApprovals } from './approvals.ts';
import { createOutbox } from './outbox.ts';
import { createWindows } from './windows.ts';

export const START = Date.parse('2026-11-22T18:00:00Z');
export const MINUTE = 60_000;
export const keyOf = (name: string): Buffer => createHash('sha256').update(name).digest();

export const person = (subject: string, groups: string[] = [], changes: Partial<Person> = {}): Person => ({
  kind: 'human',
  issuer: 'https://idp.example.com',
  subject,
  email: `${subject}@example.com`,
  groups,
  ...changes,
});

export const ANA = person('ana', ['analysts']);
export const LEAD = person('lead', ['leads']);
export const ROBOT: Person = {
  kind: 'agent',
  issuer: 'https://ci.example.com',
  subject: 'robot-7',
  groups: ['robots'],
  owner: 'platform',
  onBehalfOf: 'ana@example.com',
};

export const rule = (name: string, approvers: string[]) => ({
  rule: name,
  approvers,
  pending: 10 * MINUTE,
  usable: 5 * MINUTE,
});

export const callOf = (changes: Partial<BoundCall> = {}): BoundCall => ({
  principal: ANA,
  client: 'claude',
  session: '01980000-0000-7000-8000-000000000001',
  connection: 'orders',
  title: 'Orders',
  origin: 'https://orders.internal',
  method: 'tools/call',
  name: 'refund',
  params: { name: 'refund', arguments: { order: 7, amount: 12.5 } },
  tool: 'a'.repeat(64),
  policy: 'b'.repeat(64),
  rules: [rule('refunds', ['leads'])],
  exchange: '01980000-0000-7000-8000-0000000000aa',
  ...changes,
});

export const CHAT: WebhookConfig = {
  urlFrom: 'env:CHAT',
  format: 'googleChat',
  events: ['approval.requested', 'approval.decided', 'access.requested', 'breakGlass.opened'],
};

const ACCESS = {
  justInTime: { approvers: ['leads'], longest: 240 * MINUTE },
  breakGlass: { groups: ['oncall'], reviewers: ['security'], longest: 60 * MINUTE },
};

export function world(state: Store = createMemoryStore(), audit: Store = createMemoryStore()) {
  const clock = { now: START };
  const now = (): number => clock.now;
  const logged: Record<string, unknown>[] = [];
  const webhooks: Record<string, WebhookConfig> = {};
  const access: Record<string, typeof ACCESS | 'standing'> = { orders: ACCESS, wiki: 'standing' };
  return {
    clock,
    now,
    state,
    audit,
    logged,
    webhooks,
    access,
    /** Seconds since the epoch: a login just now. */
    fresh: () => clock.now / 1000,
    /** Another process on the same stores: a replica, or the next start. */
    replica(keys = [keyOf('first')], stores: { state?: Store; audit?: Store } = {}) {
      const deps = { state, audit, now, keys: () => keys, ...stores };
      const outbox = createOutbox({ ...deps, webhooks: () => webhooks });
      const log = { warn: (facts: Record<string, unknown>) => void logged.push(facts) } as never;
      return {
        approvals: createApprovals({ ...deps, outbox, pause: async () => {} }),
        windows: createWindows({ ...deps, outbox, log, access: (name) => access[name] as never }),
      };
    },
  };
}

export async function namesIn(store: Store, prefix = ''): Promise<string[]> {
  const found: string[] = [];
  for await (const name of store.list(prefix)) found.push(name);
  return found;
}

/** The objects of an audit store: kind, actor and details, oldest first. */
export async function auditIn(store: Store): Promise<Record<string, never>[]> {
  const found: Record<string, never>[] = [];
  for (const name of await namesIn(store))
    found.push(JSON.parse(Buffer.from((await store.get(name)) ?? []).toString()));
  return found;
}

/** Asserts that it is refused by this code, and in these words. */
export async function isRefused(work: Promise<unknown>, words: RegExp, code = 'denied'): Promise<void> {
  await assert.rejects(work, (error: unknown) => {
    assert.ok(error instanceof GatewayError, String(error));
    assert.equal(error.code, code);
    assert.match(error.message, words);
    return true;
  });
}

/** A store whose creates stop at the first name that a test picks, as a process that is killed there. */
export function stoppingAt(store: Store, stops: (name: string) => boolean): Store {
  return {
    ...store,
    async create(name, bytes) {
      if (stops(name)) throw new Error('This process was killed.');
      return store.create(name, bytes);
    },
  };
}
