import assert from 'node:assert/strict';
import { test } from 'node:test';
import { type CredentialConfig, credential, isGoogleApi, mayBeSet, userOauthProblem } from './config-credential.ts';

const ACCOUNT = 'orders-mcp@my-project.iam.gserviceaccount.com';
const SCOPES = ['https://www.googleapis.com/auth/bigquery.readonly'];
const CLIENT = { tokenUrl: 'https://login.example.com/token', clientId: 'verbatim', clientSecret: 'env:SECRET' };

const ACCEPTED: readonly [Record<string, unknown>, CredentialConfig?][] = [
  [{ none: true }],
  [{ bearer: 'env:TOKEN' }],
  [{ bearer: 'file:/run/secrets/token' }],
  [{ bearer: 'gcp-secret:projects/my-project/secrets/token/versions/latest' }],
  [{ header: 'X-Api-Key', value: 'gcp-secret:projects/my-project/secrets/token/versions/7' }],
  [{ googleIdToken: { serviceAccount: ACCOUNT } }],
  [
    {
      googleIdToken: {
        serviceAccount: '123456789-compute@developer.gserviceaccount.com',
        audience: 'https://a.run.app',
      },
    },
  ],
  [{ googleIdToken: { key: 'file:/run/secrets/key.json' } }],
  [{ googleAccessToken: { serviceAccount: ACCOUNT, scopes: SCOPES, quotaProject: 'my-project' } }],
  [{ googleAccessToken: { key: 'env:KEY', scopes: SCOPES } }],
  [{ oauthClient: CLIENT }, { oauthClient: { ...CLIENT, clientAuth: 'client_secret_basic', scopes: [] } }],
  [
    {
      oauthClient: {
        ...CLIENT,
        clientAuth: 'client_secret_post',
        scopes: ['read', 'write'],
        resource: 'https://mcp.example.com/mcp',
        audience: 'orders',
      },
    },
  ],
  [
    {
      oauthClient: {
        ...CLIENT,
        tokenUrl: 'http://127.0.0.1:4000/token',
        scopes: [],
        clientAuth: 'client_secret_basic',
      },
    },
  ],
  [{ userOauth: {} }, { userOauth: { registration: 'auto', scopes: [] } }],
  [
    { userOauth: { client: { id: 'verbatim', secret: 'env:SECRET' }, resource: 'https://mcp.example.com' } },
    {
      userOauth: {
        client: { id: 'verbatim', secret: 'env:SECRET', auth: 'client_secret_basic' },
        registration: 'auto',
        scopes: [],
        resource: 'https://mcp.example.com',
      },
    },
  ],
  [
    { userOauth: { client: { id: 'verbatim' }, registration: 'dynamic', authorizationServer: 'https://as.example' } },
    {
      userOauth: {
        client: { id: 'verbatim', auth: 'none' },
        registration: 'dynamic',
        scopes: [],
        authorizationServer: 'https://as.example',
      },
    },
  ],
];
for (const [written, expected = written] of ACCEPTED) {
  test(`accepted: ${JSON.stringify(written)}`, () => {
    const parsed = credential.parse(written);
    assert.deepEqual(JSON.parse(JSON.stringify(parsed)), expected);
  });
}

const REFUSED: readonly [string, unknown, string][] = [
  ['nothing', {}, ''],
  ['none that is false', { none: false }, 'none'],
  ['two at once', { bearer: 'env:A', googleIdToken: { serviceAccount: ACCOUNT } }, ''],
  ['none beside a secret', { none: true, bearer: 'env:A' }, ''],
  ['a header without value', { header: 'X-Api-Key' }, ''],
  ['a value without header', { bearer: 'env:A', value: 'env:B' }, ''],
  ['a secret that is no reference', { bearer: 'hunter2hunter2' }, 'bearer'],
  ['a reference to no version', { bearer: 'gcp-secret:projects/p/secrets/s' }, 'bearer'],
  ['a reference that leaves its resource', { bearer: 'gcp-secret:projects/p/secrets/../versions/1' }, 'bearer'],
  ['version zero', { bearer: 'gcp-secret:projects/p/secrets/s/versions/0' }, 'bearer'],
  ['an authorization header', { header: 'Authorization', value: 'env:A' }, 'header'],
  ['a header of the protocol', { header: 'Mcp-Session-Id', value: 'env:A' }, 'header'],
  ['a header that frames', { header: 'Transfer-Encoding', value: 'env:A' }, 'header'],
  ['a header that ends a line', { header: 'X-A\r\nB', value: 'env:A' }, 'header'],
  ['no account and no key', { googleIdToken: {} }, 'googleIdToken'],
  ['an account and a key', { googleIdToken: { serviceAccount: ACCOUNT, key: 'env:KEY' } }, 'googleIdToken'],
  ['a person', { googleIdToken: { serviceAccount: 'ana@example.com' } }, 'googleIdToken.serviceAccount'],
  ['an account with a path', { googleIdToken: { serviceAccount: `a/b:${ACCOUNT}` } }, 'googleIdToken.serviceAccount'],
  [
    'an audience with a space',
    { googleIdToken: { serviceAccount: ACCOUNT, audience: 'a b' } },
    'googleIdToken.audience',
  ],
  ['no scopes', { googleAccessToken: { serviceAccount: ACCOUNT } }, 'googleAccessToken.scopes'],
  ['empty scopes', { googleAccessToken: { serviceAccount: ACCOUNT, scopes: [] } }, 'googleAccessToken.scopes'],
  [
    'two scopes in one',
    { googleAccessToken: { serviceAccount: ACCOUNT, scopes: ['a b'] } },
    'googleAccessToken.scopes.0',
  ],
  [
    'a token endpoint in clear',
    { oauthClient: { ...CLIENT, tokenUrl: 'http://login.example.com/token' } },
    'oauthClient.tokenUrl',
  ],
  [
    'a token endpoint with a password',
    { oauthClient: { ...CLIENT, tokenUrl: 'https://a:b@c/token' } },
    'oauthClient.tokenUrl',
  ],
  ['a client secret in clear', { oauthClient: { ...CLIENT, clientSecret: 'hunter2' } }, 'oauthClient.clientSecret'],
  ['another way to authenticate', { oauthClient: { ...CLIENT, clientAuth: 'none' } }, 'oauthClient.clientAuth'],
  ['a resource with a fragment', { oauthClient: { ...CLIENT, resource: 'https://a/#b' } }, 'oauthClient.resource'],
  ['a person’s secret in clear', { userOauth: { client: { id: 'a', secret: 'hunter2' } } }, 'userOauth.client.secret'],
  [
    'a secret that is not shown',
    { userOauth: { client: { id: 'a', secret: 'env:A', auth: 'none' } } },
    'userOauth.client.auth',
  ],
  [
    'a way without its secret',
    { userOauth: { client: { id: 'a', auth: 'client_secret_post' } } },
    'userOauth.client.auth',
  ],
  ['a server in clear', { userOauth: { authorizationServer: 'http://as.example' } }, 'userOauth.authorizationServer'],
  ['a resource with a query', { userOauth: { resource: 'https://a/?b' } }, 'userOauth.resource'],
  ['a scope that is two', { userOauth: { scopes: ['a b'] } }, 'userOauth.scopes.0'],
  ['a registration that is not known', { userOauth: { registration: 'off' } }, 'userOauth.registration'],
  ['a key that is not known', { oauthClient: { ...CLIENT, grantType: 'password' } }, 'oauthClient'],
];
for (const [name, written, path] of REFUSED) {
  test(`refused: ${name}`, () => {
    const { error } = credential.safeParse(written);
    assert.ok(error);
    assert.ok(
      error.issues.some((issue) => issue.path.join('.') === path),
      JSON.stringify(error.issues),
    );
    assert.doesNotMatch(JSON.stringify(error.issues), /hunter2/);
  });
}

const USER = { userOauth: { registration: 'auto', scopes: [] } } as const;
const LIMITED = { userOauth: { ...USER.userOauth, scopes: ['read'] } };
const ELSEWHERE = { userOauth: { ...USER.userOauth, resource: 'https://b.example/mcp' } };
for (const [name, url, credential, others, problem] of [
  ['over TLS', 'https://a.example', USER, [], undefined],
  ['on this machine', 'http://127.0.0.1:4000', USER, [], undefined],
  ['in clear', 'http://10.0.0.1:4000', USER, [], 'would send tokens in clear'],
  ['in clear for a group', 'http://10.0.0.1:4000', { none: true }, [USER], 'would send tokens in clear'],
  ['the same for a group', 'https://a.example', USER, [USER, { none: true }], undefined],
  ['another for a group', 'https://a.example', USER, [LIMITED], 'has two kinds of userOauth'],
  ['for a resource elsewhere', 'https://a.example', ELSEWHERE, [], 'names a resource elsewhere'],
  ['not at all', 'http://10.0.0.1:4000', { none: true }, [], undefined],
] as const) {
  test(`people’s own tokens ${name}`, () => {
    const credentialByGroup = others.map((one) => ({ credential: one }));
    assert.equal(userOauthProblem({ upstream: { url }, credential, credentialByGroup })?.problem, problem);
  });
}

test('an access token may go to Google over TLS alone', () => {
  for (const origin of ['https://bigquery.googleapis.com', 'https://europe-west1-aiplatform.googleapis.com:8443']) {
    assert.ok(isGoogleApi(origin), origin);
  }
  for (const origin of [
    'http://bigquery.googleapis.com',
    'https://googleapis.com',
    'https://evilgoogleapis.com',
    'https://googleapis.com.evil.example',
    'https://evil.example/.googleapis.com',
    'https://user.googleapis.com@evil.example',
  ]) {
    assert.ok(!isGoogleApi(origin), origin);
  }
});

test('headers that the gateway may set', () => {
  for (const name of ['X-Api-Key', 'x-verbatim-identity', 'X-Goog-Api-Key']) assert.ok(mayBeSet(name), name);
  for (const name of ['Host', 'MCP-Protocol-Version', 'Content-Length', 'cookie', 'X-Forwarded-For', 'Last-Event-ID']) {
    assert.ok(!mayBeSet(name), name);
  }
});
