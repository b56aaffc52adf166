import assert from 'node:assert/strict';
import { test } from 'node:test';
import { childEnvironment } from './environment.ts';

test('a child gets what programs need and what was named, and nothing else', () => {
  const own = {
    ...{ PATH: '/bin', HOME: '/root', LANG: 'C', LC_ALL: 'C', TZ: 'UTC', TMPDIR: '/tmp' },
    ...{ ORDERS_KEY: 'k', SECRET: 's', NODE_OPTIONS: '--x', path: '/evil', UNSET: undefined },
  };
  const { SECRET: _, NODE_OPTIONS: __, path: ___, UNSET: ____, ...given } = own;
  assert.deepEqual(childEnvironment(own, ['ORDERS_KEY', 'UNSET']), given);
});
