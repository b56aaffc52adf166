/** Approvals, access windows and the webhooks that tell of them, composed over the state that all replicas share. */
import { createGoogleApi } from './google-api.ts';
import { createGoogleSecrets } from './google-secret.ts';
import type { Log } from './log.ts';
import type { InForce } from './proxy/runtime.ts';
import { readReferenced } from './secret-ref.ts';
import type { Approvals } from './sessions/approval.ts';
import { createApprovals } from './sessions/approvals.ts';
import { createOutbox } from './sessions/outbox.ts';
import { createWebhooks, type Webhooks } from './sessions/webhooks.ts';
import type { Windows } from './sessions/window.ts';
import { createWindows } from './sessions/windows.ts';
import type { Store } from './store/store.ts';
import { createWebhookPost, type WebhookPost } from './webhook-post.ts';

export interface Approving {
  readonly approvals: Approvals;
  readonly windows: Windows;
  readonly webhooks: Webhooks;
}

export function openApproving(deps: {
  readonly state: Store;
  readonly audit: Store;
  /** Milliseconds since the epoch. */
  readonly now: () => number;
  readonly log: Log;
  readonly inForce: () => InForce;
  /** Keys of 32 bytes for a purpose, the same on every replica that shares its secrets; the first signs. */
  readonly keys: (purpose: string) => readonly Buffer[];
  /** A test's own where given. */
  readonly post?: WebhookPost;
}): Approving {
  const { state, audit, now, log, inForce, keys } = deps;
  const outboxKeys = () => keys('outbox');
  const outbox = createOutbox({
    state,
    now,
    keys: outboxKeys,
    webhooks: () => inForce().config.webhooks,
  });
  const approvals = createApprovals({ state, audit, now, outbox, keys: () => keys('approvals') });
  const windows = createWindows({
    state,
    audit,
    now,
    outbox,
    log,
    keys: () => keys('windows'),
    access: (connection) => inForce().config.connections[connection]?.access,
  });
  const webhooks = createWebhooks({
    state,
    audit,
    now,
    log,
    keys: outboxKeys,
    webhooks: () => inForce().config.webhooks,
    readSecret: (reference) =>
      readReferenced(reference, { secrets: createGoogleSecrets(createGoogleApi({ google: inForce().config.google })) }),
    post: deps.post ?? createWebhookPost(),
    link: ({ kind, id }) => inForce().urls[PAGES[kind]](id),
  });
  return { approvals, windows, webhooks };
}

const PAGES = { approval: 'approval', access: 'accessRequest', window: 'accessWindow' } as const;
