/** What a configuration says of policy: how a connection is entered, what its data is, and who is told of approvals. */
import { z } from 'zod';
import { duration, host, oneOf, parseSafeUrl, reference, rule, section, text } from './config-values.ts';

const HOUR = 3_600_000;

const group = text(/^[^\p{Cc}]{1,512}$/u, 'is not the name of a group', 'Write it as `groups` of connections do.');

/**
 * How one of a connection's groups gets in. `justInTime`: a request with a reason, approved by one of `approvers`, opens an
 * access window. `breakGlass`: members of `groups` open one themselves; it alerts, and one of `reviewers` has to review it.
 */
const windows = section({
  justInTime: section({ approvers: z.array(group).min(1), longest: duration().default(4 * HOUR) }).optional(),
  breakGlass: section({
    groups: z.array(group).min(1),
    reviewers: z.array(group).min(1),
    longest: duration().default(HOUR),
  }).optional(),
}).superRefine(({ justInTime, breakGlass }, context) => {
  if (justInTime !== undefined || breakGlass !== undefined) return;
  const fix = 'Write justInTime, breakGlass or both, or access: standing.';
  context.addIssue({ code: 'custom', message: 'does not say how to get in', params: { fix } });
});

/** `standing`: whoever is in the connection's `groups`, always. */
export const access = z
  .unknown()
  .transform((value, context): z.output<typeof windows> | 'standing' => {
    if (value === 'standing') return value;
    const parsed = windows.safeParse(value);
    if (parsed.success) return parsed.data;
    for (const issue of parsed.error.issues) context.addIssue(issue as Parameters<typeof context.addIssue>[0]);
    return z.NEVER;
  })
  .default('standing');

export type AccessConfig = z.output<typeof access>;

export const dialect = oneOf('postgresql', 'mysql', 'bigquery', 'sqlite');
export const dataClass = oneOf('ordinary', 'personal', 'pci');
export const changedTools = oneOf('flag', 'refuse');

export const elicitationHost = text(
  host,
  'is not a host name',
  'Write a lower-case host name without port, for example pay.example.com.',
);

export const EVENTS = [
  'approval.requested',
  'approval.decided',
  'access.requested',
  'access.decided',
  'access.revoked',
  'access.reviewed',
  'breakGlass.opened',
] as const;

export const webhook = section({
  url: rule(
    (value) => (parseSafeUrl(value) === undefined ? undefined : String(value)),
    'is not an https address',
    'Write the address that the receiver gave you.',
  ).optional(),
  /** A reference: addresses of chat rooms hold their secret. */
  urlFrom: reference.optional(),
  /** At least 32 bytes; signs each delivery (Standard Webhooks). */
  secret: reference.optional(),
  format: oneOf('json', 'googleChat', 'slack').default('json'),
  events: z
    .array(oneOf(...EVENTS))
    .min(1)
    .default([...EVENTS]),
}).superRefine(({ url, urlFrom, format, secret }, context) => {
  const add = (path: string, message: string, fix: string) =>
    context.addIssue({ code: 'custom', message, path: [path], params: { fix } });
  if ((url === undefined) === (urlFrom === undefined)) {
    add('url', 'is not the one address', 'Write url, or urlFrom with a reference where the address is a secret.');
  }
  if (format === 'json' && secret === undefined) {
    add('secret', 'is missing', 'Write a reference to at least 32 random bytes, with which deliveries are signed.');
  }
});

export type WebhookConfig = z.output<typeof webhook>;
