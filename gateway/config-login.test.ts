import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ConfigError, parseConfig } from './config.ts';

const oidc = { issuer: 'https://idp.example.com', clientId: 'verbatim', clientSecret: 'env:IDP_SECRET' };
const corp = { oidc };
const agent = { secret: 'env:AGENT_SECRET', agent: { groups: ['robots'], owner: 'platform' } };

function parse(login: unknown, paths: readonly string[] = ['/mcp'], secrets: readonly string[] = []) {
  return parseConfig({
    listen: { host: '127.0.0.1', port: 0 },
    publicUrl: 'https://mcp.example.com',
    data: '/data',
    stores: { recordings: 'file:///store' },
    policies: 'allow-all',
    secrets,
    login,
    connections: { orders: { upstream: { url: 'http://10.0.0.1' }, paths, groups: ['g'], credential: { none: true } } },
  });
}

test('one provider and nothing else: the rest has defaults, and no issuer is needed', () => {
  const { login, issuers, connections } = parse({ providers: { corp } });
  assert.deepEqual([login?.registration, login?.recheckEvery, login?.secrets], ['on', 300_000, []]);
  assert.deepEqual([Object.keys(issuers), connections.orders?.issuers], [[], []]);
  assert.deepEqual(login?.providers.corp?.oidc?.scopes, ['openid', 'profile', 'email']);
});

test('secrets are one list, at the top or under its older name', () => {
  const base = { providers: { corp } };
  assert.deepEqual(parse({ ...base, secrets: ['env:A'] }).secrets, []);
  assert.deepEqual(parse(base, ['/mcp'], ['env:A']).secrets, ['env:A']);
  assert.throws(
    () => parse({ ...base, secrets: ['env:A'] }, ['/mcp'], ['env:A']),
    (error: ConfigError) => error.problems[0]?.path.join('.') === 'login.secrets',
  );
});

test('agents alone need no provider', () => {
  assert.equal(parse({ providers: {}, clients: { nightly: agent } }).login?.clients.nightly?.agent?.owner, 'platform');
});

for (const [what, login, path] of [
  ['nobody could come in', { providers: {} }, 'login.providers'],
  ['a provider of two kinds', { providers: { corp: { oidc, google: google() } } }, 'login.providers.corp'],
  ['a provider of no kind', { providers: { corp: {} } }, 'login.providers.corp'],
  ['a name that is no part of an address', { providers: { 'Corp/1': corp } }, 'login.providers.Corp/1'],
  [
    'two providers, one without domains',
    { providers: { a: { oidc, domains: ['a.com'] }, b: corp } },
    'login.providers.b.domains',
  ],
  [
    'a domain of two providers',
    { providers: { a: { oidc, domains: ['a.com'] }, b: { oidc, domains: ['b.com', 'a.com'] } } },
    'login.providers.b.domains.1',
  ],
  [
    'a secret in the place of a reference',
    { providers: { corp: { oidc: { ...oidc, clientSecret: 'CANARY' } } } },
    'login.providers.corp.oidc.clientSecret',
  ],
  [
    'an issuer in clear',
    { providers: { corp: { oidc: { ...oidc, issuer: 'http://idp.example.com' } } } },
    'login.providers.corp.oidc.issuer',
  ],
  [
    'an agent with a browser',
    { providers: { corp }, clients: { x: { ...agent, redirectUris: ['https://x.example/cb'] } } },
    'login.clients.x.redirectUris',
  ],
  [
    'an agent that proves nothing',
    { providers: { corp }, clients: { x: { agent: agent.agent } } },
    'login.clients.x.agent',
  ],
  ['a client without a way back', { providers: { corp }, clients: { x: {} } }, 'login.clients.x.redirectUris'],
  [
    'two ways to prove who it is',
    { providers: { corp }, clients: { x: { ...agent, jwksUri: 'https://x.example/k' } } },
    'login.clients.x',
  ],
  [
    'a way back in clear',
    { providers: { corp }, clients: { x: { redirectUris: ['http://x.example/cb'] } } },
    'login.clients.x.redirectUris.0',
  ],
  [
    'a script as a way back',
    { providers: { corp }, clients: { x: { redirectUris: ['javascript:alert(1)'] } } },
    'login.clients.x.redirectUris.0',
  ],
  [
    'Google without a directory to ask',
    { providers: { g: { google: { ...google(), groups: 'directory' } } } },
    'login.providers.g.google.directory',
  ],
  [
    'Google without a domain',
    { providers: { g: { google: { ...google(), hostedDomains: [] } } } },
    'login.providers.g.google.hostedDomains',
  ],
] as const) {
  test(`refused: ${what}`, () => {
    assert.throws(
      () => parse(login),
      (error) => {
        assert.ok(error instanceof ConfigError);
        assert.ok(!error.message.includes('CANARY'));
        assert.ok(
          error.problems.some((one) => one.path.join('.') === path),
          error.problems.map((one) => one.path.join('.')).join(),
        );
        return true;
      },
    );
  });
}

test('refused: a connection that would hide where its clients log in', () => {
  assert.throws(() => parse({ providers: { corp } }, ['/mcp', '/oauth/token']), ConfigError);
  assert.ok(parse({ providers: { corp } }, ['/oauthx']));
});

function google() {
  return {
    clientId: 'x.apps.googleusercontent.com',
    clientSecret: 'env:GOOGLE_SECRET',
    hostedDomains: ['example.com'],
  };
}
