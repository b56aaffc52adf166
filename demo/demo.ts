/**
 * `verbatim demo`, what `npm start` runs: a real identity provider, a real MCP server, a real gateway between them and
 * ana's conversation through it. What is printed of that conversation is read back from the recording.
 */
import { writeFile } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { pathToFileURL } from 'node:url';
import { stringify } from 'yaml';
import { CommandError } from '../gateway/cli/context.ts';
import { stopSignal } from '../gateway/cli/gateway.ts';
import { login } from '../gateway/cli/login.ts';
import { ConfigurationError, type RunningGateway, startGateway } from '../gateway/gateway.ts';
import { createLog } from '../gateway/log.ts';
import { openRecordings } from '../gateway/recording/read.ts';
import { openStore } from '../gateway/store/open.ts';
import { type FileProblem, problemWords } from '../gateway/yaml-file.ts';
import { converse } from './conversation.ts';
import { type FirstLook, lookAt } from './first-look.ts';
import { DEMO_CLIENT, type Idp, startIdp } from './idp.ts';
import { approveAs, leadAmong, type Waiting } from './lead.ts';
import { createDemoLog } from './log.ts';
import { type Orders, startOrders } from './orders.ts';
import { type People, peopleInFile } from './people.ts';
import { choosePorts, makeFolder, secretInFile } from './places.ts';
import { demoReport } from './report.ts';
import { writeRules } from './rules.ts';
import { readYours, type YourOptions, type YourServer } from './your-server.ts';

export interface DemoOptions extends YourOptions {
  readonly once?: boolean;
  readonly json?: boolean;
  readonly dataDir?: string;
  /** The first of four: gateway, identity provider, MCP server, the visitor's stdio server. */
  readonly port?: number;
}

const DEFAULT_PORT = 7411;
const EVERYBODY = ['analysts', 'engineers', 'auditors', 'leads'];

export interface Demo {
  /** Origin of the gateway. */
  readonly gateway: string;
  readonly mcp: string;
  /** The visitor's own server at the gateway. */
  readonly yours: Yours | undefined;
  readonly idp: string;
  /** The page of a person's connections. */
  readonly connect: string;
  /** The file with the people and their groups. */
  readonly people: string;
  /** The folder with the rules. */
  readonly policies: string;
  /** The configuration of the gateway. */
  readonly configuration: string;
  /** Who approves, where anybody may; `failed` where that did not work. */
  readonly lead: { readonly name: string; readonly failed?: string } | undefined;
  readonly store: string;
  readonly session: string;
  /** Note verifier key of the gateway's ledger. */
  readonly key: string;
  close(): Promise<void>;
}

export interface Yours extends FirstLook {
  readonly mcp: string;
  /** Where the log of its host is, for a stdio server. */
  readonly log?: string;
}

/** Runs the demo until Ctrl-C, or with `once` until the conversation is told. */
export async function runDemo(options: DemoOptions): Promise<void> {
  const demo = await startDemo(options);
  try {
    if (options.json === true) {
      const { mcp, idp, store, session, key, yours } = demo;
      process.stdout.write(
        `${JSON.stringify({ mcp, idp, store, session, key, ...(yours === undefined ? {} : { yours: yours.mcp }) })}\n`,
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
  const startYours = readYours(options);
  const folder = resolve(options.dataDir ?? join('.verbatim', 'demo'));
  const ports = await choosePorts(options.port ?? DEFAULT_PORT);
  await makeFolder(folder);
  // An origin, since port 80 is not written in one: tokens are compared to the letter.
  const publicUrl = new URL(`http://127.0.0.1:${ports.gateway}`).origin;
  const mcpOf = (connection: string, upstream: URL): string => `${publicUrl}/${connection}${upstream.pathname}`;
  const opened: { close(): Promise<void> }[] = [];
  const close = async (): Promise<void> => {
    for (const part of opened.reverse()) await part.close();
  };
  try {
    const log = join(folder, 'stdio.log');
    const yours = await startYours?.({ port: ports.yours, gateway: publicUrl, log });
    if (yours !== undefined) opened.push(yours);
    const orders = await startOrders({ port: ports.orders });
    opened.push(orders);
    const mcp = mcpOf('orders', new URL(orders.url));
    const secretFile = join(folder, 'idp-client-secret');
    const peopleFile = join(folder, 'people.yaml');
    const people = await peopleInFile(peopleFile);
    const policies = join(folder, 'policies');
    await writeRules(policies, { yours: yours !== undefined });
    const idp = await startIdp({
      port: ports.idp,
      callbacks: () => [`${publicUrl}/oauth/callback/demo`],
      clientSecret: await secretInFile(secretFile),
      people,
      keyFile: join(folder, 'idp-key.json'),
      grantsFile: join(folder, 'idp-grants.json'),
    });
    opened.push(idp);
    const configuration = join(folder, 'verbatim.yaml');
    const parts = { folder, configuration, policies, port: ports.gateway, publicUrl, idp, secretFile, orders, yours };
    const gateway = await startGatewayFor(parts);
    opened.push(gateway);
    // Before the conversation, so that this is the latest session.
    const met = yours === undefined ? undefined : await meet(yours, mcpOf('yours', yours.url));
    const lead = await converseWithLead({ mcp, gateway: publicUrl, people });
    await gateway.seal();
    const store = pathToFileURL(join(folder, 'store')).href;
    return {
      gateway: publicUrl,
      mcp,
      yours: met,
      idp: idp.issuer,
      connect: `${publicUrl}/connect`,
      people: peopleFile,
      policies,
      configuration,
      lead,
      store,
      session: await sessionOf(store),
      key: gateway.verifierKey,
      close,
    };
  } catch (error) {
    await close();
    throw error;
  }
}

async function meet({ log }: YourServer, mcp: string): Promise<Yours> {
  const look = await lookAt({ mcpUrl: mcp, token: await tokenFor(mcp) });
  return { mcp, ...look, ...(log === undefined ? {} : { log }) };
}

/** Ana's conversation, while somebody approves what waits of it. */
async function converseWithLead(at: { mcp: string; gateway: string; people: People }): Promise<Demo['lead']> {
  const name = leadAmong(at.people);
  let failed: string | undefined;
  const approve = (as: string) => async (waiting: Waiting) => {
    try {
      await approveAs({ gateway: at.gateway, name: as }, waiting);
    } catch (error) {
      failed = error instanceof Error ? error.message : String(error);
      throw error;
    }
  };
  const token = await tokenFor(at.mcp);
  await converse({ mcpUrl: at.mcp, token, approve: name === undefined ? undefined : approve(name) });
  return name === undefined ? undefined : { name, ...(failed === undefined ? {} : { failed }) };
}

function tokenFor(mcpUrl: string): Promise<string> {
  return login({ mcpUrl, as: 'ana', write: () => {} });
}

async function startGatewayFor(parts: {
  folder: string;
  configuration: string;
  policies: string;
  port: number;
  publicUrl: string;
  idp: Idp;
  secretFile: string;
  orders: Orders;
  yours: YourServer | undefined;
}): Promise<RunningGateway> {
  const { folder, policies, port, publicUrl, idp, secretFile, orders, yours } = parts;
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
    policies,
    login: {
      // Somebody who is taken out of a group in people.yaml is to be seen leaving.
      recheckEvery: '5s',
      providers: {
        demo: {
          title: 'the demo’s identity provider',
          oidc: { issuer: idp.issuer, clientId: DEMO_CLIENT, clientSecret: `file:${secretFile}` },
        },
      },
    },
    connections: {
      orders: {
        title: 'Orders (sample)',
        ...upstreamOf(new URL(orders.url)),
        groups: ['analysts', 'engineers'],
        dialect: 'sqlite',
      },
      ...(yours === undefined
        ? {}
        : { yours: { title: 'Your own server', ...upstreamOf(yours.url), ...yours.settings, groups: EVERYBODY } }),
    },
  };
  const head = '# Written by `npm start` at each start: the configuration of the demo’s gateway.\n';
  await writeFile(parts.configuration, head + stringify(configuration));
  const log = createLog(createDemoLog(folder, (lines) => void process.stderr.write(lines)));
  return startGateway({ configFile: parts.configuration, log }).catch((error: unknown) => {
    if (!(error instanceof ConfigurationError)) throw error;
    throw new CommandError(1, wordsOf(error.problems));
  });
}

/** What a visitor gave stands in the configuration, and rules are theirs to edit; the rest is the demo's own. */
function wordsOf(problems: readonly FileProblem[]): string {
  const ofRules = problems.filter(({ file }) => file !== undefined).map((one) => problemWords('', one));
  if (ofRules.length > 0) {
    const mend = 'Mend the file; or move it away, and the demo writes its own again.';
    return ['The gateway does not take these rules.', ...ofRules, mend].join('\n');
  }
  const settings = problems.map(({ key, problem, fix }) => `${key} ${problem}. ${fix}`);
  return `The gateway does not take these settings. ${settings.join(' ')}`;
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

function isLoopback(url: URL): boolean {
  return url.hostname === 'localhost' || url.hostname === '[::1]' || url.hostname.startsWith('127.');
}
