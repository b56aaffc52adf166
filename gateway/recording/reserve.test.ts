import assert from 'node:assert/strict';
import { mkdtemp, readdir, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, beforeEach, test } from 'node:test';
import { giveForSealing, leftReserve, openReserve } from './reserve.ts';

const root = await mkdtemp(join(tmpdir(), 'verbatim-reserve-'));
after(() => rm(root, { recursive: true, force: true }));
let folder = '';
beforeEach(async () => {
  folder = await mkdtemp(join(root, 'd-'));
});

const SIZE = 3 * 1024 ** 2;

test('reserved bytes are blocks of the disk, not a length', async () => {
  const reserve = await openReserve(folder, SIZE);
  assert.deepEqual([reserve.bytes(), reserve.isWhole()], [0, false]);
  await reserve.take();
  for (const name of ['reserve.journal', 'reserve.sealing']) {
    const { size, blocks } = await stat(join(folder, name));
    assert.equal(size, SIZE);
    assert.ok(blocks * 512 >= SIZE, `${name}: ${blocks}`);
  }
  assert.deepEqual([reserve.bytes(), reserve.isWhole()], [2 * SIZE, true]);
});

test('each is given back once, for its own purpose, and taken again', async () => {
  const reserve = await openReserve(folder, SIZE);
  await reserve.take();
  assert.equal(await reserve.give('journal'), true);
  assert.equal(await reserve.give('journal'), false);
  assert.deepEqual(await readdir(folder), ['reserve.sealing'], 'what sealing needs is not touched by answers');
  await reserve.take();
  assert.deepEqual([reserve.bytes(), reserve.isWhole()], [2 * SIZE, true]);
});

test('the next start keeps a whole one, and takes one of another size anew', async () => {
  await (await openReserve(folder, SIZE)).take();
  const before = await stat(join(folder, 'reserve.journal'));
  const again = await openReserve(folder, SIZE);
  assert.equal(again.isWhole(), true);
  await again.take();
  assert.equal((await stat(join(folder, 'reserve.journal'))).ino, before.ino);
  // A torn one, as another version or a fault may leave it.
  await writeFile(join(folder, 'reserve.sealing'), 'x');
  const torn = await openReserve(folder, SIZE);
  assert.equal(torn.isWhole(), false);
  await torn.take();
  assert.equal((await stat(join(folder, 'reserve.sealing'))).size, SIZE);
});

test('one that somebody removed is not given back, and does not stop what needed it', async () => {
  const reserve = await openReserve(folder, SIZE);
  await reserve.take();
  await rm(join(folder, 'reserve.journal'));
  await assert.rejects(reserve.give('journal'));
  assert.equal(await reserve.give('journal'), false);
});

test('sealing may use both, its own first, and what somebody removed of it does not stop it', async () => {
  const reserve = await openReserve(folder, SIZE);
  await reserve.take();
  assert.equal(await giveForSealing(reserve), true);
  assert.deepEqual(await readdir(folder), ['reserve.journal']);
  assert.equal(await giveForSealing(reserve), true);
  assert.deepEqual(await readdir(folder), []);
  assert.equal(await giveForSealing(reserve), false);
  await reserve.take();
  await rm(join(folder, 'reserve.sealing'));
  assert.equal(await giveForSealing(reserve), true);
  assert.deepEqual(await readdir(folder), []);
});

test('what a gateway that is gone left of it is given back where it lies', async () => {
  await (await openReserve(folder, SIZE)).take();
  const left = leftReserve(folder);
  assert.equal(await left.give('journal'), true);
  assert.equal(await left.give('journal'), false);
  assert.deepEqual(await readdir(folder), ['reserve.sealing']);
  assert.equal(await giveForSealing(left), true);
  assert.deepEqual(await readdir(folder), []);
});
