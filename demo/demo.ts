/**
 * `verbatim demo`, what `npm start` runs: a real identity provider, a real MCP server, a real gateway between them and
 * ana's conversation through it. What is printed of that conversation is read back from the recording.
 */
import { mkdir, writeFile } from 'node:fs/promises';
import { createServer } from 'node:net';
import { join, resolve } from 'node:path';
import { pathToFileURL } from 'node:url';
import type { DestinationStream } from 'pino';
import { stringify } from 'yaml';
import { CommandError } from '../gateway/cli/context.ts';
import { stopSignal } from '../gateway/cli/gateway.ts';
import { login } from '../gateway/cli/login.ts';
import { type RunningGateway, startGateway } from '../gateway/gateway.ts';
import { createLog } from '../gateway/log.ts';
import { openRecordings } from '../gateway/recording/read.ts';
import { openStore } from '../gateway/store/open.ts';
import { converse } from './conversation.ts';
import { type Idp, startIdp } from './idp.ts';
import { type Orders, startOrders } from './orders.ts';
import { demoReport } from './report.ts';
import { startDemoStdioHost } from './stdio-host.ts';

export interface DemoOptions {
  readonly once?: boolean;
  readonly json?: boolean;
  readonly dataDir?: string;
  readonly port?: number;
  /** The visitor's own MCP server, as a second connection: its address, or the command of a stdio server. */
  readonly upstream?: string;
  readonly stdio?: string;
  /** Names of variables that the stdio server gets. */
  readonly env?: readonly string[];
}

/** The first of four ports: gateway, identity provider, MCP server, the visitor's stdio server. */
const DEFAULT_PORT = 7411;
const EVERYBODY = ['analysts', 'engineers', 'auditors'];

export interface Demo {
  readonly mcp: string;
  readonly yours: string | undefined;
  readonly idp: string;
  readonly store: string;
  readonly session: string;
  /** Note verifier key of the gateway's ledger. */
  readonly key: string;
  close(): Promise<void>;
}

/** Runs the demo until Ctrl-C, or with `once` until the conversation is told. */
export async function runDemo(options: DemoOptions): Promise<void> {
  const demo = await startDemo(options);
  try {
    if (options.json === true) {
      const { mcp, idp, store, session, key, yours } = demo;
      process.stdout.write(
        `${JSON.stringify({ mcp, idp, store, session, key, ...(yours === undefined ? {} : { yours }) })}\n`,
      );
    } else {
      process.stdout.write(await demoReport(demo, options.once === true));
    }
    if (options.once !== true) await stopSignal();
  } finally {
    await demo.close();
  }
}

async function startDemo(options: DemoOptions): Promise<Demo> {
  if (options.upstream !== undefined && options.stdio !== undefined) {
    throw new CommandError(2, 'Give one server of your own: --upstream or --stdio.');
  }
  const folder = resolve(options.dataDir ?? join('.verbatim', 'demo'));
  await mkdir(folder, { recursive: true, mode: 0o700 });
  const first = options.port ?? DEFAULT_PORT;
  const port = first === 0 ? await freePort() : first;
  const beside = (offset: number): number => (first === 0 ? 0 : first + offset);
  const publicUrl = `http://127.0.0.1:${port}`;
  const opened: { close(): Promise<void> }[] = [];
  const close = async (): Promise<void> => {
    for (const part of opened.reverse()) await part.close();
  };
  try {
    const yours = await yourServer(options, { port: beside(3), publicUrl }, opened);
    const resources = [
      `${publicUrl}/orders/mcp`,
      ...(yours === undefined ? [] : [`${publicUrl}/yours${yours.url.pathname}`]),
    ];
    const idp = await startIdp({ port: beside(1), resources: () => resources, keyFile: join(folder, 'idp-key.json') });
    opened.push(idp);
    const orders = await startOrders({ port: beside(2) });
    opened.push(orders);
    const gateway = await startGatewayFor({ folder, port, publicUrl, idp, orders, yours });
    opened.push(gateway);
    const [mcp = ''] = resources;
    const token = await login({ mcpUrl: mcp, as: 'ana', write: () => {} });
    await converse({ mcpUrl: mcp, token });
    await gateway.seal();
    const store = pathToFileURL(join(folder, 'store')).href;
    return {
      mcp,
      yours: resources[1],
      idp: idp.issuer,
      store,
      session: await sessionOf(store),
      key: gateway.verifierKey,
      close,
    };
  } catch (error) {
    await close();
    throw portWords(error, first);
  }
}

interface YourServer {
  readonly url: URL;
  /** What its connection needs besides. */
  readonly settings: Record<string, unknown>;
}

async function yourServer(
  { upstream, stdio, env = [] }: DemoOptions,
  at: { port: number; publicUrl: string },
  opened: { close(): Promise<void> }[],
): Promise<YourServer | undefined> {
  if (upstream !== undefined) return { url: parseUpstream(upstream), settings: {} };
  if (stdio === undefined) return undefined;
  const facts = { command: stdio, env, port: at.port, gateway: at.publicUrl, connection: 'yours' };
  const host = await startDemoStdioHost(facts);
  opened.push(host);
  return { url: host.url, settings: { identityHeader: 'X-Verbatim-Identity' } };
}

async function startGatewayFor(parts: {
  folder: string;
  port: number;
  publicUrl: string;
  idp: Idp;
  orders: Orders;
  yours: YourServer | undefined;
}): Promise<RunningGateway> {
  const { folder, port, publicUrl, idp, orders, yours } = parts;
  const upstreamOf = (url: URL): Record<string, unknown> => ({
    upstream: { url: url.origin, ...(isLoopback(url) ? { allowAddresses: ['loopback'] } : {}) },
    paths: [url.pathname],
    credential: { none: true },
  });
  const configuration = {
    listen: { host: '127.0.0.1', port },
    publicUrl,
    data: join(folder, 'disk'),
    stores: { recordings: pathToFileURL(join(folder, 'store')).href },
    replica: 'demo',
    drain: '1s',
    policies: 'allow-all',
    issuers: { demo: { issuer: idp.issuer } },
    connections: {
      orders: { title: 'Orders (sample)', ...upstreamOf(new URL(orders.url)), groups: ['analysts', 'engineers'] },
      ...(yours === undefined
        ? {}
        : { yours: { title: 'Your own server', ...upstreamOf(yours.url), ...yours.settings, groups: EVERYBODY } }),
    },
  };
  const file = join(folder, 'verbatim.yaml');
  const head = '# Written by `npm start` at each start: the configuration of the demo’s gateway.\n';
  await writeFile(file, head + stringify(configuration));
  return startGateway({ configFile: file, log: createLog(logFile(folder)) });
}

/** The demo's log goes beside its data: the terminal is for what a visitor reads. */
function logFile(folder: string): DestinationStream {
  const path = join(folder, 'gateway.log');
  return {
    write(line) {
      // A handful of lines a minute: opened and closed for each, so that there is nothing to flush at the end.
      void writeFile(path, line, { flag: 'a', mode: 0o600 }).catch(() => {});
    },
  };
}

async function sessionOf(store: string): Promise<string> {
  for await (const session of openRecordings(openStore(store)).sessions({
    connection: 'orders',
    user: 'ana@example.com',
  })) {
    return session.session;
  }
  throw new Error(
    'The conversation took place and no recording of it is in the store. That is a defect: please report it.',
  );
}

function parseUpstream(text: string): URL {
  const url = URL.canParse(text) ? new URL(text) : undefined;
  if (url === undefined || !/^https?:$/.test(url.protocol) || url.search !== '' || url.username !== '') {
    throw new CommandError(
      2,
      `--upstream takes the address of an MCP server, like http://127.0.0.1:9000/mcp, not "${text}".`,
    );
  }
  return url;
}

function isLoopback(url: URL): boolean {
  return url.hostname === 'localhost' || url.hostname === '[::1]' || url.hostname.startsWith('127.');
}

async function freePort(): Promise<number> {
  const server = createServer();
  await new Promise<void>((done, fail) => {
    server.once('error', fail);
    server.listen(0, '127.0.0.1', done);
  });
  const address = server.address();
  await new Promise<void>((done) => server.close(() => done()));
  if (address === null || typeof address === 'string') throw new Error('No free port was found.');
  return address.port;
}

function portWords(error: unknown, first: number): unknown {
  if ((error as NodeJS.ErrnoException)?.code !== 'EADDRINUSE') return error;
  const ports = `${first} to ${first + 3}`;
  return new CommandError(
    1,
    `One of the ports ${ports} is in use. Stop what listens there, or choose: npm start -- --port 0`,
    { cause: error },
  );
}
