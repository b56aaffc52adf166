import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import * as nodeFs from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { text } from 'node:stream/consumers';
import { type TestContext, test } from 'node:test';
import { pathToFileURL } from 'node:url';
import { storeBehaviour } from './behaviour.ts';
import { createFilesystemStore, type StoreFs } from './filesystem.ts';
import type { Store } from './store.ts';

async function newFolder(t: TestContext): Promise<string> {
  const folder = await nodeFs.mkdtemp(join(tmpdir(), 'verbatim-store-'));
  t.after(() => nodeFs.rm(folder, { recursive: true, force: true }));
  return folder;
}

async function listed(store: Store, prefix = '', delimiter?: '/'): Promise<string[]> {
  const names: string[] = [];
  for await (const name of store.list(prefix, delimiter === undefined ? {} : { delimiter })) names.push(name);
  return names;
}

const failure = (code: string) => Object.assign(new Error(code), { code });

/** The real file system, whose handles' `sync` and `writeFile` ask first. */
function hooked(before: (call: 'sync' | 'writeFile', path: string) => void): StoreFs {
  const open: StoreFs['open'] = async (path, flags, mode) => {
    const file = await nodeFs.open(path, flags, mode);
    const { sync, writeFile } = file;
    file.sync = async () => {
      before('sync', String(path));
      await sync.call(file);
    };
    file.writeFile = async (...given: Parameters<typeof writeFile>) => {
      before('writeFile', String(path));
      await writeFile.apply(file, given);
    };
    return file;
  };
  return { ...nodeFs, open };
}

storeBehaviour('filesystem', async (t) => createFilesystemStore({ root: await newFolder(t) }));

test('objects are read-only files of their owner, and nothing else is left', async (t) => {
  const root = await newFolder(t);
  const store = createFilesystemStore(pathToFileURL(root).href);
  await store.create('a/b', Buffer.from('x'));
  await store.create('a/b', Buffer.from('x'));
  assert.equal(store.url, pathToFileURL(root).href);
  assert.equal((await nodeFs.stat(join(root, 'a/b'))).mode & 0o777, 0o400);
  assert.equal((await nodeFs.stat(join(root, 'a'))).mode & 0o777, 0o700);
  assert.deepEqual((await nodeFs.readdir(root)).sort(), ['.tmp', 'a']);
  assert.deepEqual(await nodeFs.readdir(join(root, '.tmp')), []);
});

test('the first create makes the root; before it there is no store to read', async (t) => {
  const root = join(await newFolder(t), 'x', 'y');
  const store = createFilesystemStore({ root });
  await assert.rejects(listed(store), { code: 'no_store' });
  await assert.rejects(store.get('a'), { code: 'no_store' });
  assert.equal(await store.create('a', Buffer.from('1')), 'created');
  assert.deepEqual(await listed(store), ['a']);
});

test('each fsync comes in its order: file, then every new folder, then the name', async (t) => {
  const above = await newFolder(t);
  const root = join(above, 'x', 'y');
  const calls: string[] = [];
  const recording = hooked((call, path) => calls.push(`${call} ${path.includes('.tmp/') ? 'temporary' : path}`));
  const link: StoreFs['link'] = async (from, to) => {
    calls.push(`link ${to}`);
    await nodeFs.link(from, to);
  };
  const store = createFilesystemStore({ root }, { fs: { ...recording, link } });
  await store.create('a/b/c', Buffer.from('1'));
  const folders = calls.splice(0, calls.indexOf('writeFile temporary'));
  // New names: y in x, x in above, .tmp and a in y, b in a.
  assert.deepEqual(
    [...new Set(folders)].sort(),
    [above, join(above, 'x'), root, join(root, 'a')].map((f) => `sync ${f}`),
  );
  const path = join(root, 'a/b/c');
  const naming = ['writeFile temporary', 'sync temporary', `link ${path}`, `sync ${dirname(path)}`];
  assert.deepEqual(calls.splice(0), naming);
  // The folders are known now; `exists` syncs the name as well, whose creator may not have come to it.
  assert.equal(await store.create('a/b/c', Buffer.from('1')), 'exists');
  assert.deepEqual(calls, naming);
});

test('failed and persisted: the fsync of the folder fails after the link', async (t) => {
  const root = await newFolder(t);
  let armed = true;
  const fs = hooked((call, path) => {
    if (armed && call === 'sync' && path === join(root, 'a')) throw failure('EIO');
  });
  const store = createFilesystemStore({ root }, { fs });
  await assert.rejects(store.create('a/b', Buffer.from('bytes')), { code: 'io' });
  // Still failing: what is there is not known to be durable, so it is not reported as stored.
  await assert.rejects(store.create('a/b', Buffer.from('bytes')), { code: 'io' });
  armed = false;
  assert.equal(await store.create('a/b', Buffer.from('bytes')), 'exists');
  assert.deepEqual(Buffer.from((await store.get('a/b')) ?? []), Buffer.from('bytes'));
  assert.deepEqual(await nodeFs.readdir(join(root, '.tmp')), []);
});

test('a link whose answer was lost, and that was sent again: who made the object is told so', async (t) => {
  const root = await newFolder(t);
  const fs: StoreFs = {
    ...nodeFs,
    async link(from, to) {
      await nodeFs.link(from, to);
      throw failure('EEXIST');
    },
  };
  const store = createFilesystemStore({ root }, { fs });
  assert.equal(await store.create('a/b', Buffer.from('bytes')), 'created');
  assert.equal(await createFilesystemStore({ root }).create('a/b', Buffer.from('bytes')), 'exists');
});

test('a folder whose own name is not durable is synced again by the next create', async (t) => {
  const root = await newFolder(t);
  let armed = true;
  let synced = 0;
  const fs = hooked((call, path) => {
    if (call !== 'sync' || path !== join(root, 'a')) return;
    if (armed) throw failure('EIO');
    synced++;
  });
  const store = createFilesystemStore({ root }, { fs });
  await assert.rejects(store.create('a/b/c', Buffer.from('x')), { code: 'io' });
  assert.deepEqual(await listed(store), []);
  armed = false;
  assert.equal(await store.create('a/b/c', Buffer.from('x')), 'created');
  assert.equal(synced, 1);
});

test('failed and did not persist: nothing is listed, nothing is left, the retry creates', async (t) => {
  const root = await newFolder(t);
  let armed: 'sync' | 'writeFile' | undefined;
  const fs = hooked((call, path) => {
    if (call === armed && path.includes('.tmp/')) throw failure(call === 'sync' ? 'EIO' : 'ENOSPC');
  });
  const store = createFilesystemStore({ root }, { fs });
  for (const call of ['writeFile', 'sync'] as const) {
    armed = call;
    await assert.rejects(
      store.create('a/b', Buffer.from('bytes')),
      (error: Error & { code?: string; cause?: { code?: string } }) =>
        error.code === 'io' && error.cause?.code === (call === 'sync' ? 'EIO' : 'ENOSPC'),
    );
    assert.deepEqual(await listed(store), []);
    assert.equal(await store.get('a/b'), undefined);
    assert.deepEqual(await nodeFs.readdir(join(root, '.tmp')), []);
  }
  armed = undefined;
  assert.equal(await store.create('a/b', Buffer.from('bytes')), 'created');
});

test('a temporary that can not be removed takes nothing back', async (t) => {
  const root = await newFolder(t);
  const unlink: StoreFs['unlink'] = () => Promise.reject(failure('EIO'));
  const store = createFilesystemStore({ root }, { fs: { ...nodeFs, unlink } });
  assert.equal(await store.create('a', Buffer.from('x')), 'created');
  assert.deepEqual(await listed(store), ['a']);
});

test('what a crash leaves is not listed: temporaries, folders without objects', async (t) => {
  const root = await newFolder(t);
  const store = createFilesystemStore({ root });
  await store.create('b/c', Buffer.from('x'));
  await nodeFs.writeFile(join(root, '.tmp', 'left'), 'half');
  await nodeFs.mkdir(join(root, 'a/empty/deeper'), { recursive: true });
  assert.deepEqual(await listed(store), ['b/c']);
  assert.deepEqual(await listed(store, '', '/'), ['b/']);
  assert.deepEqual(await listed(store, 'a/', '/'), []);
});

test('a folder removed under a running store fails one create, not all after it', async (t) => {
  const root = await newFolder(t);
  const store = createFilesystemStore({ root });
  await store.create('a/b', Buffer.from('x'));
  await nodeFs.rm(join(root, 'a'), { recursive: true });
  await assert.rejects(store.create('a/c', Buffer.from('x')), { code: 'io' });
  assert.equal(await store.create('a/c', Buffer.from('x')), 'created');
});

test('no symbolic link is followed below the root, to read, to list or to create', async (t) => {
  const outside = await newFolder(t);
  await nodeFs.writeFile(join(outside, 'secret'), 'secret');
  const root = await newFolder(t);
  const store = createFilesystemStore({ root });
  await store.create('a/b', Buffer.from('x'));
  await nodeFs.symlink(join(outside, 'secret'), join(root, 'file'));
  await nodeFs.symlink(outside, join(root, 'folder'));
  await nodeFs.symlink('b', join(root, 'a/within'));
  for (const name of ['file', 'folder/secret', 'a/within']) {
    await assert.rejects(store.get(name), { code: 'unsafe_path' }, name);
  }
  for (const prefix of ['', 'f', 'folder/']) {
    assert.deepEqual(await listed(store, prefix), prefix === '' ? ['a/b'] : [], prefix);
  }
  assert.deepEqual(await listed(store, '', '/'), ['a/']);
  await assert.rejects(store.create('folder/new', Buffer.from('x')), { code: 'unsafe_path' });
  await assert.rejects(store.create('file', Buffer.from('x')), { code: 'unsafe_path' });
  assert.deepEqual(await nodeFs.readdir(outside), ['secret']);
});

test('a root that is itself behind a symbolic link is a root', async (t) => {
  const folder = await newFolder(t);
  await nodeFs.mkdir(join(folder, 'real'));
  await nodeFs.symlink('real', join(folder, 'link'));
  const store = createFilesystemStore({ root: join(folder, 'link') });
  await store.create('a/b', Buffer.from('x'));
  assert.deepEqual(Buffer.from((await store.get('a/b')) ?? []), Buffer.from('x'));
  assert.deepEqual(await listed(store), ['a/b']);
});

test('creators in several processes: each name has one winner', async (t) => {
  const root = await newFolder(t);
  const names = Array.from({ length: 25 }, (_, index) => `dt=${index % 5}/${index}`);
  const program = `
    import { createFilesystemStore } from ${JSON.stringify(new URL('filesystem.ts', import.meta.url).href)};
    const store = createFilesystemStore({ root: process.argv[1] });
    const names = JSON.parse(process.argv[2]);
    const outcomes = await Promise.all(names.map((name) => store.create(name, Buffer.alloc(50_000, process.pid))));
    console.log(JSON.stringify(outcomes));`;
  const children = Array.from({ length: 3 }, () =>
    spawn(process.execPath, ['--input-type=module', '-e', program, root, JSON.stringify(names)], {
      stdio: ['ignore', 'pipe', 'inherit'],
    }),
  );
  const outcomes: string[][] = await Promise.all(
    children.map(async (child) => JSON.parse(await text(child.stdout)) as string[]),
  );
  const store = createFilesystemStore({ root });
  for (const [index, name] of names.entries()) {
    const winner = outcomes.findIndex((outcome) => outcome[index] === 'created');
    assert.deepEqual(outcomes.map((outcome) => outcome[index]).sort(), ['created', 'exists', 'exists'], name);
    const whole = Buffer.alloc(50_000, children[winner]?.pid);
    assert.ok(whole.equals((await store.get(name)) ?? Buffer.of()), name);
  }
  assert.equal((await listed(store)).length, names.length);
});
