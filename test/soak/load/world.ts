/** What stands around a gateway under load: issuer, upstream, clients, attackers; the gateway and three more are processes. */
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { configurationFor, freePort } from '../../gateway-under-test.ts';
import { startIssuer, type TestIssuer } from '../../issuer.ts';
import { type GatewayProcess, startGatewayProcess } from './gateway-process.ts';
import { type Peer, startPeer } from './peer.ts';

export interface LoadWorld {
  readonly folder: string;
  readonly gateway: GatewayProcess;
  readonly issuer: TestIssuer;
  readonly upstream: Peer;
  readonly clients: Peer;
  readonly attackers: Peer;
  /** The MCP URL. */
  readonly url: string;
  /** `count` tokens; each principal has `perPrincipal` of them, all of one session. */
  tokens(kind: string, count: number, perPrincipal?: number): Promise<string[]>;
  /** Tokens that say they are of the issuer, signed with another key. */
  forged(): Promise<string[]>;
  close(): Promise<void>;
}

/** Whoever is in the group may call everything but `forbidden`. */
const RULES = `rules:
  - name: all-tools
    principals: { groups: [analysts] }
    connections: [fixture]
    tools: ["*"]
    effect: allow
  - name: not-this-one
    principals: { groups: [analysts] }
    connections: [fixture]
    tools: [forbidden]
    effect: deny
`;

export interface LoadWorldOptions {
  /** After which a session that nobody uses ends, as the configuration says it. */
  readonly sessionIdle: string;
  /** Milliseconds after which the upstream closes a connection without a request. */
  readonly upstreamIdle: number;
}

export async function startLoadWorld({ sessionIdle, upstreamIdle }: LoadWorldOptions): Promise<LoadWorld> {
  const folder = await mkdtemp(join(tmpdir(), 'verbatim-load-'));
  await mkdir(join(folder, 'policies', 'access'), { recursive: true });
  await writeFile(join(folder, 'policies', 'access', 'load.yaml'), RULES);
  const [issuer, port] = await Promise.all([startIssuer(), freePort()]);
  const upstream = startPeer('upstream.ts');
  const origin = await upstream.ask<string>('listen', { keepAlive: upstreamIdle });
  const connection = {
    upstream: { url: origin, allowAddresses: ['loopback'], connections: 16_384 },
    credential: { bearer: 'env:VERBATIM_SOAK_CREDENTIAL' },
  };
  const merged = configurationFor(
    { folder, issuer, port, origin, pathname: '/mcp' },
    {
      connection,
      config: { policies: './policies', sealEvery: '1s', sessions: { idle: sessionIdle } },
    },
  );
  const gateway = await startGatewayProcess(folder, merged, {
    VERBATIM_SOAK_CREDENTIAL: 'the-credential-of-the-load-run-0123456789',
  });
  const [clients, attackers] = [startPeer('clients.ts'), startPeer('attackers.ts')];
  const url = `${gateway.url}/fixture/mcp`;
  return {
    folder,
    gateway,
    issuer,
    upstream,
    clients,
    attackers,
    url,
    async tokens(kind, count, perPrincipal = 1) {
      const principals = Math.ceil(count / perPrincipal);
      const made: string[] = [];
      for (let index = 0; index < principals; index++) {
        const sub = `${kind}-${index}`;
        made.push(await issuer.token(url, { sub, email: `${sub}@example.com`, jti: sub }));
      }
      return Array.from({ length: count }, (_, index) => made[index % principals] ?? '');
    },
    async forged() {
      const forger = await startIssuer();
      const claims = { iss: issuer.url, sub: 'nobody' };
      const made = await Promise.all(Array.from({ length: 50 }, () => forger.token(url, claims)));
      await forger.close();
      return made;
    },
    async close() {
      await Promise.all([gateway.kill(), upstream.stop(), clients.stop(), attackers.stop()]);
      await issuer.close();
      await rm(folder, { recursive: true, force: true });
    },
  };
}
