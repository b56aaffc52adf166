import assert from 'node:assert/strict';
import type { IncomingMessage } from 'node:http';
import { test } from 'node:test';
import { parseConfig } from '../../config.ts';
import { loginAddressOf } from './address.ts';

const connection = { upstream: { url: 'http://10.0.0.1' }, groups: ['g'], credential: { none: true } };
const config = parseConfig({
  listen: { host: '127.0.0.1', port: 0 },
  publicUrl: 'https://mcp.example.com',
  data: '/data',
  stores: { recordings: 'file:///store' },
  policies: 'allow-all',
  issuers: { corp: { issuer: 'https://idp.example.com' } },
  connections: { orders: connection, wiki: { ...connection, host: 'wiki.mcp.example.com' } },
});

function at(url: string, host: string | undefined = 'mcp.example.com'): unknown {
  const found = loginAddressOf(config, { url, headers: host === '' ? {} : { host } } as IncomingMessage);
  if (found === undefined) return undefined;
  const query = found.query.toString();
  const shown = found.path + (query === '' ? '' : `?${query}`);
  return found.kind === 'gateway' ? shown : [found.connection.name, found.prefix, shown];
}

for (const [url, host, expected] of [
  // Of a connection below the public origin, RFC 8414, section 3.1, and OpenID Connect Discovery, section 4.
  [
    '/.well-known/oauth-authorization-server/orders',
    undefined,
    ['orders', '/orders', '/.well-known/oauth-authorization-server'],
  ],
  ['/.well-known/openid-configuration/orders', undefined, ['orders', '/orders', '/.well-known/openid-configuration']],
  ['/orders/.well-known/openid-configuration', undefined, ['orders', '/orders', '/.well-known/openid-configuration']],
  ['/orders/oauth/authorize?a=1&b=%2F', undefined, ['orders', '/orders', '/oauth/authorize?a=1&b=%2F']],
  ['/orders/oauth/interaction/x/finish', undefined, ['orders', '/orders', '/oauth/interaction/x/finish']],
  // A load balancer may speak to another port, and names are not case-sensitive.
  ['/orders/oauth/token', 'MCP.Example.com:8443', ['orders', '/orders', '/oauth/token']],
  // With a host of its own.
  ['/oauth/token', 'wiki.mcp.example.com', ['wiki', '', '/oauth/token']],
  [
    '/.well-known/oauth-authorization-server',
    'wiki.mcp.example.com:443',
    ['wiki', '', '/.well-known/oauth-authorization-server'],
  ],
  // The gateway's own.
  ['/oauth/callback/corp?code=1', undefined, '/oauth/callback/corp?code=1'],
  ['/connect', undefined, '/connect'],
  ['/connect/orders', undefined, '/connect/orders'],
  // Nobody's.
  ['/', undefined, undefined],
  ['/orders', undefined, undefined],
  ['/orders/', undefined, undefined],
  ['/orders/mcp', undefined, undefined],
  ['/orders/oauth', undefined, undefined],
  ['/orders/oauthx/token', undefined, undefined],
  ['/connected', undefined, undefined],
  ['/oauthx', undefined, undefined],
  ['/.well-known/oauth-authorization-server', undefined, undefined],
  ['/.well-known/oauth-authorization-server/', undefined, undefined],
  ['/.well-known/oauth-authorization-server/orders/mcp', undefined, undefined],
  ['/.well-known/oauth-authorization-server/other', undefined, undefined],
  ['/.well-known/oauth-authorization-server/wiki', undefined, undefined],
  ['/wiki/oauth/token', undefined, undefined],
  ['/orders/oauth/token', 'wiki.mcp.example.com', undefined],
  ['/connect', 'wiki.mcp.example.com', undefined],
  ['/other/oauth/token', undefined, undefined],
  ['/constructor/oauth/token', undefined, undefined],
  ['/__proto__/oauth/token', undefined, undefined],
  ['//orders/oauth/token', undefined, undefined],
  ['', undefined, undefined],
  ['?code=1', undefined, undefined],
] as const) {
  test(`${host ?? ''}${url} is ${JSON.stringify(expected) ?? 'nobody’s'}`, () =>
    assert.deepEqual(at(url, host), expected));
}

test('without a Host it is as below the public origin: that there is none was refused before', () => {
  assert.deepEqual(at('/orders/oauth/token', ''), ['orders', '/orders', '/oauth/token']);
});
