/** For tests: replicas of one connection's authorization server over one state, without a browser and without people. */
import { createHash, randomBytes } from 'node:crypto';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import * as library from 'oidc-provider';
import { V7Generator } from 'uuidv7';
import type { Clock } from '../../clock.ts';
import { type Config, parseConfig } from '../../config.ts';
import { createEnds, type Ends } from '../../sessions/ends.ts';
import { createMemoryStore } from '../../store/memory.ts';
import type { Store } from '../../store/store.ts';
import { personalClient } from '../clients/client.ts';
import { createKeyring, type Keyring } from '../keyring.ts';
import { accountIdOf, createGrants, type GrantRecord, type Grants } from './grants.ts';
import { createProvider } from './provider.ts';
import { watchTokens } from './tokens.ts';

export const CONNECTION = 'orders';
const REDIRECT = 'http://127.0.0.1/callback';
export const PUBLIC_URL = 'http://127.0.0.1:8080';
export const RESOURCE = `${PUBLIC_URL}/orders/mcp`;
/** With PKCE's verifier (RFC 7636). */
const VERIFIER = 'v'.repeat(43);
const CHALLENGE = createHash('sha256').update(VERIFIER).digest('base64url');

export function configFor(login: unknown = { providers: {}, clients: { robot: AGENT } }): Config {
  const connection = { upstream: { url: 'http://10.0.0.1' }, groups: ['analysts'], credential: { none: true } };
  return parseConfig({
    listen: { host: '127.0.0.1', port: 0 },
    publicUrl: PUBLIC_URL,
    data: '/data',
    stores: { recordings: 'file:///store' },
    policies: 'allow-all',
    login,
    connections: { [CONNECTION]: connection, other: connection },
  });
}
const AGENT = { secret: 'env:NOBODY_READS_IT', agent: { groups: ['analysts'], owner: 'team' } };

/** A clock that stands still until it is moved. */
export function stoppedClock(start = Date.now()): Clock & { pass(milliseconds: number): void } {
  let now = start;
  return {
    millis: () => now,
    micros: () => now * 1000,
    offset: () => 0,
    pass(milliseconds) {
      now += milliseconds;
    },
  };
}

/** Ids are of the clock's time, as those of sessions are. */
const ids = new V7Generator();

export function grantRecord(clock: Clock, changes: Partial<GrantRecord> = {}): GrantRecord {
  const opened = clock.millis();
  return {
    session: ids.generateOrResetCore(opened, 0).toString(),
    connection: CONNECTION,
    client: { id: 'alpha', name: 'Alpha' },
    provider: 'corp',
    kind: 'human',
    issuer: 'https://idp.example.com',
    subject: 'ana',
    email: 'ana@example.com',
    groups: ['analysts'],
    opened,
    expires: opened + 3_600_000,
    resources: [RESOURCE],
    ...changes,
  };
}

export interface Replica {
  readonly provider: InstanceType<typeof library.default>;
  readonly grants: Grants;
  readonly ends: Ends;
  /** The token endpoint's answer. */
  ask(form: Readonly<Record<string, string>>, path?: 'token' | 'revoke'): Promise<{ status: number; body: never }>;
}

export interface ReplicaOptions {
  readonly keyring?: Keyring;
  readonly connection?: string;
  event?(name: string, details: Record<string, unknown>): Promise<void>;
  mayGoOn?(session: string): Promise<boolean>;
}

export interface AuthorizationState {
  readonly state: Store;
  readonly audit: Store;
  readonly clock: ReturnType<typeof stoppedClock>;
  readonly events: (readonly [name: string, details: Record<string, unknown>])[];
  readonly refused: Record<string, unknown>[];
  readonly failures: unknown[];
  start(options?: ReplicaOptions): Promise<Replica>;
  /** A grant, and a code for it as `replica` gives them out. */
  code(replica: Replica, changes?: Partial<GrantRecord>): Promise<{ code: string; record: GrantRecord }>;
  /** Every byte of the state, as text. */
  stored(): Promise<string>;
  close(): void;
}

export function openAuthorizationState(state: Store = createMemoryStore()): AuthorizationState {
  const audit = createMemoryStore();
  const clock = stoppedClock();
  const keyring = createKeyring([randomBytes(32)]);
  const events: (readonly [string, Record<string, unknown>])[] = [];
  const refused: Record<string, unknown>[] = [];
  const failures: unknown[] = [];
  const closing: (() => void)[] = [];

  async function start(options: ReplicaOptions = {}): Promise<Replica> {
    const { connection = CONNECTION } = options;
    const event =
      options.event ??
      (async (name: string, details: Record<string, unknown>): Promise<void> => {
        events.push([name, details]);
      });
    const ends = createEnds({ state, now: clock.millis });
    const grants = createGrants({ state, audit, ends, clock });
    const keys = options.keyring ?? keyring;
    const provider = createProvider({
      library,
      config: configFor(),
      connection,
      keyring: keys,
      clients: {
        async find(id) {
          if (id !== 'alpha' && id !== 'beta') return undefined;
          return { origin: 'registered', metadata: personalClient({ id, redirectUris: [REDIRECT], refresh: true }) };
        },
      },
      grants,
      adapters: {
        state,
        grants,
        now: clock.millis,
        ended: (session, reason) => event('session.revoked', { session, reason }),
      },
      mayGoOn: options.mayGoOn ?? (async () => true),
      openAgent: () => Promise.reject(new library.errors.UnauthorizedClient('no agents here')),
      failed: (error) => void failures.push(error),
      idJag: false,
    });
    watchTokens(provider, { state, keyring: keys, connection, event, refused: (facts) => void refused.push(facts) });
    const server = createServer(provider.callback());
    await new Promise<void>((done) => server.listen(0, '127.0.0.1', done));
    closing.push(() => {
      server.close();
      server.closeAllConnections();
    });
    const { port } = server.address() as AddressInfo;
    return {
      provider,
      grants,
      ends,
      async ask(form, path = 'token') {
        const headers = { connection: 'close' };
        const body = new URLSearchParams(form);
        const response = await fetch(`http://127.0.0.1:${port}/oauth/${path}`, { method: 'POST', body, headers });
        const text = await response.text();
        return { status: response.status, body: (text === '' ? undefined : parsed(text)) as never };
      },
    };
  }

  return {
    state,
    audit,
    clock,
    events,
    refused,
    failures,
    start,
    async code({ provider, grants }, changes) {
      const record = grantRecord(clock, changes);
      await grants.open(record);
      const client = await provider.Client.find(record.client.id);
      if (client === undefined) throw new Error('Nobody knows this client.');
      const code = await new provider.AuthorizationCode({
        accountId: accountIdOf(record),
        client,
        grantId: record.session,
        redirectUri: REDIRECT,
        scope: 'mcp',
        resource: RESOURCE,
        codeChallenge: CHALLENGE,
        codeChallengeMethod: 'S256',
        gty: 'authorization_code',
      } as never).save();
      return { code, record };
    },
    async stored() {
      const pieces: string[] = [];
      for await (const name of state.list('')) {
        pieces.push(name, Buffer.from((await state.get(name)) ?? []).toString());
      }
      return pieces.join('\n');
    },
    close: () => {
      for (const one of closing) one();
    },
  };
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return text;
  }
}

export function redeeming(code: string, changes: Readonly<Record<string, string>> = {}): Record<string, string> {
  return {
    grant_type: 'authorization_code',
    client_id: 'alpha',
    redirect_uri: REDIRECT,
    code,
    code_verifier: VERIFIER,
    ...changes,
  };
}

export function refreshing(token: string, changes: Readonly<Record<string, string>> = {}): Record<string, string> {
  return { grant_type: 'refresh_token', client_id: 'alpha', refresh_token: token, ...changes };
}
