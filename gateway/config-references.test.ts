import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import type { Config, ConnectionConfig } from './config.ts';
import type { LoginConfig } from './config-login.ts';
import { mapLoginReferences, mapReferences, mapWebhookReferences } from './config-references.ts';
import { configSchema } from './config-schema.ts';
import { reference } from './config-values.ts';

interface Definition {
  readonly shape?: Record<string, { def: Definition }>;
  readonly innerType?: { def: Definition };
  readonly in?: { def: Definition };
  readonly valueType?: { def: Definition };
  readonly element?: { def: Definition };
}
type Schema = { def: Definition };

/** The keys whose value is a reference, or a list of them, wherever in the schema. */
function referenceKeys(schema: Schema, key = ''): string[] {
  if (schema === (reference as unknown)) return [key];
  const { shape = {}, innerType, in: input, valueType, element } = schema.def;
  const inner = [innerType, input, valueType, element].flatMap((one) =>
    one === undefined ? [] : referenceKeys(one, key),
  );
  return [...inner, ...Object.entries(shape).flatMap(([name, one]) => referenceKeys(one, name))];
}

const { shape = {} } = (configSchema as unknown as Schema).def.in?.def ?? (configSchema as unknown as Schema).def;

function keysOf(section: string): Set<string> {
  const schema = shape[section];
  assert.ok(schema !== undefined, section);
  const keys = new Set(referenceKeys(schema));
  assert.ok(keys.size >= 5, [...keys].join());
  return keys;
}

describe('every reference that the schema knows is mapped, and nothing else', () => {
  test('they stand in connections, in login, in secrets and in webhooks alone', () => {
    const found = Object.entries(shape).filter(([, schema]) => referenceKeys(schema).length > 0);
    assert.deepEqual(found.map(([section]) => section).sort(), ['connections', 'login', 'secrets', 'webhooks']);
  });

  test('of webhooks', () => {
    const { webhooks } = shape;
    assert.ok(webhooks !== undefined);
    assert.deepEqual(referenceKeys(webhooks).sort(), ['secret', 'urlFrom']);
    const one = { url: 'file:x', urlFrom: 'file:x', secret: 'file:x', format: 'json', events: [] };
    const mapped = mapWebhookReferences({ chat: one } as unknown as Config['webhooks'], () => 'y');
    assert.deepEqual(mapped, { chat: { ...one, urlFrom: 'y', secret: 'y' } });
  });

  test('of a connection', () => {
    const keys = keysOf('connections');
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
    const expected = {
      ...Object.fromEntries([...keys].map((key) => [key, 'y'])),
      clientId: 'file:x',
      header: 'file:x',
    };
    assert.deepEqual(seen, keys);
    assert.deepEqual(mapped, {
      title: 'file:x',
      upstream: expected,
      credential: expected,
      credentialByGroup: [{ credential: expected }],
    });
  });

  test('of login, alone and in lists; a client that is named as a key is a client', () => {
    const keys = keysOf('login');
    const one = Object.fromEntries([...keys, 'clientId'].map((key) => [key, 'file:x']));
    const list = Object.fromEntries([...keys].map((key) => [key, ['file:x', 'env:X']]));
    const login = {
      secrets: ['file:x'],
      registration: 'on',
      redirectHosts: ['file:x'],
      providers: { secret: { oidc: one }, key: { saml: list, domains: ['file:x'] } },
      clients: { jwks: { name: 'file:x', ...one }, secrets: { redirectUris: ['file:x'] } },
    };
    const seen = new Set<string>();
    const mapped = mapLoginReferences(login as unknown as LoginConfig, (ref, key) => {
      seen.add(key);
      return `${ref}!`;
    });
    const expected = { ...Object.fromEntries([...keys].map((key) => [key, 'file:x!'])), clientId: 'file:x' };
    assert.deepEqual(seen, keys);
    assert.deepEqual(mapped, {
      secrets: ['file:x!'],
      registration: 'on',
      redirectHosts: ['file:x'],
      providers: {
        secret: { oidc: expected },
        key: {
          saml: Object.fromEntries([...keys].map((key) => [key, ['file:x!', 'env:X!']])),
          domains: ['file:x'],
        },
      },
      clients: { jwks: { name: 'file:x', ...expected }, secrets: { redirectUris: ['file:x'] } },
    });
  });
});
