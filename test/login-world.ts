/**
 * A gateway at which people log in, before the demo's identity provider and server: real sockets, real OpenID Connect.
 * Who is in which group may change while it runs.
 */
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { DEMO_CLIENT, type Idp, startIdp } from '../demo/idp.ts';
import { startOrders } from '../demo/orders.ts';
import { DEMO_USERS, type DemoUser } from '../demo/users.ts';
import { secret } from './canaries.ts';
import { freePort, type GatewayUnderTest, startGatewayInFrontOf, type UnderTestOptions } from './gateway-under-test.ts';

export interface LoginWorld extends AsyncDisposable {
  readonly gateway: GatewayUnderTest;
  /** Of `count` replicas over one state store, the first is `gateway`. */
  readonly replicas: readonly GatewayUnderTest[];
  readonly idp: Idp;
  /** The connection's address. */
  readonly mcp: string;
  /** Changes who is known and in which groups, from now on. */
  setPeople(people: readonly DemoUser[]): void;
}

export interface LoginWorldOptions {
  /** Merged over `login`. */
  readonly login?: Record<string, unknown>;
  /** Merged over the configuration. */
  readonly config?: Record<string, unknown>;
  readonly connections?: UnderTestOptions['connections'];
  readonly connection?: UnderTestOptions['connection'];
  /** In the place of the demo's server. */
  readonly upstream?: string;
  /** More than one share a state store, an address in front of them is the first one's. */
  readonly replicas?: number;
}

const CLIENT_SECRET = secret('a-secret-of-the-gateway-at-the-test-idp', "the gateway's client secret");
const LOGIN_SECRET = secret('a-secret-from-which-the-keys-of-logins-are-made', 'the secret of logins');

export async function startLoginWorld(options: LoginWorldOptions = {}): Promise<LoginWorld> {
  const stack = new AsyncDisposableStack();
  const adopt = <T extends { close(): Promise<void> }>(one: T): T => stack.adopt(one, (open) => open.close());
  let people: readonly DemoUser[] = DEMO_USERS;
  const upstream = options.upstream ?? adopt(await startOrders({ port: 0 })).url;
  const port = await freePort();
  const publicUrl = `http://127.0.0.1:${port}`;
  const idp = adopt(
    await startIdp({
      port: 0,
      callbacks: () => [`${publicUrl}/oauth/callback/corp`, `${publicUrl}/oauth/callback/other`],
      clientSecret: CLIENT_SECRET,
      people: { all: () => people, find: (name) => people.find((user) => user.name === name) },
    }),
  );
  const secrets = stack.adopt(await mkdtemp(join(tmpdir(), 'verbatim-login-')), (path) =>
    rm(path, { recursive: true }),
  );
  await writeFile(join(secrets, 'client'), CLIENT_SECRET);
  await writeFile(join(secrets, 'login'), LOGIN_SECRET);
  const login = {
    secrets: [`file:${join(secrets, 'login')}`],
    recheckEvery: '1s',
    providers: {
      corp: {
        title: 'Example Corp',
        oidc: { issuer: idp.issuer, clientId: DEMO_CLIENT, clientSecret: `file:${join(secrets, 'client')}` },
      },
    },
    ...options.login,
  };
  const { connections, connection } = options;
  const under = {
    ...(connections === undefined ? {} : { connections }),
    ...(connection === undefined ? {} : { connection }),
  };
  const first = adopt(
    await startGatewayInFrontOf(upstream, {
      ...under,
      port,
      config: { issuers: {}, login, ...options.config },
    }),
  );
  const replicas = [first];
  while (replicas.length < (options.replicas ?? 1)) {
    const folder = stack.adopt(await mkdtemp(join(tmpdir(), 'verbatim-replica-')), (path) =>
      rm(path, { recursive: true, force: true }),
    );
    const stores = { recordings: first.storeUrl };
    const config = { issuers: {}, login, ...options.config, stores, publicUrl };
    replicas.push(adopt(await startGatewayInFrontOf(upstream, { ...under, folder, issuer: first.issuer, config })));
  }
  return {
    gateway: first,
    replicas,
    idp,
    mcp: first.url,
    setPeople(next) {
      people = next;
    },
    [Symbol.asyncDispose]: () => stack.disposeAsync(),
  };
}
