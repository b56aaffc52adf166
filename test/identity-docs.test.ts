/** The pages of docs/identity: their parts of a configuration are parsed by the real schema. */
import assert from 'node:assert/strict';
import { globSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { parse } from 'yaml';
import { login } from '../gateway/config-login.ts';

const folder = fileURLToPath(new URL('../docs/identity', import.meta.url));

let total = 0;
for (const page of globSync('*.md', { cwd: folder })) {
  const text = readFileSync(join(folder, page), 'utf8');
  const parts = [...text.matchAll(/^```yaml part\n([\s\S]*?)^```$/gm)].map(([, part = '']) => part);
  total += parts.length;
  test(`${page}: what to write under login is right`, () => {
    for (const part of parts) {
      const { success, error } = login.safeParse(parse(part));
      assert.ok(success, error?.message);
    }
  });
}

test('the pages say what to write', () => assert.ok(total >= 6));
