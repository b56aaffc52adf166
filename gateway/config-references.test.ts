import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { ConnectionConfig } from './config.ts';
import { mapReferences } from './config-references.ts';
import { configSchema } from './config-schema.ts';
import { reference } from './config-values.ts';

interface Definition {
  readonly shape?: Record<string, { def: Definition }>;
  readonly innerType?: { def: Definition };
  readonly in?: { def: Definition };
  readonly valueType?: { def: Definition };
  readonly element?: { def: Definition };
}

/** The keys whose value is a reference, wherever in the schema. */
function referenceKeys(schema: { def: Definition }, key = ''): string[] {
  if (schema === (reference as unknown)) return [key];
  const { shape = {}, innerType, in: input, valueType, element } = schema.def;
  const inner = [innerType, input, valueType, element].flatMap((one) =>
    one === undefined ? [] : referenceKeys(one, key),
  );
  return [...inner, ...Object.entries(shape).flatMap(([name, one]) => referenceKeys(one, name))];
}

test('every reference that the schema knows is mapped, and nothing else', () => {
  const keys = new Set(referenceKeys(configSchema as unknown as { def: Definition }));
  assert.ok(keys.size >= 5, [...keys].join());
  const inside = Object.fromEntries([...keys, 'clientId', 'header'].map((key) => [key, 'file:x']));
  const connection = {
    title: 'file:x',
    upstream: inside,
    credential: inside,
    credentialByGroup: [{ credential: inside }],
  };
  const seen = new Set<string>();
  const mapped = mapReferences(connection as unknown as ConnectionConfig, (_, key) => {
    seen.add(key);
    return 'y';
  });
  const expected = { ...Object.fromEntries([...keys].map((key) => [key, 'y'])), clientId: 'file:x', header: 'file:x' };
  assert.deepEqual(seen, keys);
  assert.deepEqual(mapped, {
    title: 'file:x',
    upstream: expected,
    credential: expected,
    credentialByGroup: [{ credential: expected }],
  });
});
