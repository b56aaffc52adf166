import assert from 'node:assert/strict';
import { once } from 'node:events';
import { existsSync, mkdtempSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { CommandError } from '../gateway/cli/context.ts';
import { freePort } from '../test/gateway-under-test.ts';
import { choosePorts, makeFolder } from './places.ts';

const folder = mkdtempSync(join(tmpdir(), 'verbatim-places-'));
after(() => rmSync(folder, { recursive: true, force: true }));

const refused = (exitCode: 1 | 2, words: RegExp) => (error: unknown) =>
  error instanceof CommandError && error.exitCode === exitCode && words.test(error.message);

test('ports: any, four in a row, or why not', async () => {
  const any = await choosePorts(0);
  assert.ok(any.gateway > 0);
  assert.deepEqual({ ...any, gateway: 0 }, { gateway: 0, idp: 0, orders: 0, yours: 0 });
  await assert.rejects(choosePorts(65533), refused(2, /65532 is the highest/));
  const taken = await freePort();
  const server = createServer().listen(taken, '127.0.0.1');
  await once(server, 'listening');
  try {
    await assert.rejects(
      choosePorts(taken),
      refused(
        1,
        new RegExp(
          `^Port ${taken} is taken\\. Is a demo running already\\? .*--port 0 --data-dir DIR. starts a second`,
        ),
      ),
    );
    // The port of any part may be the one.
    await assert.rejects(choosePorts(taken - 1), refused(1, /^Port \d+ is taken/));
  } finally {
    server.close();
  }
});

test('folders: made with those above for this user alone, kept where they are', async () => {
  const deep = join(folder, 'a/b/c');
  await Promise.all([makeFolder(deep), makeFolder(deep)]);
  assert.equal(statSync(join(folder, 'a')).mode & 0o777, 0o700);
  await makeFolder(deep);
});

test('folders that can not be are refused in words, and soon', { timeout: 5000 }, async (t) => {
  const file = join(folder, 'package.json');
  writeFileSync(file, '');
  await assert.rejects(makeFolder(file), refused(1, /there is a file of this name, or above it\. Choose another/));
  await assert.rejects(makeFolder(join(file, 'x')), refused(1, /there is a file of this name, or above it/));
  if (!existsSync('/proc/self')) return t.skip('no /proc');
  // `mkdir` with `recursive` never comes back from here.
  await assert.rejects(makeFolder('/proc/nope/deeper'), refused(1, /--data-dir \/proc\/nope.*can not be made/));
});
