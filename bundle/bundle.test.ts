/** The bundles as they are used: in a folder with nothing beside them, on the Node that is deployed. */
import assert from 'node:assert/strict';
import { execFile, spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { appendFile, cp, mkdir, mkdtemp, readFile, rm, symlink, writeFile } from 'node:fs/promises';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { delimiter, join } from 'node:path';
import { createInterface } from 'node:readline';
import { text } from 'node:stream/consumers';
import { after, before, test } from 'node:test';
import { stringify } from 'yaml';
import { startOrders } from '../demo/orders.ts';
import { configurationFor, freePort } from '../test/gateway-under-test.ts';
import { startGcs } from '../test/gcs/gcs.ts';
import { startIssuer } from '../test/issuer.ts';
import { call } from '../test/raw-client.ts';
import { startSamlIdp } from '../test/saml-idp.ts';
import { type Bundle, bundle, bundleProgram } from './bundle.ts';

const WANTED = 24;
const root = join(import.meta.dirname, '..');
/** Where programs run: nothing is beside them or above them. */
let folder = '';
let copies = '';
let made: Bundle[] = [];

before(async () => {
  folder = await mkdtemp(join(tmpdir(), 'verbatim-bundle-'));
  copies = await mkdtemp(join(tmpdir(), 'verbatim-checkouts-'));
  made = await bundle({ root, out: join(folder, 'dist') });
});
after(async () => {
  for (const made of [folder, copies]) await rm(made, { recursive: true, force: true });
});

/** A checkout elsewhere, for a test to change. */
async function checkout(name: string): Promise<string> {
  const copy = join(copies, name);
  for (const part of ['gateway', 'demo', 'bundle', 'package.json', 'tsconfig.json']) {
    await cp(join(root, part), join(copy, part), { recursive: true });
  }
  await symlink(join(root, 'node_modules'), join(copy, 'node_modules'), 'junction');
  return copy;
}

interface Ran {
  readonly code: number;
  readonly out: string;
  readonly err: string;
}

function run(program: string, args: readonly string[], env: Record<string, string> = {}): Promise<Ran> {
  return new Promise((done) => {
    execFile(process.execPath, [program, ...args], { cwd: folder, env }, (error, out, err) => {
      done({ code: error === null ? 0 : Number(error.code), out, err });
    });
  });
}

const verbatim = (...args: string[]): Promise<Ran> => verbatimWith({}, ...args);
const verbatimWith = (env: Record<string, string>, ...args: string[]): Promise<Ran> =>
  run(join(folder, 'dist/verbatim.mjs'), args, env);

test('the same sources give the same bytes in every folder, whatever else package.json says', async () => {
  const copy = await checkout('same');
  const manifest = JSON.parse(await readFile(join(copy, 'package.json'), 'utf8')) as Record<string, unknown>;
  await writeFile(join(copy, 'package.json'), JSON.stringify({ ...manifest, scripts: { another: 'true' } }));
  const again = await bundle({ root: copy, out: join(copy, 'out') });
  assert.deepEqual(
    again.map(({ sha256 }) => sha256),
    made.map(({ sha256 }) => sha256),
  );
  assert.ok((await readFile(join(folder, 'dist/verbatim.licenses.txt'), 'utf8')).includes('\nundici 8.'));
});

test('no bundle is made that would hold the demo, or that would need a package beside it', async () => {
  const withDemo = await checkout('with-demo');
  await appendFile(join(withDemo, 'gateway/version.ts'), "export { DEMO_USERS } from '../demo/users.ts';\n");
  // What nothing uses is not in a bundle; it still shows that the import rule was broken.
  await assert.rejects(bundleProgram('verbatim', { root: withDemo, out: folder }), /would hold demo\/users\.ts/);
  const withPackage = await checkout('with-package');
  await appendFile(join(withPackage, 'gateway/version.ts'), "await import('not-installed').catch(() => {});\n");
  await assert.rejects(
    bundleProgram('verbatim', { root: withPackage, out: folder }),
    /would need not-installed beside/,
  );
});

test('alone in a folder: its version, its configuration check, and no demo', async () => {
  const { version } = JSON.parse(await readFile(join(root, 'package.json'), 'utf8')) as { version: string };
  assert.deepEqual(await verbatim('--version'), { code: 0, out: `${version}\n`, err: '' });
  const bad = join(folder, 'bad.yaml');
  await writeFile(bad, 'lisen: {}\n');
  assert.equal((await verbatim('config', 'check', bad)).code, 1);
  const demo = await verbatim('demo', '--once');
  assert.deepEqual([demo.code, demo.out], [2, '']);
  assert.match(demo.err, /not part of this bundle/);
  const source = await readFile(join(folder, 'dist/verbatim.mjs'), 'utf8');
  assert.ok(!source.includes('Ana Costa') && !source.includes('Demo identity provider without passwords'));
});

/** The bundle's gateway as a process, with a configuration that is good by its own word. */
async function startBundled(
  file: string,
  configuration: unknown,
  stack: AsyncDisposableStack,
  env: Record<string, string> = {},
) {
  await writeFile(file, stringify(configuration));
  const checked = await verbatim('config', 'check', file);
  assert.equal(checked.code, 0, checked.err);

  const child = spawn(process.execPath, ['dist/verbatim.mjs', 'gateway', '--json', '--config', file], {
    cwd: folder,
    env,
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  stack.defer(() => void child.kill('SIGKILL'));
  const said = text(child.stderr);
  const exited = once(child, 'exit');
  const [ready] = (await Promise.race([once(createInterface({ input: child.stdout }), 'line'), exited])) as [unknown];
  assert.equal(typeof ready, 'string', 'it starts');
  return {
    ...(JSON.parse(String(ready)) as { url: string; key: string }),
    async stop() {
      child.kill('SIGTERM');
      assert.deepEqual(await exited, [0, null], await said);
    },
  };
}

const INITIALIZE = JSON.stringify({
  jsonrpc: '2.0',
  id: 1,
  method: 'initialize',
  params: { protocolVersion: '2025-11-25', capabilities: {}, clientInfo: { name: 'bundle-test', version: '1' } },
});

test('alone in a folder: a gateway, a call through it, and the proof of what it recorded', {
  timeout: 30_000,
}, async () => {
  await using stack = new AsyncDisposableStack();
  const issuer = stack.adopt(await startIssuer(), ({ close }) => close());
  const orders = stack.adopt(await startOrders({ port: 0 }), ({ close }) => close());
  const { origin, pathname } = new URL(orders.url);
  const configuration = configurationFor({ folder, issuer, port: await freePort(), origin, pathname });
  const { url, key, stop } = await startBundled(join(folder, 'gateway.yaml'), configuration, stack);

  const described = await fetch(`${url}/.well-known/oauth-protected-resource/fixture${pathname}`);
  assert.equal(described.status, 200);
  const mcp = `${url}/fixture${pathname}`;
  const answer = await call(mcp, { token: await issuer.token(mcp), body: INITIALIZE }).answer;
  assert.equal(answer.status, 200);
  const released = (await answer.whole()).toString();
  assert.match(released, /"protocolVersion":"2025-11-25"/);

  await stop();
  const store = `file://${folder}/store`;
  const proof = await verbatim('verify', '--all', '--key', key, '--json', '--store', store);
  assert.equal(proof.code, 0, proof.out);
  const shown = await verbatim('show', 'latest', '--raw', '--side', 'response', '--store', store);
  assert.equal(shown.out, released);
});

test('alone in a folder: a gateway that records into a bucket, which it may not read', {
  timeout: 30_000,
}, async () => {
  await using stack = new AsyncDisposableStack();
  const create = ['roles/storage.objectCreator'] as const;
  const read = ['roles/storage.objectViewer'] as const;
  const buckets = {
    acme: { grants: { anonymous: create } },
    'acme-audit': { grants: { anonymous: create } },
    'acme-state': { grants: { anonymous: [...create, ...read] } },
  };
  const gcs = stack.adopt(await startGcs({ anonymous: [], buckets }), ({ close }) => close());
  const env = { STORAGE_EMULATOR_HOST: gcs.url };
  const issuer = stack.adopt(await startIssuer(), ({ close }) => close());
  const orders = stack.adopt(await startOrders({ port: 0 }), ({ close }) => close());
  const own = join(folder, 'bucket');
  await mkdir(own);
  const { origin, pathname } = new URL(orders.url);
  const at = { folder: own, issuer, port: await freePort(), origin, pathname };
  const configuration = configurationFor(at, { config: { stores: { recordings: 'gs://acme' } } });
  const { url, key, stop } = await startBundled(join(own, 'gateway.yaml'), configuration, stack, env);
  const mcp = `${url}/fixture${pathname}`;
  const answer = await call(mcp, { token: await issuer.token(mcp), body: INITIALIZE }).answer;
  const released = (await answer.whole()).toString();
  assert.match(released, /"protocolVersion":"2025-11-25"/);
  await stop();

  gcs.grant('acme', { anonymous: read });
  const shown = await verbatimWith(env, 'show', 'latest', '--raw', '--side', 'response', '--store', 'gs://acme');
  assert.equal(shown.out, released, shown.err);
  const listed = await verbatimWith(env, 'sessions', '--json', '--store', 'gs://acme');
  assert.match(listed.out, /"fixture"/);
  const withKey = await verbatimWith(env, 'verify', '--all', '--key', key, '--store', 'gs://acme');
  assert.equal(withKey.code, 0, withKey.err);
  // The keys of ledgers are in the audit bucket.
  gcs.grant('acme-audit', { anonymous: read });
  const proof = await verbatimWith(env, 'verify', '--all', '--json', '--store', 'gs://acme');
  assert.equal(proof.code, 0, proof.out);
});

/** A gateway of the bundle at which people log in, and with which `mapping` of an issuer's claims. */
async function startWithLogin(name: string, provider: unknown, port: number, stack: AsyncDisposableStack) {
  const orders = stack.adopt(await startOrders({ port: 0 }), ({ close }) => close());
  const own = join(folder, name);
  await mkdir(own);
  const { origin, pathname } = new URL(orders.url);
  const issuer = { url: 'https://agents.example.com' };
  const mapping = { condition: 'claims.repository.startsWith("acme/")', session: 'claims.run_id' };
  const configuration = {
    ...configurationFor({ folder: own, issuer, port, origin, pathname }),
    issuers: { agents: { issuer: issuer.url, kind: 'agent', mapping } },
    login: { providers: { corp: provider } },
  };
  return startBundled(join(own, 'gateway.yaml'), configuration, stack);
}

test('alone in a folder: a login by OpenID Connect, by both programs, and a call with its token', {
  timeout: 30_000,
}, async () => {
  await using stack = new AsyncDisposableStack();
  const [port, idpPort, ordersPort] = await Promise.all([freePort(), freePort(), freePort()]);
  const secret = join(folder, 'client-secret');
  await writeFile(secret, 'what the gateway shows\n');
  const callback = `http://127.0.0.1:${port}/oauth/callback/corp`;
  const parts = [`--callback=${callback}`, `--client-secret=${secret}`, `--idp-port=${idpPort}`];
  const args = ['dist/demo.mjs', 'serve', ...parts, `--orders-port=${ordersPort}`];
  const demo = spawn(process.execPath, args, { cwd: folder, env: {}, stdio: ['ignore', 'pipe', 'inherit'] });
  stack.defer(() => void demo.kill('SIGKILL'));
  const [addresses] = (await once(createInterface({ input: demo.stdout }), 'line')) as [string];
  const { idp } = JSON.parse(addresses) as { idp: string };

  const oidc = { issuer: idp, clientId: 'verbatim', clientSecret: `file:${secret}` };
  const { url, stop } = await startWithLogin('oidc', { oidc }, port, stack);
  const mcp = `${url}/fixture/mcp`;
  const login = await verbatim('login', mcp, '--as', 'ana');
  assert.equal(login.code, 0, login.err);
  const answer = await call(mcp, { token: login.out.trimEnd(), body: INITIALIZE }).answer;
  assert.equal(answer.status, 200);
  await answer.whole();
  const refused = await verbatim('login', mcp, '--as', 'carol');
  assert.deepEqual([refused.code, refused.out], [1, '']);
  assert.match(refused.err, /None of your groups/);
  await stop();
});

test('alone in a folder: a login by SAML', { timeout: 30_000 }, async () => {
  await using stack = new AsyncDisposableStack();
  const idp = stack.adopt(await startSamlIdp(), ({ close }) => close());
  const certificate = join(folder, 'idp.pem');
  await writeFile(certificate, idp.certificate);
  const { entryPoint, entityId } = idp;
  const saml = { entryPoint, entityId, certificates: [`file:${certificate}`] };
  const { url, stop } = await startWithLogin('saml', { saml }, await freePort(), stack);

  const cookies = new Map<string, string>();
  const go = async (target: string, form?: URLSearchParams): Promise<{ html: string; onward: string }> => {
    const response = await fetch(target, {
      redirect: 'manual',
      headers: { cookie: [...cookies].map(([name, value]) => `${name}=${value}`).join('; ') },
      ...(form === undefined ? {} : { method: 'POST', body: form }),
    });
    for (const line of response.headers.getSetCookie()) {
      const [name = '', value = ''] = line.split(';')[0]?.split('=') ?? [];
      cookies.set(name, value);
    }
    const html = await response.text();
    const meta = /http-equiv="refresh" content="0; url=([^"]+)"/.exec(html)?.[1]?.replaceAll('&amp;', '&');
    return { html, onward: response.headers.get('location') ?? meta ?? '' };
  };
  const csrf = /name="csrf" value="([^"]+)"/.exec((await go(`${url}/connect`)).html)?.[1] ?? '';
  const { onward } = await go(`${url}/connect/login?then=/connect`, new URLSearchParams({ csrf, action: 'continue' }));
  const asked = idp.read(onward);
  const back = await go(asked.acs, idp.answer(asked, { groups: ['analysts'] }));
  const done = await go(back.onward);
  const page = await go(done.onward);
  assert.match(page.html, new RegExp(`${url}/fixture/mcp`));
  await stop();
});

/** A Node of this machine that is too old, if there is one: `npm test` puts the locked one before it in PATH. */
function oldNode(): string | undefined {
  return (process.env.PATH ?? '')
    .split(delimiter)
    .map((place) => join(place, 'node'))
    .find((node) => {
      const { status, stdout } = spawnSync(node, ['--version'], { encoding: 'utf8' });
      return status === 0 && Number(/^v(\d+)\./.exec(stdout)?.[1] ?? WANTED) < WANTED;
    });
}

function tryOn(node: string, args: readonly string[]): { code: number | null; out: string; err: string } {
  const { status, stdout, stderr } = spawnSync(node, args, { encoding: 'utf8' });
  return { code: status, out: stdout, err: stderr };
}

test('on a Node that is too old: one sentence, and nothing else is loaded', (t) => {
  const programs = ['verbatim', 'demo'].map((name) => join(folder, 'dist', `${name}.mjs`));
  // As Node 20 seems to a program: its version, and no node:sqlite.
  const version = `data:text/javascript,Object.defineProperty(process.versions, 'node', { value: '20.20.2' })`;
  for (const program of programs) {
    assert.deepEqual(tryOn(process.execPath, ['--no-experimental-sqlite', '--import', version, program, '--help']), {
      code: 1,
      out: '',
      err: 'Verbatim needs Node 24 or newer; this is 20.20.2.\n',
    });
  }
  const node = oldNode();
  if (node === undefined) return t.skip(`no Node older than ${WANTED} is in PATH: its parser was not tried`);
  for (const program of programs) {
    const { code, out, err } = tryOn(node, [program, '--help']);
    assert.deepEqual([code, out], [1, '']);
    assert.match(err, /^Verbatim needs Node 24 or newer; this is \d+\.\d+\.\d+\.\n$/);
  }
});

test('google-auth-library, loaded at its first use, works inside a bundle', async (t) => {
  const asked: (string | undefined)[] = [];
  const metadata = createServer((request, response) => {
    asked.push(request.url);
    response.setHeader('metadata-flavor', 'Google').setHeader('content-type', 'application/json');
    response.end(JSON.stringify({ access_token: 'from-the-metadata-server', expires_in: 3600, token_type: 'Bearer' }));
  });
  await new Promise<void>((done) => metadata.listen(0, '127.0.0.1', done));
  t.after(() => metadata.close());
  const copy = await checkout('google');
  // In the place of the demo's command, so that exactly the options of the deployed bundle are what runs.
  await writeFile(
    join(copy, 'bundle/no-demo.ts'),
    `export async function runDemo() {
      const { Compute } = await import('google-auth-library');
      process.stdout.write(String((await new Compute().getAccessToken()).token));
    }\n`,
  );
  const probe = await bundleProgram('verbatim', { root: copy, out: join(folder, 'google') });
  const { port } = metadata.address() as AddressInfo;
  const ran = await run(probe.file, ['demo'], { GCE_METADATA_HOST: `127.0.0.1:${port}` });
  assert.deepEqual(ran, { code: 0, out: 'from-the-metadata-server', err: '' });
  assert.ok(asked.some((path) => path?.startsWith('/computeMetadata/v1/instance/service-accounts/default/token')));
});

test('the statement reader, its thread and its parsers work inside a bundle', async () => {
  const copy = await checkout('statements');
  // In the place of the demo's command, as above: nothing else of the program asks it yet.
  await writeFile(
    join(copy, 'bundle/no-demo.ts'),
    `import { createStatementReader } from '../gateway/statements/reader.ts';
    export async function runDemo() {
      const reader = createStatementReader({ timeout: 10_000 });
      const sql = (dialect: 'postgresql' | 'mysql' | 'bigquery' | 'sqlite') => ({ kind: 'sql' as const, dialect, text: 'select lower(a) from t' });
      const readings = await reader.read([
        ...(['postgresql', 'mysql', 'bigquery', 'sqlite'] as const).map(sql),
        { kind: 'shell', text: 'ls | wc' },
      ]);
      process.stdout.write(JSON.stringify([...readings.values()]));
      await reader.close();
    }\n`,
  );
  const probe = await bundleProgram('verbatim', { root: copy, out: join(folder, 'statements') });
  const ran = await run(probe.file, ['demo']);
  const select = { ok: true, commands: ['SELECT'], tables: ['t'], functions: ['lower'], readOnly: true };
  assert.deepEqual([ran.code, ran.err], [0, '']);
  assert.deepEqual(JSON.parse(ran.out), [select, select, select, select, { ok: true, programs: ['ls', 'wc'] }]);
});
