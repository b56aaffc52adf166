import assert from 'node:assert/strict';
import { watch } from 'node:fs';
import { chmod, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { openBrowser, opener } from './browser.ts';

const HOSTILE = new URL('https://idp.example/authorize?a=1&b=$(touch%20x)&c=`id`;d|e');

test('the URL is one argument of the opener, whatever it holds', { skip: process.platform === 'win32' }, async () => {
  const directory = await mkdtemp(join(tmpdir(), 'verbatim-browser-'));
  const path = process.env.PATH;
  try {
    const [command] = opener(process.platform);
    const written = join(directory, 'written');
    await writeFile(
      join(directory, command),
      `#!/bin/sh\nprintf '%s|' "$#" "$@" > ${written}.draft\nmv ${written}.draft ${written}\n`,
    );
    await chmod(join(directory, command), 0o755);
    process.env.PATH = `${directory}:${path}`;
    // It watches from here on, not from the first wait on: the opener may be done before that.
    const changes = watch(directory);
    const { promise: done, resolve } = Promise.withResolvers<void>();
    changes.on('change', (_, name) => name === 'written' && resolve());
    await openBrowser(HOSTILE);
    await done;
    changes.close();
    assert.equal(await readFile(written, 'utf8'), `1|${HOSTILE.href}|`);
    process.env.PATH = join(directory, 'nothing');
    await assert.rejects(openBrowser(HOSTILE), { code: 'ENOENT' });
  } finally {
    process.env.PATH = path;
    await rm(directory, { recursive: true });
  }
});

test('only web pages are opened', async () => {
  await assert.rejects(openBrowser(new URL('file:///etc/passwd')), /Only web pages/);
});

test('each platform has its opener, none of them a shell', () => {
  assert.deepEqual(opener('darwin'), ['open']);
  assert.deepEqual(opener('linux'), ['xdg-open']);
  assert.deepEqual(opener('win32'), ['rundll32', 'url.dll,FileProtocolHandler']);
});
