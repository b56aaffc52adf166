/** One attempt to deliver one event to one webhook, by one replica at a time. */
import { auditObject } from '../audit.ts';
import type { WebhookConfig } from '../config-access.ts';
import { GatewayError } from '../errors.ts';
import { hashOfParts } from '../hash-of-parts.ts';
import type { Log } from '../log.ts';
import type { Store } from '../store/store.ts';
import type { OutboxEntry, Told } from './outbox.ts';
import { webhookBody } from './webhook-card.ts';
import { webhookHeaders } from './webhook-signature.ts';

export interface DeliveryDeps {
  readonly state: Store;
  readonly audit: Store;
  /** Milliseconds since the epoch. */
  readonly now: () => number;
  /** The value that a reference names, read at each use. */
  readonly readSecret: (reference: string) => Promise<string>;
  /** Sends; never follows a redirect. Its errors hold no address. */
  readonly post: (url: string, headers: Record<string, string>, body: string) => Promise<{ readonly status: number }>;
  /** The page of what an event is about. */
  readonly link: (about: Told['about']) => string;
  readonly log: Pick<Log, 'warn' | 'error'>;
}

/** `sent`: over, delivered or given up. `taken`: another replica tries in this minute. */
type Attempt = 'sent' | 'failed' | 'taken';

/** Milliseconds after which it is given up. */
const GIVEN_UP_AFTER = 24 * 3_600_000;

export function createDelivery(deps: DeliveryDeps) {
  const { state, audit, now, readSecret, post, link, log } = deps;
  /** The minute of each lease that is this replica's, so that it may try again within it. */
  const leases = new Map<string, string>();

  async function send(webhook: WebhookConfig, entry: OutboxEntry): Promise<number> {
    const url = webhook.url ?? (await readSecret(String(webhook.urlFrom)));
    const secret = webhook.secret === undefined ? undefined : await readSecret(webhook.secret);
    const body = webhookBody(webhook.format, entry, link(entry.told.about));
    return (await post(url, webhookHeaders(entry.id, now(), body, secret), body)).status;
  }

  async function isTaken(entry: OutboxEntry, name: string): Promise<boolean> {
    const minute = new Date(now()).toISOString().slice(0, 16).replace(':', '-');
    const pair = `${entry.id}/${keyOf(name)}`;
    if (leases.get(pair) === minute) return false;
    if ((await state.create(`outbox-leases/${pair}/${minute}`, Buffer.from('{}\n'))) === 'exists') return true;
    leases.set(pair, minute);
    return false;
  }

  async function mark(entry: OutboxEntry, name: string, outcome: 'sent' | 'given_up'): Promise<void> {
    const bytes = Buffer.from(`${JSON.stringify({ v: 1, webhook: name, outcome, at: now() })}\n`);
    await state.create(sentName(entry.id, name), bytes);
    leases.delete(`${entry.id}/${keyOf(name)}`);
  }

  async function giveUp(entry: OutboxEntry, name: string): Promise<void> {
    const { event, about } = entry.told;
    const details = { webhook: name, event, id: entry.id, about: about.id };
    const object = auditObject(now() * 1000, { kind: 'webhook.given_up', actor: 'gateway', details });
    await audit.create(object.name, object.bytes);
    await mark(entry, name, 'given_up');
    log.error(
      { event: 'webhook_given_up', webhook: name, about: about.id },
      `webhook ${name} was not reached within 24 h`,
    );
  }

  return async (name: string, webhook: WebhookConfig, entry: OutboxEntry): Promise<Attempt> => {
    if ((await state.get(sentName(entry.id, name))) !== undefined) {
      leases.delete(`${entry.id}/${keyOf(name)}`);
      return 'sent';
    }
    if (await isTaken(entry, name)) return 'taken';
    if (now() - entry.at >= GIVEN_UP_AFTER) {
      await giveUp(entry, name);
      return 'sent';
    }
    let status: number;
    try {
      status = await send(webhook, entry);
    } catch (error) {
      // Words of others may hold the address, which is the secret of chat rooms: our own codes alone are logged.
      const reason = error instanceof GatewayError ? error.code : 'failed';
      log.warn({ event: 'webhook_failed', webhook: name, reason }, `webhook ${name} failed`);
      return 'failed';
    }
    if (status < 200 || status > 299) {
      log.warn({ event: 'webhook_failed', webhook: name, status }, `webhook ${name} failed`);
      return 'failed';
    }
    // Crash before this: it is sent again, under the same id.
    await mark(entry, name, 'sent');
    return 'sent';
  };
}

/** Names of webhooks are any text; names of objects are not. */
function keyOf(name: string): string {
  return hashOfParts([name]).slice(0, 32);
}

function sentName(id: string, name: string): string {
  return `sent/${id}/${keyOf(name)}.json`;
}
