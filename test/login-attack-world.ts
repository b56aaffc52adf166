/**
 * A whole gateway, or several over one state store, at which people of two companies log in: what the attack suites
 * attack. The identity providers are doubles that do as they are told (oidc-idp.ts); the rest is real.
 */
import { randomBytes } from 'node:crypto';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import type { Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createKeyring, type Keyring } from '../gateway/identity/keyring.ts';
import { openStore } from '../gateway/store/open.ts';
import type { Store } from '../gateway/store/store.ts';
import { secret } from './canaries.ts';
import { freePort, type GatewayUnderTest, startGatewayInFrontOf } from './gateway-under-test.ts';
import { type OidcIdp, startOidcIdp } from './oidc-idp.ts';
import { jsonAnswer, type RawUpstream, startRawUpstream } from './raw-socket.ts';
import { framesOf } from './recorded.ts';

export type Facts = Readonly<Record<string, unknown>>;

export interface AttackWorld extends AsyncDisposable {
  readonly replicas: readonly GatewayUnderTest[];
  /** The first replica. */
  readonly gateway: GatewayUnderTest;
  /** The gateway's public origin, of every replica. */
  readonly origin: string;
  /** Of ana and bob (example.com), and the only one unless there are two. */
  readonly corp: OidcIdp;
  /** Of mallory (example.org). */
  readonly other: OidcIdp;
  readonly upstream: RawUpstream;
  /** Of the first replica. */
  readonly keyring: Keyring;
  readonly state: Store;
  /** Events of the system strands, of all replicas, in the order of their strands. */
  events(): Promise<readonly Facts[]>;
  /** The events, once there is one like that. Throws where there is none within five seconds. */
  eventually(isOne: (event: Facts) => boolean, what?: string): Promise<Facts>;
}

export interface AttackWorldOptions {
  /** Merged over `login`. */
  readonly login?: Readonly<Record<string, unknown>>;
  /** One for each replica, merged over its `login`. */
  readonly replicas?: readonly Readonly<Record<string, unknown>>[];
  /** Secrets of logins by replica; the same one everywhere where it is left out. */
  readonly secrets?: readonly (readonly string[])[];
  /** Both companies log in, each at its own provider. */
  readonly companies?: 'one' | 'two';
  /** Where it is reached, as clients see it, behind a proxy that ends TLS. Left out: its own address on loopback. */
  readonly publicUrl?: string;
  /** Merged over the configuration. */
  readonly config?: Readonly<Record<string, unknown>>;
  readonly connections?: Readonly<Record<string, Record<string, unknown>>>;
}

/** Clients of the configuration, by id. `alpha` and `beta` are programs, `web` has a page, `vault` has a secret. */
const CLIENTS = {
  alpha: { name: 'Alpha', redirectUris: ['http://127.0.0.1/callback'] },
  beta: { name: 'Beta', redirectUris: ['http://127.0.0.1/callback'] },
  web: { name: 'Web', redirectUris: ['https://app.example.com/callback'] },
};

const STREAM = 'HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n\r\n: open\n\n';

/** Text of a secret of logins that no other world has. */
export function freshSecret(): string {
  return secret(randomBytes(32).toString('base64url'), 'the secret of logins');
}

export async function startAttackWorld(options: AttackWorldOptions = {}): Promise<AttackWorld> {
  const stack = new AsyncDisposableStack();
  const adopt = <T extends { close(): Promise<void> }>(one: T): T => stack.adopt(one, (open) => open.close());
  const folder = stack.adopt(await mkdtemp(join(tmpdir(), 'verbatim-attacked-')), (path) =>
    rm(path, { recursive: true, force: true }),
  );
  const corp = adopt(await startOidcIdp({ clientId: 'corp-gateway' }));
  const other = adopt(await startOidcIdp({ clientId: 'other-gateway' }));
  for (const [name, groups] of [
    ['ana', ['analysts']],
    ['bob', ['engineers']],
    ['eve', ['analysts']],
  ] as const) {
    corp.people.set(name, { name, email: `${name}@example.com`, email_verified: true, groups });
  }
  corp.chosen = 'ana';
  other.people.set('mallory', { email: 'mallory@example.org', email_verified: true, groups: ['analysts'] });
  other.chosen = 'mallory';
  const upstream = adopt(
    await startRawUpstream((request, socket: Socket) =>
      socket.write(request.startsWith('GET') ? STREAM : jsonAnswer(1)),
    ),
  );
  const port = await freePort();
  const origin = options.publicUrl ?? `http://127.0.0.1:${port}`;
  const same = [freshSecret()];

  async function file(name: string, content: string): Promise<string> {
    const path = join(folder, name);
    await writeFile(path, content);
    return `file:${path}`;
  }
  const provider = async (idp: OidcIdp, name: string) => ({
    title: name,
    oidc: {
      issuer: idp.issuer,
      clientId: idp.clientId,
      clientSecret: await file(name, secret(idp.clientSecret, "the gateway's secret at an identity provider")),
    },
  });
  const providers =
    options.companies === 'two'
      ? {
          corp: { ...(await provider(corp, 'corp')), domains: ['example.com'] },
          other: { ...(await provider(other, 'other')), domains: ['example.org'] },
        }
      : { corp: await provider(corp, 'corp') };

  const replicas: GatewayUnderTest[] = [];
  for (const [index, own] of (options.replicas ?? [{}]).entries()) {
    const [first] = replicas;
    const secrets = options.secrets?.[index] ?? same;
    const login = {
      secrets: await Promise.all(secrets.map((one, n) => file(`secret-${index}-${n}`, one))),
      recheckEvery: '1s',
      providers,
      clients: CLIENTS,
      ...options.login,
      ...own,
    };
    const config = {
      issuers: {},
      login,
      // Each attack comes from an address of its own, by which its record is found.
      trustedProxyHops: 1,
      publicUrl: origin,
      ...(first === undefined ? {} : { stores: { recordings: first.storeUrl } }),
      ...options.config,
    };
    const disk = stack.adopt(await mkdtemp(join(tmpdir(), 'verbatim-replica-')), (path) =>
      rm(path, { recursive: true, force: true }),
    );
    replicas.push(
      adopt(
        await startGatewayInFrontOf(upstream.url, {
          connections: { other: {}, ...options.connections },
          ...(first === undefined ? { port } : { issuer: first.issuer, folder: disk }),
          config,
        }),
      ),
    );
  }
  const [gateway] = replicas;
  if (gateway === undefined) throw new Error('A world has a gateway.');

  /** As they were last read. */
  let known: readonly Facts[] = [];

  async function events(): Promise<readonly Facts[]> {
    for (const one of replicas) await one.gateway.seal();
    const frames = await framesOf(gateway as GatewayUnderTest, 'system');
    known = frames.flatMap((frame) => (frame.type === 'event' ? [frame.event as Facts] : []));
    return known;
  }

  return {
    replicas,
    gateway,
    origin,
    corp,
    other,
    upstream,
    keyring: createKeyring((options.secrets?.[0] ?? same).map((text) => Buffer.from(text))),
    state: openStore(`${gateway.storeUrl}-state`),
    events,
    async eventually(isOne, what = 'No event like that was recorded.') {
      for (const deadline = performance.now() + 5000; ; ) {
        const found = known.find(isOne) ?? (await events()).find(isOne);
        if (found !== undefined) return found;
        if (performance.now() > deadline) throw new Error(what);
        await new Promise((done) => setTimeout(done, 50));
      }
    },
    async [Symbol.asyncDispose]() {
      for (const idp of [corp, other]) for (const one of idp.secrets) secret(one, 'what an identity provider gave');
      await stack.disposeAsync();
    },
  };
}
