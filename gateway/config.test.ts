import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ConfigError, clientPaths, parseConfig, resourceUrl } from './config.ts';

type Json = Record<string, unknown>;

function connection(change: Json = {}): Json {
  return { upstream: { url: 'http://10.0.0.1:4001' }, groups: ['analysts'], credential: { none: true }, ...change };
}

function configuration(change: Json = {}): Json {
  return {
    listen: { host: '127.0.0.1', port: 8080 },
    publicUrl: 'https://mcp.example.com',
    data: './data',
    stores: { recordings: 'file:///var/lib/verbatim/store' },
    policies: 'allow-all',
    issuers: { corp: { issuer: 'https://idp.example.com' } },
    connections: { orders: connection() },
    ...change,
  };
}

function problemsIn(value: unknown): string[] {
  try {
    parseConfig(value);
    return [];
  } catch (error) {
    assert.ok(error instanceof ConfigError, String(error));
    for (const { problem, fix } of error.problems) assert.ok(problem.length > 5 && fix.length > 5);
    return error.problems.map(({ path }) => path.join('.'));
  }
}

test('defaults', () => {
  const { connections, issuers, ...rest } = parseConfig(configuration());
  const limits = {
    requestBytes: 16_777_216,
    eventBytes: 16_777_216,
    headerBytes: 32_768,
    exchangesPerPrincipal: 64,
    sessionsPerPrincipal: 32,
    firstByte: 120_000,
    idleStream: 3_600_000,
  };
  assert.deepEqual(rest, {
    listen: { host: '127.0.0.1', port: 8080 },
    publicUrl: 'https://mcp.example.com',
    allowedHosts: [],
    allowedOrigins: [],
    trustedProxyHops: 0,
    data: './data',
    stores: {
      recordings: 'file:///var/lib/verbatim/store',
      audit: 'file:///var/lib/verbatim/store-audit',
      state: 'file:///var/lib/verbatim/store-state',
    },
    sealEvery: 1000,
    maxUnsealedAge: 600_000,
    journal: { limit: 8 * 1024 ** 3 },
    heartbeatEvery: 600_000,
    secrets: [],
    drainDelay: 0,
    drain: 30_000,
    policies: 'allow-all',
    sessions: { idle: 28_800_000, longest: 43_200_000 },
    google: {},
    webhooks: Object.create(null),
    limits,
  });
  assert.deepEqual(connections.orders, {
    name: 'orders',
    upstream: { url: 'http://10.0.0.1:4001', allowAddresses: [], connections: 512, connectTimeout: 5000 },
    paths: ['/mcp'],
    query: [],
    issuers: ['corp'],
    groups: ['analysts'],
    credential: { none: true },
    credentialByGroup: [],
    recording: 'on',
    durability: 'disk',
    access: 'standing',
    data: 'ordinary',
    changedTools: 'flag',
    elicitationHosts: [],
    limits,
  });
  assert.deepEqual(issuers.corp, {
    name: 'corp',
    issuer: 'https://idp.example.com',
    audience: [],
    typ: ['at+jwt', 'application/at+jwt'],
    algorithms: ['ES256', 'RS256', 'EdDSA', 'PS256'],
    claims: { subject: 'sub', email: 'email', groups: 'groups', session: 'jti' },
    kind: 'human',
  });
});

test('no name of Object.prototype is a connection or an issuer', () => {
  const config = parseConfig(configuration());
  for (const name of ['constructor', 'toString', '__proto__']) {
    assert.equal(config.connections[name], undefined);
    assert.equal(config.issuers[name], undefined);
  }
});

test("limits: the connection's over the configuration's over the defaults", () => {
  const config = parseConfig(
    configuration({
      limits: { firstByte: '5s', requestBytes: '64KiB' },
      connections: { orders: connection({ limits: { requestBytes: 1_000_000, idleStream: '1d' } }) },
    }),
  );
  assert.deepEqual([config.limits.firstByte, config.limits.requestBytes], [5000, 65_536]);
  const { firstByte, requestBytes, idleStream, eventBytes } = config.connections.orders?.limits ?? config.limits;
  assert.deepEqual([firstByte, requestBytes, idleStream, eventBytes], [5000, 1_000_000, 86_400_000, 16_777_216]);
});

test('credentials and recording in each of their forms', () => {
  const one = (change: Json) => parseConfig(configuration({ connections: { a: connection(change) } })).connections.a;
  assert.deepEqual(one({ credential: { bearer: 'env:T' } })?.credential, { bearer: 'env:T' });
  assert.deepEqual(one({ credential: { header: 'X-Api-Key', value: 'file:/k' } })?.credential, {
    header: 'X-Api-Key',
    value: 'file:/k',
  });
  assert.deepEqual(
    [true, 'on', false, 'off'].map((recording) => one({ recording })?.recording),
    ['on', 'on', 'off', 'off'],
  );
});

test('a connection with the stream of 2024-11-05 alone has no other path; with `paths` it has both', () => {
  const one = (change: Json) => parseConfig(configuration({ connections: { a: connection(change) } })).connections.a;
  const alone = one({ sse: {} });
  assert.deepEqual([alone?.sse, alone?.paths], [{ path: '/sse', messages: '/message' }, []]);
  const both = one({ sse: { path: '/mcp/sse', messages: '/mcp' }, paths: ['/mcp'] });
  assert.deepEqual(both && clientPaths(both), ['/mcp', '/mcp/sse']);
});

test('resource URLs come from the configuration', () => {
  const config = parseConfig(
    configuration({
      publicUrl: 'http://127.0.0.1:8080/',
      connections: { orders: connection(), crm: connection({ host: 'crm.example.com' }) },
    }),
  );
  assert.equal(resourceUrl(config, 'orders', '/mcp'), 'http://127.0.0.1:8080/orders/mcp');
  assert.equal(resourceUrl(config, 'crm', '/mcp'), 'http://crm.example.com:8080/mcp');
  assert.throws(() => resourceUrl(config, 'constructor', '/mcp'));
});

/** What is written at the top, and the keys that are named. */
const TOP: readonly (readonly [Json, string[]])[] = [
  [{ listn: {} }, ['listn']],
  [{ listen: undefined }, ['listen']],
  [{ listen: null }, ['listen']],
  [{ listen: { host: '127.0.0.1', port: '8080' } }, ['listen.port']],
  [{ listen: { host: '127.0.0.1', port: 65_536 } }, ['listen.port']],
  [{ metrics: { host: '127.0.0.1', port: 8080 } }, ['metrics.port']],
  [{ publicUrl: undefined }, ['publicUrl']],
  [{ publicUrl: 'http://mcp.example.com' }, ['publicUrl']],
  [{ publicUrl: 'https://mcp.example.com/x' }, ['publicUrl']],
  [{ publicUrl: 'https://a@mcp.example.com' }, ['publicUrl']],
  [{ publicUrl: 'https://mcp.example.com?x' }, ['publicUrl']],
  [{ allowedHosts: ['A.example'] }, ['allowedHosts.0']],
  [
    { allowedOrigins: ['*', 'null', 'https://a/', 'https://ok'] },
    ['allowedOrigins.0', 'allowedOrigins.1', 'allowedOrigins.2'],
  ],
  [{ policies: undefined }, ['policies']],
  [{ policies: 'none' }, ['policies']],
  [{ policies: 'policies' }, ['policies']],
  [{ policies: 7 }, ['policies']],
  [{ webhooks: { chat: { format: 'slack' } } }, ['webhooks.chat.url']],
  [{ webhooks: { chat: { url: 'http://example.com/hook', format: 'slack' } } }, ['webhooks.chat.url']],
  [{ webhooks: { siem: { url: 'https://siem.example.com/' } } }, ['webhooks.siem.secret']],
  [
    { webhooks: { chat: { urlFrom: 'env:A', url: 'https://a.example/', format: 'slack', events: ['x'] } } },
    ['webhooks.chat.events.0'],
  ],
  [{ stores: { recordings: '/var/lib' } }, ['stores.recordings']],
  [{ stores: { recordings: 'file://host/x' } }, ['stores.recordings']],
  [{ stores: { recordings: 'gs://bucket/' } }, ['stores.recordings']],
  [{ stores: { recordings: 'gs://Bucket' } }, ['stores.recordings']],
  [{ stores: { recordings: `gs://${'b'.repeat(58)}` } }, ['stores.audit', 'stores.state']],
  [{ stores: { recordings: 'gs://bucket', audit: 'gs://x' } }, ['stores.audit']],
  [{ stores: { recordings: 'gs://bucket' }, maxUnsealedAge: '4s' }, ['maxUnsealedAge']],
  [{ sealEvery: 1 }, ['sealEvery']],
  [{ sealEvery: '0s' }, ['sealEvery']],
  [{ sealEvery: '1 s' }, ['sealEvery']],
  [{ heartbeatEvery: '25d' }, ['heartbeatEvery']],
  [{ sealEvery: '20m' }, ['sealEvery']],
  [{ sessions: { idle: '13h' } }, ['sessions.idle']],
  [{ sessions: { longest: '1h' } }, ['sessions.longest']],
  [{ limits: { requestBytes: '16MB' } }, ['limits.requestBytes']],
  [{ limits: { requestBytes: -1 } }, ['limits.requestBytes']],
  [{ limits: { requestBytes: '2GiB' } }, ['limits.requestBytes']],
  [{ limits: { exchangesPerPrincipal: 1.5 } }, ['limits.exchangesPerPrincipal']],
  [{ issuers: {} }, ['issuers', 'connections.orders.issuer'].slice(0, 1)],
  [{ issuers: { Corp: { issuer: 'https://i' } } }, ['issuers.Corp']],
  [{ issuers: { corp: { issuer: 'http://idp.example.com' } } }, ['issuers.corp.issuer']],
  [{ issuers: { corp: { issuer: 'https://i', algorithms: ['HS256'] } } }, ['issuers.corp.algorithms.0']],
  [{ issuers: { corp: { issuer: 'https://i', algorithms: ['none'] } } }, ['issuers.corp.algorithms.0']],
  [{ issuers: { corp: { issuer: 'https://i', typ: [] } } }, ['issuers.corp.typ']],
  [{ issuers: { corp: { issuer: 'https://i', jwksUri: 'file:///etc/passwd' } } }, ['issuers.corp.jwksUri']],
  [issuing({ mapping: { subject: 'clams.sub' } }), ['issuers.corp.mapping.subject']],
  [issuing({ mapping: { condition: 'claims.sub' } }), ['issuers.corp.mapping.condition']],
  [issuing({ mapping: { condition: 'claims.sub.matches("a")' } }), ['issuers.corp.mapping.condition']],
  [issuing({ mapping: { groups: '"analysts"' } }), ['issuers.corp.mapping.groups']],
  [issuing({ mapping: { session: '', owner: 7 } }), ['issuers.corp.mapping.owner', 'issuers.corp.mapping.session']],
  [issuing({ mapping: { group: '[]' } }), ['issuers.corp.mapping.group']],
  [issuing({ mapping: { attributes: { 'a-b': 'claims.sub' } } }), ['issuers.corp.mapping.attributes.a-b']],
  [issuing({ mapping: { attributes: { a: 'claims.' } } }), ['issuers.corp.mapping.attributes.a']],
  [issuing({ mapping: { attributes: many(33, (n) => [`a${n}`, 'claims.sub']) } }), ['issuers.corp.mapping.attributes']],
  [{ connections: [] }, ['connections']],
];
for (const [change, keys] of TOP) {
  test(`refused: ${JSON.stringify(change)}`, () => assert.deepEqual(problemsIn(configuration(change)), keys));
}

function issuing(more: Json): Json {
  return { issuers: { corp: { issuer: 'https://i', ...more } } };
}

function many(count: number, make: (n: number) => [string, unknown]): Json {
  return Object.fromEntries(Array.from({ length: count }, (_, n) => make(n)));
}

/** What is written in a connection, and the keys that are named in it. */
const INSIDE: readonly (readonly [Json, string[]])[] = [
  [{ upstream: undefined }, ['upstream']],
  [{ upstream: { url: 'http://h/x' } }, ['upstream.url']],
  [{ upstream: { url: 'http://user:hunter2@h' } }, ['upstream.url']],
  [{ upstream: { url: 'http://h?x' } }, ['upstream.url']],
  [{ upstream: { url: 'http://h#x' } }, ['upstream.url']],
  [{ upstream: { url: 'ftp://h' } }, ['upstream.url']],
  [{ upstream: { url: 'http://h\\@evil' } }, ['upstream.url']],
  [{ upstream: { url: 'http://127.0.0.1:1' } }, ['upstream.url']],
  [{ upstream: { url: 'http://0x7f000001:1' } }, ['upstream.url']],
  [{ upstream: { url: 'http://localhost:1' } }, ['upstream.url']],
  [{ upstream: { url: 'http://[::1]:1' } }, ['upstream.url']],
  [{ upstream: { url: 'http://169.254.169.254', allowAddresses: ['linkLocal'] } }, ['upstream.url']],
  [{ upstream: { url: 'http://[fe80::1]' } }, ['upstream.url']],
  [{ upstream: { url: 'http://0.0.0.0', allowAddresses: ['loopback'] } }, ['upstream.url']],
  [{ upstream: { url: 'http://h', allowAddresses: ['all'] } }, ['upstream.allowAddresses.0']],
  [{ upstream: { url: 'http://h', ca: '/etc/ca.pem' } }, ['upstream.ca']],
  [{ host: 'Orders.example.com' }, ['host']],
  [{ host: 'orders.example.com:80' }, ['host']],
  [{ host: 'mcp.example.com' }, ['host']],
  [{ host: 'o.example.com', paths: ['/token'] }, ['paths.0']],
  [{ paths: [] }, ['paths']],
  [
    { paths: ['mcp', '/a/../b', '/a%2fb', '/a?b', '//a', '/./a', '/.well-known/x', '/ok'] },
    [0, 1, 2, 3, 4, 5, 6].map((n) => `paths.${n}`),
  ],
  [{ paths: ['/mcp', '/mcp'] }, ['paths.1']],
  [{ query: ['a&b', 'access_token', 'ok'] }, ['query.0', 'query.1']],
  [{ issuer: 'crop' }, ['issuer']],
  [{ issuers: ['corp', 'crop'] }, ['issuers.1']],
  [{ issuers: ['corp', 'corp'] }, ['issuers.1']],
  [{ issuers: [] }, ['issuers']],
  [{ issuers: 'corp' }, ['issuers']],
  [{ issuer: 'corp', issuers: ['corp'] }, ['issuer']],
  [{ groups: undefined }, ['groups']],
  [{ groups: [] }, ['groups']],
  [{ groups: 'analysts' }, ['groups']],
  [{ credential: undefined }, ['credential']],
  [{ credential: {} }, ['credential']],
  [{ credential: { none: false } }, ['credential.none']],
  [{ credential: { none: true, bearer: 'env:T' } }, ['credential']],
  [{ credential: { header: 'X-Api-Key' } }, ['credential']],
  [{ credential: { bearer: 'hunter2' } }, ['credential.bearer']],
  [{ credential: { header: 'X-Api-Key', value: 'hunter2' } }, ['credential.value']],
  [{ upstream: { url: 'https://a.example' }, credential: { userOauth: {} } }, ['credential']],
  [{ recording: 'yes' }, ['recording']],
  [{ durability: 'none' }, ['durability']],
  [{ access: 'always' }, ['access']],
  [{ access: {} }, ['access']],
  [{ access: { justInTime: {} } }, ['access.justInTime.approvers']],
  [{ access: { justInTime: { approvers: ['a'], longest: '1' } } }, ['access.justInTime.longest']],
  [{ access: { breakGlass: { groups: ['a'], reviewers: [] } } }, ['access.breakGlass.reviewers']],
  [{ dialect: 'snowflake' }, ['dialect']],
  [{ data: 'secret' }, ['data']],
  [{ data: 'pci' }, ['data']],
  [{ data: 'personal' }, ['data']],
  [{ changedTools: 'ignore' }, ['changedTools']],
  [{ elicitationHosts: ['pay.example.com', 'https://x', 'pay.example.com'] }, ['elicitationHosts.1']],
  [{ sse: { messages: '/sse' } }, ['sse.messages']],
  [{ sse: { path: '/a?b' } }, ['sse.path']],
  [{ sse: {}, paths: ['/sse'] }, ['sse.path']],
  [
    { credential: { googleAccessToken: { serviceAccount: 'a@p.iam.gserviceaccount.com', scopes: ['s'] } } },
    ['credential'],
  ],
  [
    {
      credentialByGroup: [{ groups: ['analysts'], credential: { googleAccessToken: { key: 'env:K', scopes: ['s'] } } }],
    },
    ['credentialByGroup.0.credential'],
  ],
  [{ credentialByGroup: [{ groups: [], credential: { none: true } }] }, ['credentialByGroup.0.groups']],
  [{ identityHeader: 'Mcp-Identity' }, ['identityHeader']],
  [{ identityHeader: 'X-Key', credential: { header: 'x-key', value: 'env:T' } }, ['identityHeader']],
  [{ identityHeader: 'Authorization', credential: { bearer: 'env:T' } }, ['identityHeader']],
  [{ limits: { firstBite: '1s' } }, ['limits.firstBite']],
  ...'Authorization Connection Transfer-Encoding mcp-session-id Mcp-Foo Host Content-Length Cookie X-Forwarded-For Proxy-Authorization TE Accept-Encoding'
    .split(' ')
    .map((header) => [{ credential: { header, value: 'env:T' } }, ['credential.header']] as [Json, string[]]),
  [{ credential: { header: 'X Bad', value: 'env:T' } }, ['credential.header']],
];
for (const [change, keys] of INSIDE) {
  test(`refused in a connection: ${JSON.stringify(change)}`, () => {
    const value = configuration({ connections: { orders: connection(change) } });
    assert.deepEqual(
      problemsIn(value),
      keys.map((key) => `connections.orders.${key}`),
    );
  });
}

test('accepted: special addresses that are allowed by name, private ones as they are', () => {
  for (const [url, kind] of [
    ['http://127.0.0.1:1', 'loopback'],
    ['http://[fe80::1]', 'linkLocal'],
    ['http://169.254.169.254', 'metadata'],
  ]) {
    assert.deepEqual(
      problemsIn(configuration({ connections: { a: connection({ upstream: { url, allowAddresses: [kind] } }) } })),
      [],
    );
  }
  assert.deepEqual(
    problemsIn(configuration({ connections: { a: connection({ upstream: { url: 'https://[fd00::1]' } }) } })),
    [],
  );
});

test('names: of the gateway, not names, and one that a prototype would swallow', () => {
  const names = [
    '_system',
    'Orders',
    '1a',
    'a_b',
    '',
    'a'.repeat(64),
    'healthz',
    'readyz',
    'connect',
    'oauth',
    'authorize',
    'token',
    'register',
    'console',
    'metrics',
    '.well-known',
  ];
  for (const name of names) {
    assert.deepEqual(problemsIn(configuration({ connections: { [name]: connection() } })), [`connections.${name}`]);
  }
  const hidden = JSON.parse(JSON.stringify(configuration()).replace('"orders"', '"__proto__"'));
  assert.deepEqual(problemsIn(hidden), ['connections.__proto__']);
});

test('two connections on one host; an issuer must be named where there are several', () => {
  const shared = { host: 'o.example.com' };
  const twice = configuration({ connections: { a: connection(shared), b: connection(shared) } });
  assert.deepEqual(problemsIn(twice), ['connections.b.host']);
  const several = configuration({ issuers: { a: { issuer: 'https://a' }, b: { issuer: 'https://b' } } });
  assert.deepEqual(problemsIn(several), ['connections.orders.issuer']);
});

test('issuers of a connection: all that are named, the only one, or none where people log in', () => {
  const a = { issuer: 'https://a' };
  const b = { issuer: 'https://b' };
  const issuersOf = (change: Json, own: Json = {}) =>
    parseConfig(configuration({ ...change, connections: { orders: connection(own) } })).connections.orders?.issuers;
  assert.deepEqual(issuersOf({ issuers: { a } }), ['a']);
  assert.deepEqual(issuersOf({ issuers: { a, b } }, { issuer: 'b' }), ['b']);
  assert.deepEqual(issuersOf({ issuers: { a, b } }, { issuers: ['b', 'a'] }), ['b', 'a']);
  const login = { providers: { corp: { oidc: { issuer: 'https://i', clientId: 'c', clientSecret: 'env:S' } } } };
  assert.deepEqual(issuersOf({ issuers: {}, login }), []);
  assert.deepEqual(issuersOf({ issuers: { a }, login }), ['a']);
  assert.deepEqual(issuersOf({ issuers: { a, b }, login }), []);
  assert.deepEqual(issuersOf({ issuers: { a }, login }, { issuers: [] }), []);
});

test('two entries for one issuer on a connection each need a condition', () => {
  const entry = (condition?: string) => ({
    issuer: 'https://i',
    ...(condition === undefined ? {} : { mapping: { condition } }),
  });
  const both = (one?: string, two?: string) =>
    problemsIn(
      configuration({
        issuers: { a: entry(one), b: entry(two) },
        connections: { orders: connection({ issuers: ['a', 'b'] }), other: connection({ issuer: 'a' }) },
      }),
    );
  assert.deepEqual(both('true', 'false'), []);
  assert.deepEqual(both('true'), ['connections.orders.issuers.1']);
  assert.deepEqual(both(), ['connections.orders.issuers.0', 'connections.orders.issuers.1']);
});

test('every mistake is found at once, with a fix, and no value is repeated', () => {
  const value = configuration({
    listn: 1,
    sealEvery: '30m',
    drain: 'hunter2',
    connections: {
      a: connection({ issuer: 'crop', credential: { bearer: 'hunter2' }, upstream: { url: 'hunter2' } }),
      B: {},
    },
  });
  assert.throws(
    () => parseConfig(value),
    (error) => {
      assert.ok(error instanceof ConfigError);
      assert.deepEqual(error.problems.map(({ path }) => path.join('.')).sort(), [
        ...['connections.B', 'connections.B.credential', 'connections.B.groups', 'connections.B.upstream'],
        ...['connections.a.credential.bearer', 'connections.a.issuer', 'connections.a.upstream.url'],
        ...['drain', 'listn', 'sealEvery'],
      ]);
      assert.doesNotMatch(error.message, /hunter2/);
      assert.match(error.problems.find(({ path }) => path[0] === 'listn')?.fix ?? '', /listen/);
      assert.match(error.problems.find(({ path }) => path.at(-1) === 'issuer')?.fix ?? '', /corp/);
      return true;
    },
  );
});

test('what is no configuration at all', () => {
  for (const value of [null, undefined, 1, 'x', []]) assert.deepEqual(problemsIn(value), ['']);
});
