/**
 * Watches an upstream's answer for what only the gateway and the upstream may know. Servers put the headers that they
 * got into error pages and debug output; this keeps such an answer from the client and from the recording. It stops
 * accidents, not a server that hides what it was told in other words: that server has the credential anyway.
 */
import { GatewayError } from '../errors.ts';

export interface ReflectionGuard {
  /** From now on these header values may not come back. `Bearer` and the like are no part of a secret. */
  watch(values: readonly string[]): void;
  /** Throws where a released header would hold one. */
  checkHeaders(values: readonly string[]): void;
  /** The bytes that may be looked at further; those that may be the beginning of a secret wait for what follows. */
  push(chunk: Buffer): Buffer;
  /** What waited, once the answer is over. */
  end(): Buffer;
}

/** Shorter ones are words that answers hold for reasons of their own. */
const SHORTEST = 12;
const NOTHING = Buffer.alloc(0);

export function createReflectionGuard(): ReflectionGuard {
  let needles: Buffer[] = [];
  let held: Buffer = NOTHING;

  function check(bytes: Buffer): void {
    if (!needles.some((needle) => bytes.includes(needle))) return;
    held = NOTHING;
    throw new GatewayError('upstream_leaked_credential', 'outcome_withheld');
  }

  return {
    watch(values) {
      const secrets = values
        .map((value) => value.replace(/^[A-Za-z]+ +/, ''))
        .filter((value) => value.length >= SHORTEST);
      needles = [...needles, ...new Set(secrets.flatMap(spellingsOf))].map((one) => Buffer.from(one));
    },
    checkHeaders: (values) => check(Buffer.from(values.join('\n'))),
    push(chunk) {
      if (needles.length === 0) return chunk;
      const bytes = held.length === 0 ? chunk : Buffer.concat([held, chunk]);
      check(bytes);
      const waits = Math.max(...needles.map((needle) => beginningAtEnd(bytes, needle)));
      held = bytes.subarray(bytes.length - waits);
      return bytes.subarray(0, bytes.length - waits);
    },
    end() {
      const rest = held;
      held = NOTHING;
      return rest;
    },
  };
}

/** As it is, in JSON text, in a URL, in hexadecimal, and in the Base64 of a text that holds it anywhere. */
function spellingsOf(secret: string): string[] {
  const base64 = [0, 1, 2].map((lead) => insideBase64(Buffer.from(secret), lead));
  return [
    secret,
    JSON.stringify(secret).slice(1, -1),
    encodeURIComponent(secret),
    Buffer.from(secret).toString('hex'),
    ...base64,
    ...base64.map((one) => one.replaceAll('+', '-').replaceAll('/', '_')),
  ];
}

/** What is the same in every Base64 of a text that has the secret `lead` bytes behind a group's beginning. */
function insideBase64(secret: Buffer, lead: number): string {
  const whole = Math.floor((lead + secret.length) / 3) * 3;
  const text = Buffer.concat([Buffer.alloc(lead), secret])
    .subarray(0, whole)
    .toString('base64');
  return text.slice([0, 2, 3][lead]);
}

/** How many bytes at the end of `bytes` are the beginning of `needle`, and not all of it. */
function beginningAtEnd(bytes: Buffer, needle: Buffer): number {
  const from = Math.max(0, bytes.length - needle.length + 1);
  const first = needle[0] ?? 0;
  for (let at = bytes.indexOf(first, from); at >= 0; at = bytes.indexOf(first, at + 1)) {
    if (bytes.compare(needle, 0, bytes.length - at, at) === 0) return bytes.length - at;
  }
  return 0;
}
