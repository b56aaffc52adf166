import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { mkdir, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir, userInfo } from 'node:os';
import { join } from 'node:path';
import { PassThrough } from 'node:stream';
import { after, before, test } from 'node:test';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { stringify } from 'yaml';
import { freezeName } from '../sessions/freeze.ts';
import { createFilesystemStore } from '../store/filesystem.ts';
import { createContext } from './context.ts';
import { runFreeze } from './freeze.ts';

const BIN = fileURLToPath(new URL('./bin.js', import.meta.url));
const WHY = ['--reason', 'leaked credential'];

let root: string;
before(async () => {
  root = await mkdtemp(join(tmpdir(), 'verbatim-freeze-cli-'));
});
after(() => rm(root, { recursive: true, force: true }));

/** A folder with a configuration `gateway.yaml`, as the gateways of its stores run with. */
async function place(name: string, file = 'gateway.yaml'): Promise<string> {
  const folder = join(root, name);
  await mkdir(join(folder, file, '..'), { recursive: true });
  const connection = { upstream: { url: 'https://orders.internal' }, groups: ['all'], credential: { none: true } };
  const configuration = {
    listen: { host: '127.0.0.1', port: 8080 },
    publicUrl: 'http://127.0.0.1:8080',
    data: './data',
    stores: { recordings: pathToFileURL(join(folder, 'store')).href },
    policies: 'allow-all',
    issuers: { corp: { issuer: 'https://idp.example.com' } },
    connections: { orders: connection, tickets: connection },
  };
  await writeFile(join(folder, file), stringify(configuration));
  return folder;
}

function freeze(cwd: string, ...args: string[]) {
  const { status, stdout, stderr } = spawnSync(process.execPath, [BIN, 'freeze', ...args], { cwd, encoding: 'utf8' });
  return { status, stdout, stderr };
}

/** Every object of a store, by name. */
async function objectsIn(folder: string, store: string): Promise<Map<string, Record<string, unknown>>> {
  const objects = new Map<string, Record<string, unknown>>();
  const at = join(folder, store);
  for (const name of (await readdir(at, { recursive: true }).catch(() => [])).sort()) {
    if (name.endsWith('.json')) objects.set(name, JSON.parse(await readFile(join(at, name), 'utf8')));
  }
  return objects;
}

test('freeze, list, lift: the objects are as the gateways read them, each recorded', async () => {
  const folder = await place('whole');
  const config = ['--config', 'gateway.yaml'];
  const began = Date.now();
  const scope = ['--connection', 'orders', '--tool', 'delete_*', '--user', 'ana@example.com'];
  const made = freeze(folder, ...scope, ...WHY, '--for', '2h', ...config);
  assert.equal(made.status, 0, made.stderr);
  const id = /^id +(\S+)$/m.exec(made.stdout)?.[1] ?? '';
  assert.match(made.stdout, /^frozen +calls of tool delete_\* on connection orders by ana@example\.com$/m);
  assert.match(made.stdout, /In force on every gateway within 5 s/);
  assert.ok(made.stdout.includes(`npx verbatim freeze --lift ${id} --reason "…" --config gateway.yaml`));

  const state = (await objectsIn(folder, 'store-state')).get(freezeName(id));
  const actor = `os:${userInfo().username}`;
  const { at, expires, ...rest } = state ?? {};
  const wanted = { connection: 'orders', tool: 'delete_*', user: 'ana@example.com' };
  assert.deepEqual(rest, { id, scope: wanted, reason: 'leaked credential', actor });
  assert.ok(Number(at) >= began && Number(expires) === Number(at) + 2 * 3_600_000);

  const [listed, another] = JSON.parse(freeze(folder, '--list', '--json', ...config).stdout);
  assert.deepEqual([listed.id, listed.scope, listed.actor, another], [id, wanted, actor, undefined]);
  assert.equal(Date.parse(listed.expires), expires);
  assert.match(
    freeze(folder, '--list', ...config).stdout,
    new RegExp(`^${id}  calls of tool .*leaked credential$`, 'm'),
  );

  const why = ['--reason', 'changed', '--actor', 'carol'];
  const lifted = freeze(folder, '--lift', id.slice(0, 13), ...why, ...config, '--json');
  assert.deepEqual(JSON.parse(lifted.stdout), { id, lifted: true, reason: 'changed', actor: 'carol' });
  const nothing = freeze(folder, '--list', ...config);
  assert.deepEqual([nothing.status, nothing.stdout, nothing.stderr], [0, '', 'Nothing is frozen.\n']);
  assert.deepEqual(JSON.parse(freeze(folder, '--list', '--json', ...config).stdout), []);
  assert.equal(freeze(folder, '--lift', id, ...why, ...config).status, 1, 'lifted already');

  const audit = [...(await objectsIn(folder, 'store-audit')).values()].map((object) => [object.kind, object.actor]);
  assert.deepEqual(audit, [
    ['freeze.created', actor],
    ['freeze.lifted', 'carol'],
  ]);
});

test('a day where nothing was said, no end where it is to be lifted; as JSON', async () => {
  const folder = await place('times');
  const asked = ['--all', ...WHY, '--config', 'gateway.yaml', '--json'];
  const day = JSON.parse(freeze(folder, ...asked).stdout);
  assert.equal(Date.parse(day.expires) - Date.parse(day.at), 86_400_000);
  const open = JSON.parse(freeze(folder, ...asked, '--until-lifted').stdout);
  assert.deepEqual([open.expires, open.scope], [undefined, { all: true }]);
  assert.match(open.lift, new RegExp(`--lift ${open.id} `));
});

test('without --config it is the demo of this folder; without either there is no guess', async () => {
  const folder = await place('demo', '.verbatim/demo/verbatim.yaml');
  const made = freeze(folder, '--connection', 'tickets', ...WHY);
  assert.equal(made.status, 0, made.stderr);
  assert.match(made.stdout, /--lift \S+ --reason "…"$/m);
  assert.equal((await objectsIn(folder, 'store-state')).size, 1);
  const lost = freeze(root, '--all', ...WHY);
  assert.deepEqual([lost.status, /--config/.test(lost.stderr)], [2, true]);
  const mistyped = freeze(folder, '--all', ...WHY, '--config', 'nope.yaml');
  assert.deepEqual([mistyped.status, mistyped.stderr], [1, 'verbatim: nope.yaml does not exist.\n']);
});

test('--state and --audit: stores that are there, both of them', async () => {
  const folder = await place("it's stores");
  const [state, audit] = [pathToFileURL(join(folder, 'state')).href, pathToFileURL(join(folder, 'audit')).href];
  const asked = ['--connection', 'whatever', ...WHY];
  assert.equal(freeze(folder, ...asked, '--state', state).status, 2);
  assert.equal(freeze(folder, ...asked, '--state', state, '--audit', audit, '--config', 'gateway.yaml').status, 2);
  assert.equal(freeze(folder, ...asked, '--state', state, '--audit', audit).status, 1, 'no such stores');
  assert.equal(freeze(folder, ...asked, '--state', 'memory:', '--audit', 'memory:').status, 2);
  await mkdir(join(folder, 'state'));
  await mkdir(join(folder, 'audit'));
  const made = freeze(folder, ...asked, '--state', state, '--audit', audit);
  assert.equal(made.status, 0, made.stderr);
  assert.match(made.stderr, /was not checked/);
  const command = /npx verbatim freeze (--lift .*)$/m.exec(made.stdout)?.[1] ?? '';
  // The printed command works as it stands in a shell, whatever the folder is called.
  const typed = `"${process.execPath}" "${BIN}" freeze ${command}`;
  assert.equal(spawnSync('sh', ['-c', typed], { cwd: folder }).status, 0, typed);
});

const screen = (): PassThrough => new PassThrough();

for (const [what, options] of [
  ['nothing named', {}],
  ['all and a part', { all: true, tool: 'x' }],
  ['no reason', { all: true, reason: '' }],
  ['a reason of two lines', { all: true, reason: 'one\ntwo' }],
  ['a reason that reorders', { all: true, reason: 'x\u202ey' }],
  ['a long reason', { all: true, reason: 'x'.repeat(501) }],
  ['both ends', { all: true, for: '1h', untilLifted: true }],
  ['a time without unit', { all: true, for: '10' }],
  ['no time at all', { all: true, for: '0s' }],
  ['more than a year', { all: true, for: '366d' }],
  ['an empty tool', { tool: '' }],
  ['no user', { user: ' ' }],
  ['what can be no connection', { connection: '_system' }],
  ['an actor that was not seen', { all: true, actor: 'os:root' }],
  ['listing a scope', { list: true, all: true }],
  ['listing and lifting', { list: true, lift: 'x' }],
  ['lifting a scope', { lift: 'x', connection: 'orders' }],
] as const) {
  test(`${what} is exit code 2, and nothing is written`, async () => {
    const folder = await place(`wrong ${what}`);
    const context = createContext({ stdout: screen(), stderr: screen(), env: {}, cwd: () => folder });
    const asked = { reason: 'list' in options ? undefined : 'leaked credential', ...options };
    const defined = Object.fromEntries(Object.entries(asked).filter(([, value]) => value !== undefined));
    await assert.rejects(runFreeze(context, { ...defined, config: join(folder, 'gateway.yaml') }), { exitCode: 2 });
    assert.equal((await objectsIn(folder, 'store-state')).size + (await objectsIn(folder, 'store-audit')).size, 0);
  });
}

test('without a reason there is neither freeze nor lift', async () => {
  const folder = await place('reasonless');
  assert.equal(freeze(folder, '--all', '--config', 'gateway.yaml').status, 2);
  assert.equal(freeze(folder, '--lift', 'x', '--config', 'gateway.yaml').status, 2);
});

test('a connection that the configuration does not have is refused with the likely one', async () => {
  const folder = await place('near');
  const near = freeze(folder, '--connection', 'order', ...WHY, '--config', 'gateway.yaml');
  assert.deepEqual([near.status, /Did you mean orders\?/.test(near.stderr)], [2, true]);
  const far = freeze(folder, '--connection', 'elsewhere', ...WHY, '--config', 'gateway.yaml');
  assert.deepEqual([far.status, /It has: orders, tickets\./.test(far.stderr)], [2, true]);
  const inherited = freeze(folder, '--connection', 'constructor', ...WHY, '--config', 'gateway.yaml');
  assert.equal(inherited.status, 2);
});

test('a configuration with mistakes is refused with the way around it', async () => {
  const folder = await place('mistakes');
  await writeFile(join(folder, 'gateway.yaml'), 'listen: nowhere\n');
  const refused = freeze(folder, '--all', ...WHY, '--config', 'gateway.yaml');
  assert.deepEqual([refused.status, /--state URL --audit URL/.test(refused.stderr)], [1, true]);
});

test('hostile text of a freeze is written out; one that can not be read is listed and can be lifted', async () => {
  const folder = await place('hostile');
  const config = ['--config', 'gateway.yaml'];
  const state = createFilesystemStore({ root: join(folder, 'store-state') });
  await state.create('freezes/\u202ehand.json', Buffer.from('{"reason":"\u001b[2J"}'));
  const listed = freeze(folder, '--list', ...config);
  assert.match(listed.stdout, /^\\u\{202e\}hand +all calls +it is lifted +unknown +.*can not be read/m);
  assert.ok(!/[\u001b\u202e]/.test(listed.stdout));
  assert.equal(freeze(folder, '--lift', '', ...WHY, ...config).status, 1, 'no id is not every id');
  const lifted = freeze(folder, '--lift', '\u202eh', ...WHY, ...config);
  assert.deepEqual([lifted.status, /[\u202e]/.test(lifted.stdout)], [0, false]);
  assert.equal(freeze(folder, '--list', ...config).stdout, '');
});

test('a missing reason is asked for: only a freeze has clients to tell', async () => {
  const folder = await place('reasons');
  const config = ['--config', 'gateway.yaml'];
  assert.match(freeze(folder, '--all', ...config).stderr, /it is recorded, and clients are told\./);
  const lifting = freeze(folder, '--lift', '01', ...config);
  assert.deepEqual([lifting.status, /it is recorded\.$/m.test(lifting.stderr)], [2, true]);
  const path = freeze(folder, '--all', ...WHY, '--state', '/tmp/x', '--audit', 'file:///tmp/y');
  assert.deepEqual([path.status, /Write file:\/\/\/tmp\/x\./.test(path.stderr)], [2, true]);
});

test('a hostile file name is written out', async () => {
  const folder = await place('file name', 'gate\u202eway.yaml');
  const made = freeze(folder, '--all', ...WHY, '--config', 'gate\u202eway.yaml');
  assert.deepEqual([made.status, made.stdout.includes('gate\\u{202e}way.yaml')], [0, true]);
});

test('a beginning that two freezes share lifts neither', async () => {
  const folder = await place('ambiguous');
  const config = ['--config', 'gateway.yaml'];
  for (let count = 0; count < 2; count++) assert.equal(freeze(folder, '--all', ...WHY, ...config).status, 0);
  assert.equal(freeze(folder, '--lift', '01', ...WHY, ...config).status, 2);
  assert.equal(JSON.parse(freeze(folder, '--list', '--json', ...config).stdout).length, 2);
});
