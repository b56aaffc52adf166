import assert from 'node:assert/strict';
import { generateKeyPairSync } from 'node:crypto';
import type { LookupAddress } from 'node:dns';
import { once } from 'node:events';
import type { IncomingMessage, ServerResponse } from 'node:http';
import { createServer } from 'node:https';
import { type AddressInfo, createServer as createTcpServer, type Server } from 'node:net';
import { after, test } from 'node:test';
import { CERTIFICATE, PRIVATE_KEY } from '../../../test/tls-certificate.ts';
import { type DocumentFailure, MOST_DOCUMENT_BYTES } from './document-fetch.ts';
import { createMetadataDocuments, type MetadataDocumentsDeps } from './metadata-document.ts';

type Answer = (request: IncomingMessage, response: ServerResponse) => void;

const answers = new Map<string, Answer>();
const asked: string[] = [];
const server = createServer({ cert: CERTIFICATE, key: PRIVATE_KEY }, (request, response) => {
  asked.push(request.url ?? '');
  const answer = answers.get(request.url ?? '');
  if (answer === undefined) response.writeHead(404).end();
  else answer(request, response);
});
let connections = 0;
server.on('connection', () => connections++);
const port = await listening(server);
/** No name of the list has to exist: the resolver is the test's. */
const HOST = `ide.example:${port}`;
after(() => {
  server.closeAllConnections();
  server.close();
});

function listening(one: Server): Promise<number> {
  return new Promise((done) => one.listen(0, '127.0.0.1', () => done((one.address() as AddressInfo).port)));
}

const LOOPBACK: LookupAddress[] = [{ address: '127.0.0.1', family: 4 }];

function documentsWith(options: Partial<MetadataDocumentsDeps> = {}) {
  let at = 1_000_000_000;
  const failures: DocumentFailure[] = [];
  const names: string[] = [];
  const { network, ...rest } = options;
  const documents = createMetadataDocuments({
    hosts: [HOST],
    redirectHosts: ['claude.ai'],
    now: () => at,
    failed: (_host, failure) => failures.push(failure),
    network: {
      mayReach: (kind) => kind === 'loopback',
      tls: { ca: CERTIFICATE, servername: 'localhost' },
      ...network,
      resolve: (name) => {
        names.push(name);
        return network?.resolve?.(name) ?? Promise.resolve(LOOPBACK);
      },
    },
    ...rest,
  });
  return { documents, failures, names, pass: (ms: number) => (at += ms) };
}

let serial = 0;
/** A new address on the test's host, and what it answers. */
function placed(answer: Answer | Record<string, unknown>, headers: Record<string, string> = {}): string {
  const path = `/clients/${++serial}.json`;
  const id = `https://${HOST}${path}`;
  answers.set(
    path,
    typeof answer === 'function'
      ? answer
      : (_request, response) => {
          response.writeHead(200, { 'content-type': 'application/json', ...headers });
          response.end(JSON.stringify({ client_id: id, redirect_uris: ['http://127.0.0.1/callback'], ...answer }));
        },
  );
  return id;
}

const json = { 'content-type': 'application/json' };

test('a document gives a client', async () => {
  const { documents, failures } = documentsWith();
  const id = placed({
    client_name: 'An\u202E IDE',
    client_uri: 'javascript:alert(1)',
    logo_uri: 'https://evil.example/logo',
    redirect_uris: ['http://127.0.0.1:33418/', 'https://vscode.dev/redirect', 'https://claude.ai/cb'],
    grant_types: ['authorization_code', 'refresh_token', 'urn:ietf:params:oauth:grant-type:device_code'],
    response_types: ['code'],
    token_endpoint_auth_method: 'none',
    jwks_uri: 'https://evil.example/jwks',
    scope: 'admin',
  });
  assert.deepEqual(await documents.find(id), {
    client_id: id,
    client_name: 'An IDE',
    // Another host than the document's, and not listed: left out.
    redirect_uris: ['http://127.0.0.1:33418/', 'https://claude.ai/cb'],
    grant_types: ['authorization_code', 'refresh_token'],
    response_types: ['code'],
    response_modes: ['query'],
    token_endpoint_auth_method: 'none',
    application_type: 'native',
    id_token_signed_response_alg: 'ES256',
  });
  assert.deepEqual(failures, []);
});

test('a document may redirect to its own host, and not to one that ends or begins like it', async () => {
  const { documents } = documentsWith();
  const own = `https://${HOST}/callback`;
  const id = placed({
    redirect_uris: [own, `https://x-${HOST}/callback`, 'https://ide.example.evil.example/callback'],
  });
  assert.deepEqual((await documents.find(id))?.redirect_uris, [own]);
});

test('what can not be a document costs no look-up and no connection', async () => {
  const { documents, names, failures } = documentsWith();
  const before = connections;
  for (const id of ['https://evil.example/x', `https://${HOST}/`, `https://ide.example:${port + 1}/x`, 'mine']) {
    assert.equal(await documents.find(id), undefined);
  }
  assert.deepEqual([names, failures, connections - before], [[], [], 0]);
});

const PRIVATE = [
  '127.0.0.1',
  '10.0.0.1',
  '192.168.1.1',
  '172.16.0.1',
  '100.64.0.1',
  '169.254.169.254',
  '169.254.0.1',
  '0.0.0.0',
  '224.0.0.1',
  '::1',
  '::',
  'fd00::1',
  'fe80::1',
  'ff02::1',
  '::ffff:127.0.0.1',
  '::ffff:10.0.0.1',
  '64:ff9b::7f00:1',
];

test('a name with an address that is not public is refused, and nothing is connected to', async () => {
  for (const address of PRIVATE) {
    for (const mixed of [[], [{ address: '8.8.8.8', family: 4 }]]) {
      const found = [...mixed, { address, family: address.includes(':') ? 6 : 4 }];
      // The guard as it is in production.
      const { documents, failures } = documentsWith({
        network: { resolve: async () => found, mayReach: (kind) => kind === 'public' },
      });
      const before = connections;
      assert.equal(await documents.find(`https://${HOST}/clients/private.json`), undefined);
      assert.deepEqual([failures, connections - before], [['address_refused'], 0], address);
    }
  }
});

test('by default only public addresses are reached', async () => {
  const failures: DocumentFailure[] = [];
  const documents = createMetadataDocuments({
    hosts: [HOST],
    redirectHosts: [],
    now: () => 0,
    failed: (_host, failure) => failures.push(failure),
    network: { resolve: async () => [{ address: '192.168.0.1', family: 4 }] },
  });
  assert.equal(await documents.find(`https://${HOST}/x`), undefined);
  assert.deepEqual(failures, ['address_refused']);
});

test('a name is resolved once: a second answer has no chance', async () => {
  let times = 0;
  const { documents } = documentsWith({
    network: { resolve: async () => (++times === 1 ? LOOPBACK : [{ address: '10.0.0.1', family: 4 }]) },
  });
  assert.ok(await documents.find(placed({})));
  assert.equal(times, 1);
});

test('a certificate that is not trusted is refused', async () => {
  const { documents, failures } = documentsWith({ network: { tls: { ca: CERTIFICATE, servername: 'other.example' } } });
  assert.equal(await documents.find(placed({})), undefined);
  assert.deepEqual(failures, ['unreachable']);
});

const big = 'x'.repeat(MOST_DOCUMENT_BYTES);
const UNFIT: readonly [string, Answer | Record<string, unknown>, DocumentFailure, Record<string, string>?][] = [
  ['a redirect', (_, answer) => answer.writeHead(302, { location: 'https://claude.ai/x' }).end(), 'redirected'],
  [
    'a redirect inwards',
    (_, answer) => answer.writeHead(307, { location: 'http://169.254.169.254/' }).end(),
    'redirected',
  ],
  ['404', (_, answer) => answer.writeHead(404, json).end('{}'), 'not_found'],
  ['201', (_, answer) => answer.writeHead(201, json).end('{}'), 'unreachable'],
  ['HTML', {}, 'media_type', { 'content-type': 'text/html' }],
  ['HTML that says json', {}, 'media_type', { 'content-type': 'text/html; application/json' }],
  ['no type', (_, answer) => answer.writeHead(200).end('{}'), 'media_type'],
  ['compressed', {}, 'media_type', { 'content-encoding': 'gzip' }],
  ['no JSON', (_, answer) => answer.writeHead(200, json).end('{'), 'not_acceptable'],
  ['no UTF-8', (_, answer) => answer.writeHead(200, json).end(Buffer.from([0x22, 0xff, 0x22])), 'not_acceptable'],
  ['a list', (_, answer) => answer.writeHead(200, json).end('[]'), 'not_acceptable'],
  ['too large', { client_name: big }, 'too_large'],
  [
    'too large, unannounced',
    (_, answer) => {
      answer.writeHead(200, json).write(big);
      answer.end(big);
    },
    'too_large',
  ],
  [
    'broken off',
    (request, answer) => {
      answer.writeHead(200, { ...json, 'content-length': '100' }).write('{');
      request.socket.destroy();
    },
    'unreachable',
  ],
  ["another's id", { client_id: 'https://claude.ai/oauth/claude-code-client-metadata' }, 'not_acceptable'],
  ['no id', { client_id: undefined }, 'not_acceptable'],
  ['a secret', { client_secret: 'public knowledge' }, 'not_acceptable'],
  ['an empty secret', { client_secret: '' }, 'not_acceptable'],
  ["a secret's end", { client_secret_expires_at: 0 }, 'not_acceptable'],
  ['a shared secret', { token_endpoint_auth_method: 'client_secret_basic' }, 'not_acceptable'],
  ['a secret that signs', { token_endpoint_auth_method: 'client_secret_jwt' }, 'not_acceptable'],
  ['keys that are none', { token_endpoint_auth_method: 'private_key_jwt' }, 'not_acceptable'],
  [
    'keys elsewhere',
    { token_endpoint_auth_method: 'private_key_jwt', jwks_uri: 'https://evil.example/k' },
    'not_acceptable',
  ],
  ['keys inside', { token_endpoint_auth_method: 'private_key_jwt', jwks_uri: 'http://127.0.0.1/k' }, 'not_acceptable'],
  [
    'symmetric keys',
    { token_endpoint_auth_method: 'private_key_jwt', jwks: { keys: [{ kty: 'oct', k: 'eA' }] } },
    'not_acceptable',
  ],
  ['no redirects', { redirect_uris: [] }, 'not_acceptable'],
  ['a foreign redirect', { redirect_uris: ['https://evil.example/callback'] }, 'not_acceptable'],
  ['javascript:', { redirect_uris: ['http://127.0.0.1/', 'javascript:alert(1)'] }, 'not_acceptable'],
  ['no code grant', { grant_types: ['client_credentials'] }, 'not_acceptable'],
  ['no code response', { response_types: ['token'] }, 'not_acceptable'],
];

for (const [what, answer, failure, headers] of UNFIT) {
  test(`a document is refused: ${what}`, async () => {
    const { documents, failures } = documentsWith();
    const before = asked.length;
    assert.equal(await documents.find(placed(answer, headers)), undefined);
    assert.deepEqual([failures, asked.length - before], [[failure], 1]);
  });
}

test('a document is refused: no UTF-8 inside', async () => {
  const { documents, failures } = documentsWith();
  const id = placed((_, answer) => {
    const text = JSON.stringify({ client_id: id, redirect_uris: ['http://localhost/'], client_name: '\xff' });
    answer.writeHead(200, json).end(Buffer.from(text, 'latin1'));
  });
  assert.equal(await documents.find(id), undefined);
  assert.deepEqual(failures, ['not_acceptable']);
});

test('JSON by another name is JSON, of 16 KiB at most', async () => {
  const { documents } = documentsWith();
  assert.ok(await documents.find(placed({}, { 'content-type': 'Application/Client+JSON; charset=utf-8' })));
  assert.ok(await documents.find(placed({ x: 'x'.repeat(MOST_DOCUMENT_BYTES - 200) })));
});

const SLOW: readonly [string, Answer][] = [
  ['no answer', () => {}],
  ['no body', (_, answer) => answer.writeHead(200, json).flushHeaders()],
  [
    'a body drop by drop',
    (_, answer) => {
      answer.writeHead(200, json);
      const drops = setInterval(() => answer.write(' '), 5);
      answer.on('close', () => clearInterval(drops));
    },
  ],
];

for (const [what, answer] of SLOW) {
  test(`a slow answer is given up: ${what}`, { timeout: 5000 }, async () => {
    const { documents, failures } = documentsWith({ deadline: 150 });
    const id = placed((request, response) => {
      request.socket.on('close', () => closed());
      answer(request, response);
    });
    let closed = () => {};
    const gone = new Promise<void>((done) => {
      closed = done;
    });
    assert.equal(await documents.find(id), undefined);
    assert.deepEqual(failures, ['too_slow']);
    await gone;
  });
}

test('what is refused is hung up on, however much is still to come', { timeout: 5000 }, async () => {
  const { documents, failures } = documentsWith({ deadline: 60_000 });
  for (const status of [302, 404, 200]) {
    const closed = Promise.withResolvers<void>();
    const id = placed((request, answer) => {
      request.socket.on('close', () => closed.resolve());
      answer.writeHead(status, { 'content-type': 'text/html' }).write('endless');
    });
    assert.equal(await documents.find(id), undefined);
    await closed.promise;
  }
  assert.deepEqual(failures, ['redirected', 'not_found', 'media_type']);
});

test('a name, or a handshake, that takes too long is given up', { timeout: 5000 }, async (context) => {
  const never = documentsWith({ deadline: 50, network: { resolve: () => new Promise(() => {}) } });
  assert.equal(await never.documents.find(placed({})), undefined);
  assert.deepEqual(never.failures, ['too_slow']);

  const closed: Promise<unknown>[] = [];
  const silent = createTcpServer((socket) => closed.push(once(socket.resume(), 'close')));
  context.after(() => silent.close());
  const host = `ide.example:${await listening(silent)}`;
  const stalled = documentsWith({ deadline: 150, hosts: [host] });
  assert.equal(await stalled.documents.find(`https://${host}/x`), undefined);
  assert.deepEqual(stalled.failures, ['too_slow']);
  assert.equal((await Promise.all(closed)).length, 1);
});

test('a name that does not resolve is a failure like others', async () => {
  for (const resolve of [async () => [], () => Promise.reject(new Error('ENOTFOUND'))]) {
    const { documents, failures } = documentsWith({ network: { resolve } });
    assert.equal(await documents.find(placed({})), undefined);
    assert.deepEqual(failures, ['unresolved']);
  }
});

test('a document is fetched once for all who ask, and again when its time is over', async () => {
  const times = [
    [undefined, 5 * 60],
    ['no-store', 5 * 60],
    ['max-age=900, no-store', 5 * 60],
    ['max-age=1', 5 * 60],
    ['public, max-age=900', 900],
    ['max-age=31536000', 24 * 3600],
  ] as const;
  for (const [header, seconds] of times) {
    const { documents, pass } = documentsWith();
    const id = placed({}, header === undefined ? {} : { 'cache-control': header });
    const path = new URL(id).pathname;
    const fetches = () => asked.filter((one) => one === path).length;
    const found = await Promise.all(Array.from({ length: 20 }, () => documents.find(id)));
    assert.ok(found.every((one) => one?.client_id === id));
    pass(seconds * 1000 - 1);
    await documents.find(id);
    assert.equal(fetches(), 1);
    pass(1);
    await documents.find(id);
    assert.equal(fetches(), 2);
  }
});

test('a failure is kept for a minute', async () => {
  const { documents, failures, pass } = documentsWith();
  const id = placed((_, answer) => answer.writeHead(500).end());
  for (let n = 0; n < 10; n++) assert.equal(await documents.find(id), undefined);
  assert.equal(failures.length, 1);
  pass(59_999);
  await documents.find(id);
  assert.equal(failures.length, 1);
  answers.set(new URL(id).pathname, (_, answer) =>
    answer.writeHead(200, json).end(JSON.stringify({ client_id: id, redirect_uris: ['http://localhost/'] })),
  );
  pass(1);
  assert.equal((await documents.find(id))?.client_id, id);
});

test('a client that was known is not known any more once its document is gone', async () => {
  const { documents, pass } = documentsWith();
  const id = placed({});
  assert.ok(await documents.find(id));
  answers.delete(new URL(id).pathname);
  pass(5 * 60_000);
  assert.equal(await documents.find(id), undefined);
  // What was withdrawn does not come back with an outage.
  answers.set(new URL(id).pathname, (_, answer) => answer.writeHead(503).end());
  pass(60_000);
  assert.equal(await documents.find(id), undefined);
});

test('a client that was known stays while its site is down, for a day at most', async () => {
  const { documents, failures, pass } = documentsWith();
  const id = placed({});
  assert.ok(await documents.find(id));
  answers.set(new URL(id).pathname, (_, answer) => answer.writeHead(503).end());
  pass(5 * 60_000);
  assert.equal((await documents.find(id))?.client_id, id);
  await documents.find(id);
  assert.deepEqual(failures, ['unreachable']);
  pass(24 * 3_600_000 - 5 * 60_000 - 1);
  assert.equal((await documents.find(id))?.client_id, id);
  pass(1);
  assert.equal(await documents.find(id), undefined);
  assert.equal(failures.length, 3);
});

test('a flood of made-up addresses is no flood of requests, and known clients stay', async () => {
  const { documents, failures, pass } = documentsWith();
  const known = placed({});
  assert.ok(await documents.find(known));
  pass(10 * 60_000);
  const before = asked.length;
  for (let n = 0; n < 200; n++) assert.equal(await documents.find(`https://${HOST}/made-up/${n}`), undefined);
  assert.equal(asked.length - before, 30);
  assert.equal(failures.filter((one) => one === 'too_many').length, 170);
  assert.ok(await documents.find(known));
});

test('unknown clients wait for two at once, known ones for four', { timeout: 5000 }, async () => {
  const held: ServerResponse[] = [];
  const holding = (count: number) =>
    new Promise<void>((done) => {
      arrived = () => held.length === count && done();
    });
  let arrived = () => {};
  const hold: Answer = (_, answer) => {
    held.push(answer);
    arrived();
  };
  const { documents, failures, pass } = documentsWith();
  const known = placed({});
  assert.ok(await documents.find(known));
  pass(10 * 60_000);
  const both = holding(2);
  const waiting = [placed(hold), placed(hold)].map((id) => documents.find(id));
  await both;
  const third = placed({});
  assert.equal(await documents.find(third), undefined);
  assert.deepEqual(failures, ['too_many']);
  assert.ok(await documents.find(known));
  for (const answer of held) answer.writeHead(404).end();
  await Promise.all(waiting);
  // That there was no place says nothing about the client.
  assert.ok(await documents.find(third));
});

test('a look-up that nobody waits for any more still holds its place', { timeout: 5000 }, async () => {
  const stuck: (() => void)[] = [];
  const { documents, failures } = documentsWith({
    deadline: 20,
    network: { resolve: () => new Promise((done) => stuck.push(() => done(LOOPBACK))) },
  });
  await Promise.all([placed({}), placed({})].map((id) => documents.find(id)));
  await documents.find(placed({}));
  assert.deepEqual(failures, ['too_slow', 'too_slow', 'too_many']);
  for (const end of stuck) end();
  await new Promise((done) => setImmediate(done));
  await documents.find(placed({}));
  assert.equal(failures.at(-1), 'too_slow');
});

test('keys come with the document, or from its own origin with the same guard', async () => {
  const key = { ...generateKeyPairSync('ec', { namedCurve: 'P-256' }).publicKey.export({ format: 'jwk' }), kid: 'one' };
  const { documents, pass } = documentsWith();
  const auth = { token_endpoint_auth_method: 'private_key_jwt', token_endpoint_auth_signing_alg: 'ES256' };
  const inline = await documents.find(placed({ ...auth, jwks: { keys: [key] } }));
  assert.deepEqual([inline?.token_endpoint_auth_method, inline?.jwks], ['private_key_jwt', { keys: [key] }]);

  answers.set('/keys', (_, answer) => answer.writeHead(200, json).end(JSON.stringify({ keys: [key] })));
  const id = placed({ ...auth, jwks_uri: `https://${HOST}/keys` }, { 'cache-control': 'max-age=86400' });
  const found = await documents.find(id);
  assert.deepEqual(found?.jwks, { keys: [key] });
  assert.equal(found && 'jwks_uri' in found, false);
  const fetches = () => asked.filter((one) => one === '/keys').length;
  pass(60 * 60_000);
  await documents.find(id);
  assert.equal(fetches(), 2);
});
