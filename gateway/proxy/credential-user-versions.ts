/**
 * What the state store knows of people's own tokens: for each principal and connection a row of versions that only
 * grows, `user-credentials/<hash>/<n>.json`. The last one holds: tokens (sealed), or that they failed or were forgotten.
 */
import { randomUUID } from 'node:crypto';
import { z } from 'zod';
import { hashOfParts } from '../hash-of-parts.ts';
import type { Sealing } from '../identity/keyring.ts';
import type { Store } from '../store/store.ts';

export interface Person {
  readonly issuer: string;
  readonly subject: string;
}

const tokens = z.object({
  access: z.string(),
  refresh: z.string().optional(),
  obtained: z.number(),
  expires: z.number().optional(),
  /** When the person consented. */
  since: z.number(),
  /** Which authorization server gave it, as whom it was asked, and what for: it goes nowhere else. */
  issuer: z.string(),
  client: z.object({ id: z.string(), from: z.string() }),
  resource: z.string(),
  url: z.string(),
});
export type StoredTokens = z.output<typeof tokens>;

export type VersionContent =
  | { readonly kind: 'tokens'; readonly tokens: StoredTokens }
  /** Only the person can help. `words` are shown to them. */
  | { readonly kind: 'failed'; readonly words: string }
  | { readonly kind: 'forgotten'; readonly reason: string };

/** `n` 0: there is none. `at` in milliseconds since the epoch. */
export type Version = { readonly n: number; readonly at: number; readonly name: string } & (
  | VersionContent
  | { readonly kind: 'none' }
);

const stored = z.discriminatedUnion('kind', [
  z.object({ kind: z.literal('tokens'), at: z.number(), sealed: z.string() }),
  z.object({ kind: z.literal('failed'), at: z.number(), words: z.string() }),
  z.object({ kind: z.literal('forgotten'), at: z.number(), reason: z.string() }),
]);
const claimed = z.object({ until: z.number(), by: z.string() });

/** Who may refresh a version until then. Another's may be waited for; past `until` the next number may be claimed. */
export type Claim = { readonly kind: 'mine' | 'others'; readonly until: number };

export interface UserVersions {
  /** The last version. What is known to be there, `from`, is not read again. */
  last(folder: string, from?: Version): Promise<Version>;
  /** undefined: another has the number `n`, or it is not known to be stored: look at `last`. */
  create(folder: string, n: number, content: VersionContent): Promise<Version | undefined>;
  claim(folder: string, n: number): Promise<Claim>;
}

export function folderOf(connection: string, { issuer, subject }: Person): string {
  return `user-credentials/${hashOfParts([connection, issuer, subject])}/`;
}

/**
 * A claim's life. Its holder sends nothing in the last `CLAIM_MARGIN_MS`: a request takes 10 s at most, and replicas'
 * clocks may be some seconds apart. Two at once would make a server that rotates refresh tokens end the whole grant.
 */
export const CLAIM_MS = 20_000;
export const CLAIM_MARGIN_MS = 15_000;

export function createUserVersions(deps: { state: Store; keyring: Sealing; now: () => number }): UserVersions {
  const { state, keyring, now } = deps;

  async function read(folder: string, n: number): Promise<Version | undefined> {
    const name = nameOf(folder, n);
    const bytes = await state.get(name);
    if (bytes === undefined) return undefined;
    const found = stored.parse(JSON.parse(Buffer.from(bytes).toString()));
    if (found.kind !== 'tokens') return { n, name, ...found };
    // Bound to its name, and so to the principal, the connection and the number: no other's and no older one passes.
    const opened = keyring.open('user-credential', found.sealed, name);
    if (opened === undefined) {
      return { n, name, at: found.at, kind: 'failed', words: 'The gateway has another key now and can not read it.' };
    }
    return { n, name, at: found.at, kind: 'tokens', tokens: tokens.parse(JSON.parse(opened)) };
  }

  function bytesOf(name: string, content: VersionContent): Buffer {
    const said =
      content.kind === 'tokens'
        ? { kind: content.kind, sealed: keyring.seal('user-credential', JSON.stringify(content.tokens), name) }
        : content;
    return Buffer.from(JSON.stringify({ v: 1, at: now(), ...said }));
  }

  return {
    async last(folder, from) {
      let found = from;
      if (found === undefined || found.n === 0) {
        let n = 0;
        for await (const name of state.list(folder)) n = Math.max(n, numberOf(name.slice(folder.length)));
        found = (n === 0 ? undefined : await read(folder, n)) ?? { n: 0, at: 0, name: '', kind: 'none' };
      }
      for (;;) {
        const next = await read(folder, found.n + 1);
        if (next === undefined) return found;
        found = next;
      }
    },
    async create(folder, n, content) {
      const name = nameOf(folder, n);
      const bytes = bytesOf(name, content);
      await createSurely(state, name, bytes);
      const there = await state.get(name);
      // An attempt that failed may have been stored all the same: whose it is shows in its bytes.
      return there !== undefined && bytes.equals(there) ? read(folder, n) : undefined;
    },
    async claim(folder, n) {
      const prefix = `${nameOf(folder, n).replace(/\.json$/, '')}.refreshing.`;
      let last: string | undefined;
      for await (const name of state.list(prefix)) last = name;
      const before = last === undefined ? undefined : await readClaim(last);
      if (before !== undefined && now() < before.until) return { kind: 'others', until: before.until };
      const number = last === undefined ? 1 : Number(last.slice(prefix.length).replace('.json', '')) + 1;
      const claim = { until: now() + CLAIM_MS, by: randomUUID() };
      const name = `${prefix}${String(number).padStart(6, '0')}.json`;
      await state.create(name, Buffer.from(JSON.stringify({ v: 1, ...claim })));
      const held = await readClaim(name);
      return { kind: held.by === claim.by ? 'mine' : 'others', until: held.until };
    },
  };

  async function readClaim(name: string): Promise<z.output<typeof claimed>> {
    const bytes = await state.get(name);
    return claimed.parse(JSON.parse(Buffer.from(bytes ?? '').toString()));
  }
}

const ATTEMPTS = 3;

/** A new refresh token that is not stored is lost, and the one before it is used up: once is not enough. */
async function createSurely(state: Store, name: string, bytes: Buffer): Promise<void> {
  for (let attempt = 1; ; attempt++) {
    try {
      await state.create(name, bytes);
      return;
    } catch (error) {
      if (attempt === ATTEMPTS) throw error;
    }
  }
}

function nameOf(folder: string, n: number): string {
  return `${folder}${String(n).padStart(10, '0')}.json`;
}

function numberOf(file: string): number {
  return /^\d{10}\.json$/.test(file) ? Number(file.slice(0, 10)) : 0;
}
