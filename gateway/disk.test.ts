import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, readdir, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, beforeEach, test } from 'node:test';
import { openDisk } from './disk.ts';
import { makeFolder, writeDurably } from './durable-file.ts';

const root = await mkdtemp(join(tmpdir(), 'verbatim-disk-'));
after(() => rm(root, { recursive: true, force: true }));

let folder = '';
beforeEach(async () => {
  folder = join(await mkdtemp(join(root, 'd-')), 'deep', 'disk');
});

const BUSY = { name: 'DiskBusyError', message: /is in use by another Verbatim process/ };

test('a disk keeps its id and its keys, readable by nobody else', async () => {
  const first = await openDisk(folder);
  await first.release();
  const second = await openDisk(folder);
  assert.deepEqual({ ...second, release: 0 }, { ...first, release: 0 });
  await second.release();
  for (const name of ['keys', 'keys/master', 'ledger-id']) {
    assert.equal((await stat(join(folder, name))).mode & 0o077, 0, name);
  }
  const keys = Object.values(first.keys).map(String);
  assert.equal(new Set(keys).size, keys.length);
});

test('another process holds the disk until it is killed, however long its path is', async () => {
  folder = join(folder, 'x'.repeat(120));
  const program = `
    const { openDisk } = await import(${JSON.stringify(import.meta.resolve('./disk.ts'))});
    await openDisk(${JSON.stringify(folder)});
    console.log('open');
    setInterval(() => {}, 1000);
  `;
  const child = spawn(process.execPath, ['--input-type=module', '-e', program], {
    stdio: ['ignore', 'pipe', 'ignore'],
  });
  const exited = once(child, 'exit');
  await once(child.stdout, 'data');
  await assert.rejects(openDisk(folder), BUSY);
  await assert.rejects(openDisk(folder), BUSY);
  child.kill('SIGKILL');
  await exited;
  const disk = await openDisk(folder);
  await disk.release();
});

test('of many that open at once one gets it; its release lets the next in', async () => {
  const opened = await Promise.allSettled(Array.from({ length: 8 }, () => openDisk(folder)));
  const got = opened.flatMap((result) => (result.status === 'fulfilled' ? [result.value] : []));
  assert.equal(got.length, 1);
  for (const result of opened) if (result.status === 'rejected') assert.equal(result.reason.name, 'DiskBusyError');
  await got[0]?.release();
  await (await openDisk(folder)).release();
});

test('a start that died between the keys and the id goes on with those keys', async () => {
  await (await openDisk(folder)).release();
  const master = await readFile(join(folder, 'keys', 'master'));
  await rm(join(folder, 'ledger-id'));
  await (await openDisk(folder)).release();
  assert.deepEqual(await readFile(join(folder, 'keys', 'master')), master);
});

test('a used disk without its master key is refused, gets no new one, and is let go', async () => {
  await (await openDisk(folder)).release();
  const path = join(folder, 'keys', 'master');
  const bytes = await readFile(path);
  await rm(path);
  await assert.rejects(openDisk(folder), /is missing from a disk that has been in use/);
  await assert.rejects(stat(path), { code: 'ENOENT' });
  await writeFile(path, bytes);
  await (await openDisk(folder)).release();
});

test('a broken id is refused', async () => {
  await (await openDisk(folder)).release();
  await writeFile(join(folder, 'ledger-id'), '../../elsewhere\n');
  await assert.rejects(openDisk(folder), /does not hold a ledger's id/);
});

test('what cut-off writes left is removed', async () => {
  await (await openDisk(folder)).release();
  await writeFile(join(folder, 'round.0.tmp'), 'half');
  await writeFile(join(folder, 'keys', 'master.0.tmp'), 'half');
  await (await openDisk(folder)).release();
  const names = [...(await readdir(folder)), ...(await readdir(join(folder, 'keys')))];
  assert.deepEqual(
    names.filter((name) => name.endsWith('.tmp')),
    [],
  );
});

test('a durable write replaces whole or not at all, and leaves nothing behind', async () => {
  await makeFolder(folder);
  const path = join(folder, 'file');
  await writeDurably(path, [Buffer.from('a'), Buffer.from('b')]);
  assert.equal(await readFile(path, 'utf8'), 'ab');
  await makeFolder(join(folder, 'taken'));
  await assert.rejects(writeDurably(join(folder, 'taken'), [Buffer.from('c')]));
  await assert.rejects(writeDurably(path, ['not bytes' as unknown as Uint8Array, 7 as unknown as Uint8Array]));
  assert.deepEqual((await readdir(folder)).sort(), ['file', 'taken']);
  assert.equal(await readFile(path, 'utf8'), 'ab');
});
