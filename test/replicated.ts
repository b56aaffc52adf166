/** Several gateways over one set of stores, in front of one upstream and behind a load balancer. */
import { randomBytes } from 'node:crypto';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type Balancer, startBalancer } from './balancer.ts';
import { secret } from './canaries.ts';
import { type GatewayUnderTest, startGatewayInFrontOf } from './gateway-under-test.ts';
import { startIssuer, type TestIssuer } from './issuer.ts';

export interface Replicated extends AsyncDisposable {
  readonly balancer: Balancer;
  readonly issuer: TestIssuer;
  readonly replicas: readonly GatewayUnderTest[];
  /** The MCP URL of the connection, at the balancer. */
  readonly url: string;
  readonly storeUrl: string;
  /** For a gateway of the same group elsewhere: what its configuration has to hold. */
  readonly shared: Readonly<Record<string, unknown>>;
  tokenFor(claims?: Record<string, unknown>): Promise<string>;
  /** Verifier keys of all ledgers. */
  keys(): string[];
}

export async function startReplicated(
  upstreamUrl: string,
  options: { readonly count?: number; readonly config?: Record<string, unknown> } = {},
): Promise<Replicated> {
  const stack = new AsyncDisposableStack();
  const adopt = <T extends { close(): Promise<void> }>(one: T): T => stack.adopt(one, (open) => open.close());
  const temporary = async (): Promise<string> =>
    stack.adopt(await mkdtemp(join(tmpdir(), 'verbatim-replica-')), (path) =>
      rm(path, { recursive: true, force: true }),
    );
  const store = await temporary();
  const storeUrl = `file://${store}/store`;
  const secrets = join(store, 'secret');
  await writeFile(secrets, secret(randomBytes(32).toString('base64url'), 'what replicas share'));
  const issuer = adopt(await startIssuer());
  const balancer = adopt(await startBalancer());
  const shared = { publicUrl: balancer.url, stores: { recordings: storeUrl }, secrets: [`file:${secrets}`] };
  const replicas: GatewayUnderTest[] = [];
  while (replicas.length < (options.count ?? 3)) {
    const config = { ...shared, replica: `replica-${replicas.length}`, ...options.config };
    const one = adopt(await startGatewayInFrontOf(upstreamUrl, { folder: await temporary(), issuer, config }));
    replicas.push(one);
    balancer.add(one.gateway.url);
  }
  const url = `${balancer.url}/fixture${new URL(upstreamUrl).pathname}`;
  return {
    balancer,
    issuer,
    replicas,
    url,
    storeUrl,
    shared,
    tokenFor: (claims = {}) => issuer.token(url, claims),
    keys: () => replicas.map(({ gateway }) => gateway.verifierKey),
    [Symbol.asyncDispose]: () => stack.disposeAsync(),
  };
}
