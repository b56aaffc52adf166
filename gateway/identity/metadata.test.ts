import assert from 'node:assert/strict';
import { test } from 'node:test';
import { parseConfig } from '../config.ts';
import { challenge, metadataUrl, protectedResourceMetadata } from './metadata.ts';

const upstream = { url: 'http://10.0.0.1' };
const open = { upstream, groups: ['g'], credential: { none: true } };
const config = parseConfig({
  listen: { host: '127.0.0.1', port: 0 },
  publicUrl: 'https://mcp.example.com:8443/',
  data: '/data',
  stores: { recordings: 'file:///store' },
  policies: 'allow-all',
  issuers: { corp: { issuer: 'https://idp.example.com/' } },
  connections: {
    orders: { ...open, title: 'Orders database' },
    crm: { ...open, host: 'crm.mcp.example.com', paths: ['/mcp', '/'] },
  },
});

test('the document names the endpoint to the letter', () => {
  assert.deepEqual(protectedResourceMetadata(config, 'orders', '/mcp'), {
    resource: 'https://mcp.example.com:8443/orders/mcp',
    authorization_servers: ['https://idp.example.com/'],
    bearer_methods_supported: ['header'],
    scopes_supported: ['mcp'],
    resource_name: 'Orders database',
  });
  const own = protectedResourceMetadata(config, 'crm', '/mcp');
  assert.deepEqual([own.resource, own.resource_name], ['https://crm.mcp.example.com:8443/mcp', 'crm']);
  assert.throws(() => protectedResourceMetadata(config, 'constructor', '/mcp'));
});

test('each issuer of the connection once, in its order', () => {
  const twice = (condition: string) => ({ issuer: 'https://bots.example.com', mapping: { condition } });
  const { issuers, connections } = parseConfig({
    listen: { host: '127.0.0.1', port: 0 },
    publicUrl: 'https://mcp.example.com',
    data: '/data',
    stores: { recordings: 'file:///store' },
    policies: 'allow-all',
    issuers: { a: twice('true'), b: twice('false'), corp: { issuer: 'https://idp.example.com' } },
    connections: { orders: { ...open, issuers: ['a', 'corp', 'b'] } },
  });
  assert.deepEqual(
    protectedResourceMetadata({ ...config, issuers, connections }, 'orders', '/mcp').authorization_servers,
    ['https://bots.example.com', 'https://idp.example.com'],
  );
});

test('where the document is', () => {
  const wellKnown = '/.well-known/oauth-protected-resource';
  assert.equal(metadataUrl(config, 'orders', '/mcp'), `https://mcp.example.com:8443${wellKnown}/orders/mcp`);
  assert.equal(metadataUrl(config, 'crm', '/mcp'), `https://crm.mcp.example.com:8443${wellKnown}/mcp`);
  assert.equal(metadataUrl(config, 'crm', '/'), `https://crm.mcp.example.com:8443${wellKnown}`);
});

test('the challenge, bare and with an error that can not break out', () => {
  const bare = `Bearer resource_metadata="${metadataUrl(config, 'orders', '/mcp')}", scope="mcp"`;
  assert.equal(challenge(config, 'orders', '/mcp'), bare);
  assert.equal(
    challenge(config, 'orders', '/mcp', { error: 'invalid_token', description: 'a "b" \\ \r\nc é' }),
    `${bare}, error="invalid_token", error_description="a 'b' ? ??c ?"`,
  );
});
