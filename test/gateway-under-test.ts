/**
 * A real gateway in front of any upstream, with a real issuer, on a disk and stores of its own. When it is closed,
 * everything that it left behind is searched for every secret that was used (canaries.ts).
 */
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { stringify } from 'yaml';
import { type RunningGateway, startGateway } from '../gateway/gateway.ts';
import { createLog } from '../gateway/log.ts';
import type { FileSystem } from '../gateway/recording/file-system.ts';
import { watchGateway } from './canary-watch.ts';
import { startIssuer, type TestIssuer } from './issuer.ts';

export interface GatewayUnderTest {
  /** The MCP URL of the first connection. */
  readonly url: string;
  /** A token of ana's for it. */
  readonly token: string;
  readonly gateway: RunningGateway;
  readonly issuer: TestIssuer;
  readonly folder: string;
  readonly storeUrl: string;
  readonly configFile: string;
  readonly port: number;
  /** What the gateway logged, one JSON object a line. */
  readonly logged: string[];
  tokenFor(claims?: Record<string, unknown>, connection?: string): Promise<string>;
  close(): Promise<void>;
}

export interface UnderTestOptions {
  /** Merged over the configuration. */
  readonly config?: Record<string, unknown>;
  /** Merged over the connection. */
  readonly connection?: Record<string, unknown>;
  /** More connections by name. */
  readonly connections?: Record<string, Record<string, unknown>>;
  readonly fileSystem?: FileSystem;
  readonly storeWithin?: number;
  /** Milliseconds that a call is held for its approval. */
  readonly approvalHold?: number;
  readonly folder?: string;
  readonly issuer?: TestIssuer;
  readonly port?: number;
}

export async function startGatewayInFrontOf(
  upstreamUrl: string,
  options: UnderTestOptions = {},
): Promise<GatewayUnderTest> {
  const folder = options.folder ?? (await mkdtemp(join(tmpdir(), 'verbatim-test-')));
  const issuer = options.issuer ?? (await startIssuer());
  const port = options.port ?? (await freePort());
  const { origin, pathname } = new URL(upstreamUrl);
  const configFile = join(folder, 'verbatim.yaml');
  await writeFile(
    configFile,
    stringify(configurationFor({ folder, issuer, port, origin, pathname }, watched(options))),
  );
  const logged: string[] = [];
  const watch = watchGateway(configFile, port, logged);
  const running = await startGateway({
    configFile,
    log: createLog({ write: (line) => void logged.push(line) }),
    ...(options.fileSystem === undefined ? {} : { fileSystem: options.fileSystem }),
    ...(options.storeWithin === undefined ? {} : { storeWithin: options.storeWithin }),
    ...(options.approvalHold === undefined ? {} : { approvalHold: options.approvalHold }),
  });
  const gateway: RunningGateway = {
    ...running,
    async close() {
      watch.closing(running.metricsUrl);
      await running.close();
    },
  };
  const url = `${gateway.url}/fixture${pathname}`;
  const tokenFor = (claims: Record<string, unknown> = {}, connection = 'fixture'): Promise<string> =>
    issuer.token(`${gateway.url}/${connection}${pathname}`, claims);
  return {
    url,
    token: await tokenFor(),
    gateway,
    issuer,
    folder,
    storeUrl: storeOf(options) ?? `file://${folder}/store`,
    configFile,
    port,
    logged,
    tokenFor,
    async close() {
      await gateway.close();
      if (options.issuer === undefined) await issuer.close();
      try {
        await watch.search();
      } catch (error) {
        // What the test would have closed behind this stays open, and the words must come out all the same.
        setTimeout(() => process.exit(1), 10_000).unref();
        throw error;
      } finally {
        if (options.folder === undefined) await rm(folder, { recursive: true, force: true });
      }
    },
  };
}

/** Where recordings go, if the test says so. */
function storeOf({ config }: UnderTestOptions): string | undefined {
  const { recordings } = (config?.stores ?? {}) as { recordings?: string };
  return recordings;
}

/** Metrics are searched too, so there are some. */
function watched(options: UnderTestOptions): UnderTestOptions {
  return { ...options, config: { metrics: { host: '127.0.0.1', port: 0 }, ...options.config } };
}

/** The configuration of a test's gateway, as an object that YAML can hold. */
export function configurationFor(
  at: { folder: string; issuer: { url: string }; port: number; origin: string; pathname: string },
  options: UnderTestOptions = {},
): Record<string, unknown> {
  const connection = {
    upstream: { url: at.origin, allowAddresses: ['loopback'] },
    paths: [at.pathname],
    groups: ['analysts'],
    credential: { none: true },
  };
  const more = Object.entries(options.connections ?? {}).map(([name, own]) => [name, { ...connection, ...own }]);
  return {
    listen: { host: '127.0.0.1', port: at.port },
    publicUrl: `http://127.0.0.1:${at.port}`,
    data: join(at.folder, 'disk'),
    stores: { recordings: `file://${at.folder}/store` },
    sealEvery: '200ms',
    drain: '1s',
    // Small files, that are rotated, and few reserved bytes, that are written at each start.
    journal: { limit: '128MiB' },
    policies: 'allow-all',
    issuers: { test: { issuer: at.issuer.url, jwksUri: `${at.issuer.url}/jwks` } },
    connections: { fixture: { ...connection, ...options.connection }, ...Object.fromEntries(more) },
    ...options.config,
  };
}

/** A port that was free a moment ago: `publicUrl` has to name it before the gateway listens. */
export async function freePort(): Promise<number> {
  const server = createServer();
  await new Promise<void>((done) => server.listen(0, '127.0.0.1', done));
  const address = server.address();
  await new Promise<void>((done) => server.close(() => done()));
  if (address === null || typeof address === 'string') throw new Error('No port.');
  return address.port;
}
