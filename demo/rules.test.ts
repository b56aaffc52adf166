import assert from 'node:assert/strict';
import { mkdir, mkdtemp, readdir, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { ORDERS_DECISIONS, ORDERS_RULES, writeRules } from './rules.ts';

let folder = '';
before(async () => {
  folder = await mkdtemp(join(tmpdir(), 'verbatim-rules-'));
});
after(() => rm(folder, { recursive: true }));

const files = async (policies: string): Promise<string[]> => (await readdir(join(policies, 'access'))).sort();

test('made where there are none, each with its decisions; those of a server of one’s own with that server', async () => {
  const policies = join(folder, 'made');
  await writeRules(policies, { yours: false });
  assert.deepEqual(await files(policies), ['orders.decisions.yaml', 'orders.yaml']);
  await writeRules(policies, { yours: true });
  assert.deepEqual(await files(policies), [
    'orders.decisions.yaml',
    'orders.yaml',
    'yours.decisions.yaml',
    'yours.yaml',
  ]);
  const path = join(policies, 'access', 'orders.yaml');
  assert.match(await readFile(path, 'utf8'), /^# Written once by `npm start`, and yours from then on: /);
  assert.equal((await stat(path)).mode & 0o777, 0o600);
});

test('rules that are there stay as they are, and no decisions are made for them', async () => {
  const policies = join(folder, 'kept');
  await mkdir(join(policies, 'access'), { recursive: true });
  await writeFile(join(policies, 'access', 'orders.yaml'), '# mine\n');
  await writeRules(policies, { yours: false });
  assert.deepEqual(await files(policies), ['orders.yaml']);
  assert.equal(await readFile(join(policies, 'access', 'orders.yaml'), 'utf8'), '# mine\n');
});

test('compose.yaml’s gateway has the same rules', async () => {
  const access = join(import.meta.dirname, '../compose/etc/policies/access');
  const below = async (name: string): Promise<string> =>
    (await readFile(join(access, name), 'utf8')).replace(/^# .*\n/, '');
  assert.equal(await below('orders.yaml'), ORDERS_RULES);
  assert.equal(await below('orders.decisions.yaml'), ORDERS_DECISIONS);
});
