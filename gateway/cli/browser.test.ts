import assert from 'node:assert/strict';
import { chmod, mkdtemp, readFile, rm, watch, writeFile } from 'node:fs/promises';
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
    const changes = watch(directory, { signal: AbortSignal.timeout(5000) });
    await openBrowser(HOSTILE);
    for await (const { filename } of changes) if (filename === 'written') break;
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
