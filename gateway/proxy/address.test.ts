import assert from 'node:assert/strict';
import type { LookupAddress } from 'node:dns';
import { connect, createServer, type LookupFunction } from 'node:net';
import { test } from 'node:test';
import { GatewayError } from '../errors.ts';
import { type AddressClass, classifyAddress, classifyHost, createPinnedLookup, mayConnect } from './address.ts';

const CLASSES: readonly [string, AddressClass][] = [
  ['8.8.8.8', 'public'],
  ['10.1.2.3', 'private'],
  ['172.15.255.255', 'public'],
  ['172.16.0.0', 'private'],
  ['172.31.255.255', 'private'],
  ['172.32.0.0', 'public'],
  ['192.168.0.1', 'private'],
  ['100.64.0.1', 'private'],
  ['127.0.0.1', 'loopback'],
  ['127.255.255.254', 'loopback'],
  ['169.254.1.1', 'linkLocal'],
  ['169.254.169.254', 'metadata'],
  ['169.254.170.2', 'metadata'],
  ['0.0.0.0', 'unspecified'],
  ['0.1.2.3', 'unspecified'],
  ['224.0.0.1', 'multicast'],
  ['239.255.255.255', 'multicast'],
  ['240.0.0.1', 'reserved'],
  ['255.255.255.255', 'reserved'],
  ['192.0.2.1', 'reserved'],
  ['198.18.0.1', 'reserved'],
  ['2606:4700::1111', 'public'],
  ['::1', 'loopback'],
  ['0:0:0:0:0:0:0:1', 'loopback'],
  ['::', 'unspecified'],
  ['fe80::1', 'linkLocal'],
  ['fe80::1%eth0', 'linkLocal'],
  ['febf::1', 'linkLocal'],
  ['fec0::1', 'reserved'],
  ['fd12:3456::1', 'private'],
  ['fd20:ce::254', 'metadata'],
  ['FD20:00CE:0::0254', 'metadata'],
  ['fd00:ec2::254', 'metadata'],
  ['ff02::1', 'multicast'],
  ['2001:db8::1', 'reserved'],
  ['2001::1', 'reserved'],
  ['::ffff:127.0.0.1', 'loopback'],
  ['::ffff:7f00:1', 'loopback'],
  ['::ffff:169.254.169.254', 'metadata'],
  ['::ffff:a9fe:a9fe', 'metadata'],
  ['::ffff:8.8.8.8', 'public'],
  ['::127.0.0.1', 'loopback'],
  ['::ffff:0:127.0.0.1', 'loopback'],
  ['64:ff9b::169.254.169.254', 'metadata'],
  ['64:ff9b::10.0.0.1', 'private'],
  ['64:ff9b:1::1', 'reserved'],
  ['2002:7f00:1::', 'loopback'],
  ['2002:a9fe:a9fe::1', 'metadata'],
  ['2002:808:808::1', 'public'],
  ['not an address', 'reserved'],
  ['', 'reserved'],
];

for (const [address, kind] of CLASSES) {
  test(`address ${address} is ${kind}`, () => assert.equal(classifyAddress(address), kind));
}

const HOSTS: readonly [string, AddressClass | undefined][] = [
  ['http://2130706433/', 'loopback'],
  ['http://0x7f.1/', 'loopback'],
  ['http://0177.0.0.1/', 'loopback'],
  ['http://127.1:80/', 'loopback'],
  ['http://0/', 'unspecified'],
  ['http://0xa9fea9fe/', 'metadata'],
  ['http://[::ffff:169.254.169.254]/', 'metadata'],
  ['http://１２７.0.0.1/', 'loopback'],
  ['http://LOCALHOST./', 'loopback'],
  ['http://a.localhost/', 'loopback'],
  ['http://metadata.google.internal./', 'metadata'],
  ['http://10.0.0.1/', 'private'],
  ['http://orders.internal/', undefined],
];

for (const [url, kind] of HOSTS) {
  test(`host of ${url} is ${kind}`, () => assert.equal(classifyHost(new URL(url).hostname), kind));
}

test('only the three classes can be opened, each by its own name', () => {
  const all = ['loopback', 'linkLocal', 'metadata', 'unspecified', 'multicast', 'reserved'];
  const kinds: AddressClass[] = [
    'public',
    'private',
    'loopback',
    'linkLocal',
    'metadata',
    'unspecified',
    'multicast',
    'reserved',
  ];
  assert.deepEqual(
    kinds.filter((kind) => mayConnect(kind, all)),
    ['public', 'private', 'loopback', 'linkLocal', 'metadata'],
  );
  assert.deepEqual(
    kinds.filter((kind) => mayConnect(kind, [])),
    ['public', 'private'],
  );
  assert.deepEqual(
    kinds.filter((kind) => mayConnect(kind, ['loopback'])),
    ['public', 'private', 'loopback'],
  );
});

function ask(lookup: LookupFunction, name: string, options: { all?: boolean; family?: number } = {}) {
  return new Promise<{ error: Error | null; address: unknown; family: unknown }>((done) => {
    lookup(name, options, (error, address, family) => done({ error, address, family }));
  });
}

const answers =
  (...found: LookupAddress[]) =>
  async () =>
    found;

test('one refused address among good ones refuses the name', async () => {
  const mixed = answers({ address: '8.8.8.8', family: 4 }, { address: '::ffff:169.254.169.254', family: 6 });
  for (const family of [0, 4]) {
    const { error } = await ask(createPinnedLookup([], mixed), 'orders.internal', { family });
    assert.ok(error instanceof GatewayError);
    assert.equal(error.code, 'upstream_address_refused');
  }
});

test('names of the metadata server and this machine are refused before they are resolved', async () => {
  const never = async () => assert.fail('resolved');
  for (const name of ['metadata.google.internal', 'localhost', 'x.localhost.']) {
    const { error } = await ask(createPinnedLookup([], never), name);
    assert.ok(error instanceof GatewayError && error.code === 'upstream_address_refused');
  }
});

test('checked addresses are handed out once resolved, as one or all, by family', async () => {
  let asked = 0;
  const lookup = createPinnedLookup([], async () => {
    asked += 1;
    return [
      { address: '10.0.0.1', family: 4 },
      { address: 'fd00::1', family: 6 },
    ];
  });
  assert.deepEqual(await ask(lookup, 'a.internal'), { error: null, address: '10.0.0.1', family: 4 });
  assert.deepEqual((await ask(lookup, 'a.internal', { family: 6 })).address, 'fd00::1');
  assert.equal(((await ask(lookup, 'a.internal', { all: true })).address as unknown[]).length, 2);
  assert.equal(asked, 3);
});

test("the resolver's own failure passes, and an empty answer is unreachable", async () => {
  const failure = Object.assign(new Error('x'), { code: 'ENOTFOUND' });
  const failed = await ask(
    createPinnedLookup([], () => Promise.reject(failure)),
    'a.internal',
  );
  assert.equal(failed.error, failure);
  const empty = await ask(createPinnedLookup([], answers()), 'a.internal');
  assert.ok(empty.error instanceof GatewayError && empty.error.code === 'upstream_unreachable');
});

test('a socket connects to the checked address, and not at all where it is refused', async () => {
  const server = createServer((socket) => socket.end());
  await new Promise<void>((done) => server.listen(0, '127.0.0.1', done));
  const { port } = server.address() as { port: number };
  const loopback = answers({ address: '127.0.0.1', family: 4 });
  const outcome = (allow: string[]) =>
    new Promise<string>((done) => {
      const socket = connect({ host: 'orders.internal', port, lookup: createPinnedLookup(allow, loopback) });
      socket.once('connect', () => done(String(socket.remoteAddress)));
      socket.once('error', (error) => done(error instanceof GatewayError ? error.code : String(error)));
      socket.once('close', () => socket.destroy());
    });
  try {
    assert.equal(await outcome(['loopback']), '127.0.0.1');
    assert.equal(await outcome([]), 'upstream_address_refused');
  } finally {
    server.close();
  }
});
