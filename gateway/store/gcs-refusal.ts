/** What Google's refusals mean, in words for who reads them: what happened, to which bucket, what to do. */
import type { Answer } from './gcs-client.ts';
import { StoreError } from './store-error.ts';

export type Doing = 'create' | 'get' | 'list';

/** What a role must allow, and the smallest one that does. */
const NEEDS: Record<Doing, { permission: string; role: string; verb: string }> = {
  create: { permission: 'storage.objects.create', role: 'roles/storage.objectCreator', verb: 'create objects' },
  get: { permission: 'storage.objects.get', role: 'roles/storage.objectViewer', verb: 'read objects' },
  list: { permission: 'storage.objects.list', role: 'roles/storage.objectViewer', verb: 'list objects' },
};

/** Statuses after which the next attempt may go better. 409: another change of the same object was under way. */
const AGAIN = new Set([408, 409, 429, 500, 502, 503, 504]);
export const mayGoBetter = ({ status }: Answer<unknown>): boolean => AGAIN.has(status);

/** What Google says of it; goes into decisions and never into words. */
export function saidIn({ content }: Pick<Answer<unknown>, 'content'>): { message: string; reasons: readonly string[] } {
  const parsed = Buffer.isBuffer(content) || typeof content === 'string' ? parse(String(content)) : content;
  if (typeof parsed === 'string') return { message: parsed, reasons: [] };
  const error = field(parsed, 'error');
  const message = field(error, 'message');
  const reasons = [...list(field(error, 'errors')), ...list(field(error, 'details'))].map((one) =>
    field(one, 'reason'),
  );
  return {
    message: typeof message === 'string' ? message : '',
    reasons: reasons.filter((reason) => typeof reason === 'string'),
  };
}

function parse(text: string): unknown {
  try {
    return JSON.parse(text) as unknown;
  } catch {
    return text;
  }
}

function field(value: unknown, name: string): unknown {
  return typeof value === 'object' && value !== null && Object.hasOwn(value, name)
    ? (value as Record<string, unknown>)[name]
    : undefined;
}

const list = (value: unknown): unknown[] => (Array.isArray(value) ? (value as unknown[]) : []);

export const saysNoBucket = (answer: Pick<Answer<unknown>, 'content'>): boolean =>
  /bucket does not exist/i.test(saidIn(answer).message);

/** The error of a refusal that is no answer to what was asked. */
export function refusal(bucket: string, doing: Doing, answer: Answer<unknown>): StoreError {
  const { status } = answer;
  if (status === 401) {
    return new StoreError(
      'no_credentials',
      `Google does not accept the credentials that gs://${bucket} was asked with (HTTP 401). Run gcloud auth application-default login again, or attach a service account to the machine.`,
    );
  }
  if (status === 403) return forbidden(bucket, doing, answer);
  if (status === 404) return noBucket(bucket);
  if (status === 429) {
    return new StoreError('unavailable', `gs://${bucket} asks to slow down (HTTP 429). It is tried again later.`);
  }
  if (AGAIN.has(status)) {
    return new StoreError('unavailable', `Google Cloud Storage did not serve gs://${bucket} (HTTP ${status}).`);
  }
  if (status === 400 && saidIn(answer).reasons.includes('required') && /requester pays/i.test(saidIn(answer).message)) {
    return new StoreError('permission_denied', `gs://${bucket} lets its readers pay; Verbatim does not.`);
  }
  return new StoreError('io', `gs://${bucket} refused to ${NEEDS[doing].verb} (HTTP ${status}).`);
}

function noBucket(bucket: string): StoreError {
  return new StoreError(
    'no_bucket',
    `There is no bucket gs://${bucket}, or these credentials may not know of it. Look at its name, and at the project that it is in.`,
  );
}

function forbidden(bucket: string, doing: Doing, answer: Answer<unknown>): StoreError {
  const { message, reasons } = saidIn(answer);
  // A project is involved only where the credentials name one to be billed (the "quota project").
  if (reasons.includes('USER_PROJECT_DENIED') || /serviceusage\.services\.use/.test(message)) {
    return new StoreError(
      'permission_denied',
      `The credentials for gs://${bucket} name a project for quota which they may not use. Run gcloud auth application-default set-quota-project PROJECT with one of yours.`,
    );
  }
  if (reasons.some((reason) => ['SERVICE_DISABLED', 'accessNotConfigured'].includes(reason))) {
    return new StoreError(
      'permission_denied',
      `Cloud Storage is switched off in the project that the credentials for gs://${bucket} name. Enable storage.googleapis.com there, or name another project: gcloud auth application-default set-quota-project PROJECT.`,
    );
  }
  if (reasons.some((reason) => /^(accountDisabled|userProjectAccountProblem|BILLING_DISABLED)$/i.test(reason))) {
    return new StoreError('permission_denied', `The project of gs://${bucket} has no billing account that pays.`);
  }
  const { permission, role, verb } = NEEDS[doing];
  // Who was refused is what one has to know to repair it: `ana@example.com does not have storage.objects.get access`.
  const who = /^([\w.+-]{1,64}@[\w.-]{1,190}) does not have /.exec(message)?.[1] ?? 'The identity in use';
  return new StoreError(
    'permission_denied',
    `${who} may not ${verb} in gs://${bucket}: ${permission} is missing. Grant it ${role} on the bucket.`,
  );
}
