/** docs/policies.md, held against the program: its rules load, its decisions are made, its tables name what there is. */
import assert from 'node:assert/strict';
import { globSync, readFileSync } from 'node:fs';
import { after, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { decideWhole } from '../gateway/cli/policy-parts.ts';
import { FUNCTIONS, METHODS } from '../gateway/policy/condition-environment.ts';
import { createPolicy } from '../gateway/policy/decide.ts';
import { differences, readGolden } from '../gateway/policy/golden.ts';
import { loadPolicy } from '../gateway/policy/load.ts';
import { compilePattern } from '../gateway/policy/masks/pattern.ts';
import { ruleSchema } from '../gateway/policy/schema.ts';
import { createStatementReader } from '../gateway/statements/reader.ts';

const root = new URL('..', import.meta.url);
const page = readFileSync(new URL('docs/policies.md', root), 'utf8');
const reader = createStatementReader();
after(() => reader.close());

function block(info: string): string {
  return new RegExp(`^\`\`\`yaml ${info}\n([\\s\\S]*?)^\`\`\`$`, 'm').exec(page)?.[1] ?? assert.fail(info);
}

test('its rules load, and decide as it says', async () => {
  const loaded = loadPolicy([{ path: 'access/docs.yaml', text: block('rules') }], compilePattern);
  assert.ok(loaded.ok, JSON.stringify(loaded));
  const policy = createPolicy(loaded.set);
  const { cases, problems } = readGolden({ path: 'access/docs.decisions.yaml', text: block('decisions') });
  assert.deepEqual(problems, []);
  assert.ok(cases.length > 1);
  for (const { name, input, dialect, expect } of cases) {
    const decision = await decideWhole((readings) => policy.decide(input, readings, dialect), reader.read);
    const found = differences(decision, expect);
    assert.deepEqual(found, [], name);
  }
});

test('its tables name every key, function and shipped file, and no other', () => {
  const [, below = ''] = page.split('## Rules');
  const [section = ''] = below.split('\n## ');
  const keys = [...section.matchAll(/^\| (`[^|]+) \|/gm)].flatMap(([, cell = '']) =>
    [...cell.matchAll(/`(\w+)`/g)].map(([, key]) => key),
  );
  assert.deepEqual(keys.sort(), Object.keys(ruleSchema.shape).sort());
  for (const name of [...FUNCTIONS, ...METHODS].filter((one) => !one.startsWith('get'))) {
    assert.match(page, new RegExp(`\\b${name}\\b`), name);
  }
  const shipped = globSync('policies/access/*.yaml', { cwd: fileURLToPath(root) })
    .map((path) => path.slice('policies/access/'.length))
    .filter((name) => !name.endsWith('.decisions.yaml'));
  const named = [...page.matchAll(/^\| `([a-z-]+\.yaml)` \|/gm)].map(([, name]) => name);
  assert.deepEqual(named.sort(), shipped.sort());
});
