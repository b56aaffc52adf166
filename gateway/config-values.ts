import { z } from 'zod';
import { parseDuration, parseSize } from './config-units.ts';
import { classifyHost } from './proxy/address.ts';
import { isBucketName } from './store/bucket-name.ts';

/**
 * The kinds of values in a configuration. A custom issue carries `params.fix`; an object's unknown-key issue carries
 * the keys that it knows as its message.
 */

const DAY = 86_400_000;
const MiB = 1024 ** 2;
const DURATION_FIX = 'Write a whole number with its unit, for example 500ms, 1s, 10m, 8h or 1d; 24d is the most.';
const SIZE_FIX = 'Write a whole number with its unit, for example 64KiB, 16MiB or 1GiB (the most), or plain bytes.';
const REFERENCE_FIX =
  'Write file:/run/secrets/NAME, env:NAME or gcp-secret:projects/PROJECT/secrets/NAME/versions/latest; a secret itself never stands in the configuration.';

/** A value that `accept` parses, or says `undefined` to; the words never hold the value: it could be a secret. */
export function rule<T>(accept: (value: unknown) => T | undefined, problem: string, fix: string) {
  return z.unknown().transform((value, context): T => {
    const accepted = accept(value);
    if (accepted !== undefined) return accepted;
    context.addIssue({ code: 'custom', message: value === undefined ? 'is missing' : problem, params: { fix } });
    return z.NEVER;
  });
}

export function text(pattern: RegExp, problem: string, fix: string) {
  return rule((value) => (typeof value === 'string' && pattern.test(value) ? value : undefined), problem, fix);
}

export function section<S extends z.ZodRawShape>(shape: S) {
  return z.strictObject(shape, {
    error: (issue) => (issue.code === 'unrecognized_keys' ? Object.keys(shape).join(' ') : undefined),
  });
}

// setTimeout takes 2^31 ms, less than 25 days.
export const duration = (least = 1) =>
  rule(
    (value) => {
      const parsed = parseDuration(value);
      return parsed !== undefined && parsed >= least && parsed <= 24 * DAY ? parsed : undefined;
    },
    least > 0 ? 'is not a duration above zero' : 'is not a duration',
    DURATION_FIX,
  );

export const size = rule(
  (value) => {
    const parsed = parseSize(value);
    return parsed !== undefined && parsed >= 1024 && parsed <= 1024 * MiB ? parsed : undefined;
  },
  'is not a size between 1KiB and 1GiB',
  SIZE_FIX,
);

/** Of what is on a disk: the least is what the steps of a small one take. */
export const diskSize = rule(
  (value) => {
    const parsed = parseSize(value);
    return parsed !== undefined && parsed >= 16 * MiB && parsed <= 1024 * 1024 * MiB ? parsed : undefined;
  },
  'is not a size between 16MiB and 1024GiB',
  'Write a whole number with its unit, for example 512MiB or 8GiB; the disk needs about 200 MiB more than that.',
);

export const count = (least: number, most: number) =>
  rule(
    (value) =>
      Number.isSafeInteger(value) && Number(value) >= least && Number(value) <= most ? Number(value) : undefined,
    `is not a whole number from ${least} to ${most}`,
    `Write a number from ${least} to ${most}, without quotes.`,
  );

export function oneOf<const T extends string>(...values: T[]) {
  return rule(
    (value) => values.find((one) => one === value),
    'is not one of the values that are known here',
    `Write ${values.join(' or ')}.`,
  );
}

/** `https:`, or `http:` to this machine: anything else would put tokens on the wire in clear. */
export function parseSafeUrl(value: unknown): URL | undefined {
  const url =
    typeof value === 'string' && /^https?:\/\/[^\s\\@#]+$/.test(value) && URL.canParse(value)
      ? new URL(value)
      : undefined;
  if (url === undefined) return undefined;
  return url.protocol === 'https:' || classifyHost(url.hostname) === 'loopback' ? url : undefined;
}

export function parseOrigin(value: unknown): string | undefined {
  if (typeof value !== 'string' || !/^https?:\/\/[^\s\\@#?/]+\/?$/.test(value) || !URL.canParse(value))
    return undefined;
  return new URL(value).origin;
}

const SAFE_URL_FIX = 'Write an https:// address (http:// only for this machine, for example http://127.0.0.1:4000).';
export const safeUrl = rule(
  (value) => {
    const url = parseSafeUrl(value);
    return url !== undefined && !String(value).includes('?') ? String(value) : undefined;
  },
  'is not an https address without query',
  SAFE_URL_FIX,
);
export const publicUrl = rule(
  (value) => (parseSafeUrl(value) === undefined ? undefined : parseOrigin(value)),
  'is not an https origin without path',
  'Write the one public origin, for example https://mcp.example.com (http:// only for this machine).',
);

export const host = /^(?=.{1,253}$)[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?(\.[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?)*$/;
export const listener = section({
  host: text(
    /^[A-Za-z0-9.:_-]{1,253}$/,
    'is not an address to listen on',
    'Write for example 127.0.0.1, 0.0.0.0 or "::".',
  ),
  port: count(0, 65535),
});

export const store = rule(
  (value) => {
    if (typeof value === 'string' && isBucketName(/^gs:\/\/(.*)$/s.exec(value)?.[1] ?? '')) return value;
    if (typeof value !== 'string' || !/^file:\/\/\/[^?#\\]+$/.test(value) || !URL.canParse(value)) return undefined;
    const url = new URL(value).href.replace(/\/+$/, '');
    return url === 'file:' ? undefined : url;
  },
  'is neither an absolute file:/// address nor a bucket',
  'Write file:/// and an absolute path, for example file:///var/lib/verbatim/store; or gs:// and the name of a bucket alone.',
);

/** `file:PATH`, `env:NAME` or `gcp-secret:RESOURCE`. The problem's words never hold the value: it may be the secret itself. */
export const reference = rule(
  (value) =>
    typeof value === 'string' &&
    /^(file:(?!\/\/)[^\0\r\n]+|env:[A-Za-z_][A-Za-z0-9_]*|gcp-secret:projects\/[a-z0-9.:-]{1,63}\/secrets\/[A-Za-z0-9_-]{1,255}\/versions\/(latest|[1-9][0-9]{0,9}))$/.test(
      value,
    )
      ? value
      : undefined,
  'is not a reference',
  REFERENCE_FIX,
);
