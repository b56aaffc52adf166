/**
 * compose.yaml without a container engine: its words against the schema of the Compose Specification and against rules of
 * our own, its commands and health checks as plain processes, and a conversation through them.
 */
import assert from 'node:assert/strict';
import { type ChildProcess, execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { cp, mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { request } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { after, before, test } from 'node:test';
import { promisify } from 'node:util';
import { Ajv } from 'ajv';
import { parse } from 'yaml';
import { bundle } from '../bundle/bundle.ts';
import schema from './compose-spec.json' with { type: 'json' };
import { freePort } from './gateway-under-test.ts';
import { connectSdk2 } from './official-clients.ts';

interface Service {
  readonly image: string;
  readonly entrypoint: readonly string[];
  readonly command: readonly string[];
  readonly user: string;
  readonly read_only: boolean;
  readonly cap_drop: readonly string[];
  readonly security_opt: readonly string[];
  readonly network_mode?: string;
  readonly ports?: readonly string[];
  readonly secrets?: readonly string[];
  readonly volumes: readonly { type: 'bind' | 'volume'; source: string; target: string; read_only?: boolean }[];
  readonly healthcheck?: { readonly test: readonly string[] };
}

interface ComposeFile {
  readonly services: Record<'demo' | 'gateway' | 'conversation', Service>;
  readonly secrets: Record<string, { readonly file: string }>;
}

const root = join(import.meta.dirname, '..');
// Compose reads YAML 1.1's merge keys, the parser by default those of no version.
const compose = parse(readFileSync(join(root, 'compose.yaml'), 'utf8'), { merge: true }) as ComposeFile;
const services = Object.entries(compose.services);

function schemaProblems(file: unknown): string[] {
  // The file names its dialect by an address that is not the dialect's id.
  const { $schema: _dialect, ...rules } = schema;
  const validate = new Ajv({ strict: false, allErrors: true }).compile(rules);
  return validate(file) ? [] : (validate.errors ?? []).map(({ instancePath, message }) => `${instancePath} ${message}`);
}

test('it is a Compose file, and a misspelt key is not', () => {
  assert.deepEqual(schemaProblems(compose), []);
  const { demo } = compose.services;
  assert.notDeepEqual(schemaProblems({ services: { demo: { ...demo, read_onyl: true } } }), []);
  assert.notDeepEqual(schemaProblems({ services: { demo: { ...demo, healthcheck: { test: 7 } } } }), []);
});

test('every service has a pinned image, no privileges, nothing to write but the volume, and no port beyond loopback', () => {
  for (const [name, service] of services) {
    assert.match(service.image, /^gcr\.io\/distroless\/nodejs24-debian13:nonroot@sha256:[0-9a-f]{64}$/, name);
    assert.deepEqual(
      [service.user, service.read_only, service.cap_drop, service.security_opt],
      ['65532:65532', true, ['ALL'], ['no-new-privileges:true']],
      name,
    );
    for (const { type, read_only: readOnly, target } of service.volumes) {
      assert.ok(type === 'bind' ? readOnly === true : target === '/home/nonroot', `${name} ${target}`);
    }
    for (const port of service.ports ?? []) assert.match(port, /^127\.0\.0\.1:\d+:\d+$/, name);
    assert.ok(service.network_mode === undefined || service.network_mode === 'service:demo', name);
    assert.ok(!('privileged' in service) && !('environment' in service), name);
  }
});

let folder = '';
before(async () => {
  folder = await mkdtemp(join(tmpdir(), 'verbatim-compose-'));
});
after(() => rm(folder, { recursive: true, force: true }));

interface Running {
  readonly child: ChildProcess;
  /** What it said on stderr, when it has ended. */
  readonly said: Promise<string>;
  readonly exited: Promise<unknown>;
}

interface Host {
  /** A text of compose.yaml or of a file that it mounts, as it is true on this host. */
  here(text: string): string;
  start(name: keyof ComposeFile['services']): Running;
  /** Runs the health check until it passes: what `condition: service_healthy` waits for. */
  healthy(name: 'demo' | 'gateway', running: Running): Promise<void>;
}

/** Everything that an engine would map, mapped to this host: Node, mounts, secrets, ports, addresses. */
async function createHost(): Promise<Host> {
  await bundle({ root, out: join(folder, 'dist') });
  await mkdir(join(folder, 'recordings'));
  const places = new Map([
    ['/nodejs/bin/node', process.execPath],
    ['/run/secrets/', `${join(folder, 'secrets')}/`],
    // Published on the host's loopback only.
    ['0.0.0.0', '127.0.0.1'],
  ]);
  for (const port of ['7411', '7412', '7413', '8412']) places.set(port, String(await freePort()));
  for (const { source, target, type } of services.flatMap(([, { volumes }]) => volumes)) {
    places.set(target, join(folder, type === 'volume' ? source : source.replace('./compose/', '')));
  }
  // Longest first: no place may be found inside another.
  const sought = [...places.keys()].sort((a, b) => b.length - a.length).map((place) => place.replaceAll('.', '\\.'));
  const here = (text: string): string =>
    text.replaceAll(new RegExp(sought.join('|'), 'g'), (place) => places.get(place) ?? place);

  await cp(join(root, 'compose/etc'), join(folder, 'etc'), { recursive: true });
  const configuration = join(folder, 'etc/gateway.yaml');
  await writeFile(configuration, here(await readFile(configuration, 'utf8')));
  await mkdir(join(folder, 'secrets'));
  for (const name of services.flatMap(([, { secrets = [] }]) => secrets)) {
    await cp(join(root, compose.secrets[name]?.file ?? ''), join(folder, 'secrets', name));
  }

  return {
    here,
    start(name) {
      const { entrypoint, command } = compose.services[name];
      return startProcess([...entrypoint, ...command].map(here));
    },
    async healthy(name, { child, said }) {
      const [kind, ...command] = compose.services[name].healthcheck?.test ?? [];
      assert.equal(kind, 'CMD');
      for (;;) {
        assert.equal(child.exitCode, null, child.exitCode === null ? '' : await said);
        const [code] = (await startProcess(command.map(here)).exited) as [number];
        if (code === 0) return;
      }
    },
  };
}

/** Without any variable of this environment, in a folder of its own. */
function startProcess([program = '', ...args]: readonly string[]): Running {
  const child = spawn(program, args, { cwd: folder, env: {}, stdio: ['ignore', 'ignore', 'pipe'] });
  return { child, said: text(child.stderr), exited: once(child, 'exit') };
}

/** Ends a service as an engine does. */
async function stop({ child, said, exited }: Running): Promise<void> {
  child.kill('SIGTERM');
  assert.deepEqual(await exited, [0, null], await said);
}

async function verbatim(host: Host, ...args: string[]): Promise<string> {
  const program = host.here('/app/verbatim.mjs');
  return (await promisify(execFile)(process.execPath, [program, ...args], { cwd: folder, env: {} })).stdout;
}

/** Fetches under a name that is not the address: fetch sets `Host` itself. */
function fetchAs(host: string, url: string): Promise<string> {
  return new Promise((done, fail) => {
    request(url, { headers: { host }, agent: false }, (answer) => text(answer).then(done, fail))
      .on('error', fail)
      .end();
  });
}

test('its commands, as plain processes: healthy, a login, a conversation, a proof', { timeout: 60_000 }, async (t) => {
  const host = await createHost();
  const running: Running[] = [];
  t.after(() => {
    for (const { child } of running) child.kill('SIGKILL');
  });
  const up = async (name: 'demo' | 'gateway'): Promise<Running> => {
    const started = host.start(name);
    running.push(started);
    await host.healthy(name, started);
    return started;
  };
  const demo = await up('demo');
  const gateway = await up('gateway');
  const mcp = host.here('http://127.0.0.1:7411/orders/mcp');

  // What the host's browser does: the port that is published leads to the relay, under the issuer's own name.
  const issuer = host.here('http://127.0.0.1:7412');
  const [, published = ''] = /^127\.0\.0\.1:7412:(\d+)$/m.exec((compose.services.demo.ports ?? []).join('\n')) ?? [];
  const metadata = await fetchAs(
    new URL(issuer).host,
    host.here(`http://127.0.0.1:${published}/.well-known/openid-configuration`),
  );
  assert.equal((JSON.parse(metadata) as { issuer: string }).issuer, issuer);

  const conversation = host.start('conversation');
  assert.deepEqual(await conversation.exited, [0, null], await conversation.said);

  const token = (await verbatim(host, 'login', mcp, '--as', 'ana')).trimEnd();
  const client = await connectSdk2('legacy')(mcp, token);
  assert.match(await client.callTool('query', { sql: 'SELECT count(*) AS n FROM customers' }), /n/);
  await client.close();

  await stop(gateway);
  await stop(demo);
  const store = host.here('file:///home/nonroot/store');
  const sessions = JSON.parse(await verbatim(host, 'sessions', '--json', '--store', store)) as {
    client: { name: string };
  }[];
  assert.deepEqual(sessions.map(({ client }) => client.name).sort(), ['verbatim-demo', 'verbatim-test']);
  const proof = await verbatim(host, 'verify', '--all', '--json', '--store', store);
  assert.equal((JSON.parse(proof) as { ok: boolean }).ok, true);
});
