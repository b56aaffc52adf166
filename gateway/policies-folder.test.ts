import assert from 'node:assert/strict';
import { mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { readPoliciesFolder } from './policies-folder.ts';

const root = mkdtempSync(join(tmpdir(), 'verbatim-policies-'));
after(() => rmSync(root, { recursive: true }));

let made = 0;
function folder(files: Record<string, string | Buffer>): string {
  const path = join(root, String(made++));
  mkdirSync(path);
  for (const [name, content] of Object.entries(files)) {
    mkdirSync(join(path, name, '..'), { recursive: true });
    writeFileSync(join(path, name), content);
  }
  return path;
}
const problems = (path: string) => {
  const read = readPoliciesFolder(path);
  assert.ok(!read.ok);
  return read.problems.map(({ file, problem }) => `${file} ${problem}`);
};

test('files in the order of their names, relative to the folder', () => {
  const path = folder({
    'access/b.yaml': 'b',
    'access/a.yaml': 'a',
    'access/a.decisions.yaml': 'd',
    'tools/x.json': '{}',
    'README.md': '',
  });
  assert.deepEqual(readPoliciesFolder(path), {
    ok: true,
    files: [
      { path: 'access/a.decisions.yaml', text: 'd' },
      { path: 'access/a.yaml', text: 'a' },
      { path: 'access/b.yaml', text: 'b' },
      { path: 'tools/x.json', text: '{}' },
    ],
  });
  assert.deepEqual(readPoliciesFolder(folder({})), { ok: true, files: [] });
});

test('what nobody would read is refused, not passed over', () => {
  const path = folder({
    'access/a.yml': '',
    'access/A.yaml': '',
    'access/a.yaml.bak': '',
    'access/deep/a.yaml': '',
    'tools/x.yaml': '',
    'acess/a.yaml': '',
    'rules.yaml': '',
  });
  assert.deepEqual(problems(path), [
    'acess is not known here',
    'rules.yaml is not known here',
    'access/A.yaml has a name that nobody reads',
    'access/a.yaml.bak has a name that nobody reads',
    'access/a.yml has a name that nobody reads',
    'access/deep has a name that nobody reads',
    'tools/x.yaml has a name that nobody reads',
  ]);
});

test('links, folders in the place of files, what is no text, what is too large, no folder', () => {
  const outside = folder({ 'secret.yaml': 'hunter2' });
  const path = folder({ 'access/large.yaml': `#${'x'.repeat(1024 * 1024)}`, 'access/bytes.yaml': Buffer.from([0xff]) });
  symlinkSync(join(outside, 'secret.yaml'), join(path, 'access/link.yaml'));
  mkdirSync(join(path, 'access/folder.yaml'));
  assert.deepEqual(problems(path), [
    'access/bytes.yaml is not UTF-8',
    'access/folder.yaml is not a file',
    'access/large.yaml is larger than 1 MiB',
    'access/link.yaml is a link',
  ]);
  const linked = folder({});
  symlinkSync(outside, join(linked, 'access'));
  assert.deepEqual(problems(linked), ['access is no folder of this one']);
  const file = folder({ access: '' });
  assert.deepEqual(problems(file), ['access is no folder of this one']);
  assert.deepEqual(problems(join(root, 'nothing')), [' is no folder that can be read']);
});
