import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Store } from '../store/store.ts';
import { createExchangeGrouping, type Exchange, releasedBytes, requestBytes } from './exchange.ts';
import { ANA, createFixture, type Fixture, storeOf } from './fixture.ts';
import { openRecordings } from './read.ts';
import { createNumberedReader } from './read-ahead.ts';
import type { ReadItem } from './read-strand.ts';

const S1 = '019aa000-0000-7000-8000-000000000001';
const S2 = '019aa000-0000-7000-8000-000000000002';
const BOB = { ...ANA, subject: 'bob', email: 'bob@example.com' };

async function collect<T>(items: AsyncIterable<T>): Promise<T[]> {
  const all: T[] = [];
  for await (const item of items) all.push(item);
  return all;
}

/** Two sessions: ana's has ended, bob's goes on. */
async function twoSessions(): Promise<Fixture> {
  const fixture = createFixture('disk1');
  const ana = fixture.begin(S1, 'orders');
  ana.cut();
  await fixture.seal();
  ana.call({ exchange: 'e1', id: 1, tool: 'query', answer: 'caffè' });
  ana.cut();
  await fixture.seal();
  const bob = fixture.begin(S2, 'tickets', { principal: BOB });
  bob.call({ exchange: 'e2', id: 1, tool: 'close', answer: '', effect: 'deny' });
  bob.cut();
  ana.call({ exchange: 'e3', id: 2, tool: 'query', answer: 'no table', isError: true });
  ana.end('signed out');
  await fixture.seal();
  return fixture;
}

const codes = (items: readonly ReadItem[]): string[] =>
  items.flatMap((item) => (item.kind === 'problem' ? item.problem.code : []));
const seqs = (items: readonly ReadItem[]): string[] =>
  items.flatMap((item) => (item.kind === 'frame' ? `${item.frame.strand.split('.')[1]}:${item.frame.seq}` : []));

test('sessions come newest first, counted from summaries and, while live, from frames', async () => {
  const recordings = openRecordings(await (await twoSessions()).store());
  const [bob, ana, ...others] = await collect(recordings.sessions());
  assert.equal(others.length, 0);
  assert.deepEqual(
    { ...ana, client: undefined, principal: undefined, bytes: undefined, started: undefined, ended: undefined },
    {
      session: S1,
      state: 'ended',
      connection: 'orders',
      principal: undefined,
      client: undefined,
      started: undefined,
      ended: undefined,
      reason: 'signed out',
      strands: [`${S1}.disk1`],
      calls: 2,
      frames: 10,
      segments: 3,
      exchanges: 2,
      messages: 2,
      denied: 0,
      refused: 0,
      errors: 0,
      toolErrors: 1,
      gaps: 0,
      approvals: 0,
      masked: 0,
      bytes: undefined,
      methods: { 'tools/call': 2 },
      tools: { query: 2 },
      problems: [],
    },
  );
  assert.equal(bob?.session, S2);
  assert.equal(bob?.state, 'live');
  assert.equal(bob?.ended, undefined);
  assert.deepEqual([bob?.frames, bob?.denied, bob?.errors, bob?.principal?.email], [5, 1, 1, 'bob@example.com']);
});

test('filters of sessions', async () => {
  const recordings = openRecordings(await (await twoSessions()).store());
  const ids = async (filter: Parameters<typeof recordings.sessions>[0]) =>
    (await collect(recordings.sessions(filter))).map((info) => info.session);
  assert.deepEqual(await ids({ live: true }), [S2]);
  assert.deepEqual(await ids({ live: false }), [S1]);
  assert.deepEqual(await ids({ denied: true }), [S2]);
  assert.deepEqual(await ids({ user: 'ANA@example.com' }), [S1]);
  assert.deepEqual(await ids({ user: 'bob' }), [S2]);
  assert.deepEqual(await ids({ user: 'bo' }), []);
  assert.deepEqual(await ids({ connection: 'orders' }), [S1]);
  assert.deepEqual(await ids({ since: new Date('2026-11-22T18:00:00.001Z') }), [S2]);
  assert.deepEqual(await ids({ since: new Date('2026-11-23T00:00:00Z') }), []);
  assert.deepEqual(await ids({ system: true }), []);
});

test('a system strand is listed only where asked for', async () => {
  const fixture = createFixture('disk1');
  fixture.begin('sys_1', '_system').cut();
  fixture.begin(S1, 'orders').cut();
  await fixture.seal();
  const recordings = openRecordings(await fixture.store());
  assert.deepEqual(
    (await collect(recordings.sessions())).map((info) => info.session),
    [S1],
  );
  assert.deepEqual(
    (await collect(recordings.sessions({ system: true }))).map((info) => info.session),
    ['sys_1'],
  );
  assert.deepEqual(await recordings.find(''), [S1]);
  assert.deepEqual(await recordings.find('sys_'), ['sys_1']);
});

test('a replica that is gone: one recording, live since it was heard of last; closed where its ledger is', async () => {
  const lost = createFixture('disk1');
  const there = createFixture('disk2', lost.objects);
  const first = lost.begin(S1, 'orders');
  first.call({ exchange: 'e1', id: 1, tool: 'query', answer: 'a' });
  first.cut();
  await lost.seal();
  there.wait(3_600_000_000);
  const second = there.begin(S1, 'orders');
  second.call({ exchange: 'e2', id: 2, tool: 'query', answer: 'b' });
  second.end('idle');
  there.heartbeat();
  await there.seal();
  const read = async () => openRecordings(await lost.store());
  const info = await (await read()).session(S1);
  assert.deepEqual([info?.strands, info?.calls, info?.state], [[`${S1}.disk1`, `${S1}.disk2`], 2, 'live']);
  assert.match(info?.heardOf ?? '', /^2026-11-22T18:00:0/);
  assert.deepEqual(
    seqs(await collect((await read()).frames(S1))).map((seq) => seq.slice(0, 5)),
    [...Array(5).fill('disk1'), ...Array(6).fill('disk2')],
  );
  lost.note({ v: 1, kind: 'closed', reason: 'given up', at: '2026-11-22T20:00:00Z' });
  await lost.seal();
  assert.equal((await (await read()).session(S1))?.heardOf, undefined);
});

test('a changed summary shows as a problem, and the counts come from the frames', async () => {
  const fixture = await twoSessions();
  const name = `sessions/dt=2026-11-22/${S1}.disk1.json`;
  const forged = Buffer.from(String(fixture.objects.get(name)).replace('"toolErrors":1', '"toolErrors":0'));
  fixture.objects.set(name, forged);
  const info = await openRecordings(await fixture.store()).session(S1);
  assert.deepEqual(
    info?.problems.map(({ code }) => code),
    ['summary_hash'],
  );
  assert.equal(info?.toolErrors, 1);
  assert.equal(info?.state, 'ended');
});

test('frames come in order with their exact lines', async () => {
  const fixture = await twoSessions();
  const items = await collect(openRecordings(await fixture.store()).frames(S1));
  assert.deepEqual(
    seqs(items),
    Array.from({ length: 10 }, (_, seq) => `disk1:${seq}`),
  );
  for (const item of items)
    assert.deepEqual(item.kind === 'frame' && JSON.parse(item.line), item.kind === 'frame' && item.frame);
});

test('exchanges give back the exact bytes of request and released response', async () => {
  const grouping = createExchangeGrouping();
  const whole: Exchange[] = [];
  for await (const item of openRecordings(await (await twoSessions()).store()).frames(S1)) {
    if (item.kind !== 'frame') continue;
    const exchange = grouping.add(item.frame);
    if (exchange !== undefined) whole.push(exchange);
  }
  const [first] = whole;
  assert.ok(first !== undefined);
  assert.deepEqual(
    whole.map(({ id }) => id),
    ['e1', 'e3'],
  );
  assert.equal(
    requestBytes(first).toString(),
    '{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"query","arguments":{"n":1.00}}}',
  );
  assert.equal(
    releasedBytes(first).toString(),
    'event: message\r\ndata: {"jsonrpc":"2.0","id":1,"result":{"content":[{"type":"text","text":"caffè"}]}}\r\n\r\n',
  );
  assert.deepEqual(grouping.rest(), []);
});

test('what was recorded and not released is no part of the released bytes', async () => {
  const fixture = createFixture('disk1');
  const strand = fixture.begin(S1, 'orders');
  const data = (body: object) => strand.add({ type: 'data', exchange: 'e1', from: 'upstream', ...body });
  strand.add({ type: 'request', exchange: 'e1', method: 'POST', path: '/mcp', headers: [], bytes: 6, messages: [] });
  strand.add({ type: 'data', exchange: 'e1', from: 'client', text: 'abc' } as never);
  strand.add({
    type: 'data',
    exchange: 'e1',
    from: 'client',
    base64: Buffer.from([0xff, 0, 1]).toString('base64'),
  } as never);
  data({ text: 'one', more: true });
  data({ base64: Buffer.from([0xfe]).toString('base64') });
  data({ text: 'gone', released: false });
  data({ text: 'half an event', more: true });
  strand.cut();
  await fixture.seal();
  const grouping = createExchangeGrouping();
  for await (const item of openRecordings(await fixture.store()).frames(S1))
    if (item.kind === 'frame') grouping.add(item.frame);
  const [open] = grouping.rest();
  assert.ok(open !== undefined);
  assert.deepEqual(requestBytes(open), Buffer.from([0x61, 0x62, 0x63, 0xff, 0, 1]));
  assert.deepEqual(releasedBytes(open), Buffer.from([0x6f, 0x6e, 0x65, 0xfe]));
  assert.equal(open.end, undefined);
});

test('a missing or changed segment is a problem in its place, and the rest is read', async () => {
  for (const [tamper, code] of [
    [(): undefined => undefined, 'segment_missing'],
    [(bytes: Buffer) => flip(bytes, bytes.length - 9), 'segment_hash'],
    [(bytes: Buffer) => bytes.subarray(0, -1), 'segment_size'],
  ] as const) {
    const fixture = await twoSessions();
    replace(fixture, `recordings/dt=2026-11-22/connection=orders/${S1}.disk1.00001.ndjson.gz`, tamper);
    const items = await collect(openRecordings(await fixture.store()).frames(S1));
    assert.deepEqual(codes(items), [code]);
    assert.equal(items[0]?.kind, 'frame');
    assert.equal(items[1]?.kind, 'problem');
    assert.deepEqual(seqs(items), ['disk1:0', 'disk1:5', 'disk1:6', 'disk1:7', 'disk1:8', 'disk1:9']);
  }
});

test('frames of unknown types and unknown fields are kept, malformed ones are problems', async () => {
  const fixture = createFixture('disk1');
  const strand = fixture.begin(S1, 'orders');
  strand.add({ type: 'tomorrow', news: 1 } as never);
  strand.add({ type: 'gap', gap: { reason: 'r', from: 'a', to: 'b' }, extra: true } as never);
  strand.add({ type: 'gap', gap: { reason: 7, from: 'a', to: 'b' } } as never);
  strand.cut();
  await fixture.seal();
  const items = await collect(openRecordings(await fixture.store()).frames(S1));
  assert.deepEqual(
    items.map((item) => item.kind),
    ['frame', 'unknown', 'frame', 'problem'],
  );
  assert.equal(items[2]?.kind === 'frame' && 'extra' in items[2].frame, true);
  assert.deepEqual(codes(items), ['frame_unreadable']);
});

test('strands of one session are merged by exchange, then time; inside a strand seq rules', async () => {
  const one = createFixture('disk1');
  const two = createFixture('disk2', one.objects);
  const a = one.begin(S1, 'orders'); // 1 ms
  const b = two.begin(S1, 'orders'); // 1 ms, the same clock
  a.call({ exchange: 'a1', id: 1, tool: 'query', answer: '' }); // 2 to 5 ms
  two.wait(1_500);
  b.call({ exchange: 'b1', id: 1, tool: 'query', answer: '' }); // 3.5 to 6.5 ms
  a.cut();
  b.cut();
  await one.seal();
  await two.seal();
  const items = await collect(openRecordings(await one.store()).frames(S1));
  assert.deepEqual(codes(items), []);
  assert.deepEqual(
    seqs(items).map((place) => place.replace('disk', '')),
    ['1:0', '2:0', '1:1', '1:2', '1:3', '1:4', '2:1', '2:2', '2:3', '2:4'],
  );
  const info = await openRecordings(await one.store()).session(S1);
  assert.deepEqual([info?.strands.length, info?.frames, info?.calls], [2, 10, 2]);
});

test('an open GET stream does not hold back what other strands recorded', async () => {
  const one = createFixture('disk1');
  const two = createFixture('disk2', one.objects);
  const a = one.begin(S1, 'orders');
  const b = two.begin(S1, 'orders');
  a.add({ type: 'request', exchange: 'stream', method: 'GET', path: '/mcp', headers: [], bytes: 0, messages: [] });
  one.wait(60_000_000);
  a.add({ type: 'data', exchange: 'stream', from: 'upstream', text: ': ping\n\n' } as never);
  b.call({ exchange: 'b1', id: 1, tool: 'query', answer: '' });
  a.cut();
  b.cut();
  await one.seal();
  await two.seal();
  const items = await collect(openRecordings(await one.store()).frames(S1));
  assert.equal(seqs(items).at(-1), 'disk1:2');
});

test('after an outage of the signer one checkpoint covers several entries', async () => {
  const fixture = createFixture('disk1');
  const strand = fixture.begin(S1, 'orders');
  strand.cut();
  await fixture.seal({ signerDown: true });
  strand.call({ exchange: 'e1', id: 1, tool: 'query', answer: 'x' });
  strand.cut();
  await fixture.seal({ signerDown: true });
  const recordings = openRecordings(await fixture.store());
  assert.deepEqual(await collect(recordings.frames(S1)), []);
  await fixture.seal();
  assert.equal(seqs(await collect(openRecordings(await fixture.store()).frames(S1))).length, 5);
});

test('following yields what new checkpoints cover, in order, and ends on abort', async () => {
  const fixture = createFixture('disk1');
  const strand = fixture.begin(S1, 'orders');
  strand.cut();
  await fixture.seal({ signerDown: true });
  await fixture.seal(); // Checkpoint 0 covers entries 0.
  const store = await fixture.store();
  const ending = new AbortController();
  const seen: string[] = [];
  const grow = async (): Promise<void> => {
    for (const [name, bytes] of fixture.objects) await store.create(name, bytes);
  };
  const onReady = (): void => {
    strand.call({ exchange: 'e1', id: 1, tool: 'query', answer: 'x' });
    strand.cut();
    void fixture.seal().then(grow);
  };
  for await (const item of openRecordings(store).follow({ signal: ending.signal, every: 1, onReady })) {
    if (item.kind === 'frame') seen.push(`${item.frame.seq} ${item.frame.type}`);
    if (seen.length === 4) ending.abort();
  }
  assert.deepEqual(seen, ['1 request', '2 response', '3 data', '4 end']);
});

test('following from now finds its place after an outage of the signer, too', async () => {
  const fixture = createFixture('disk1');
  const strand = fixture.begin(S1, 'orders');
  strand.cut();
  await fixture.seal({ signerDown: true });
  strand.call({ exchange: 'e1', id: 1, tool: 'query', answer: 'x' });
  strand.cut();
  await fixture.seal({ signerDown: true });
  await fixture.seal(); // Checkpoint 0 covers entries 0 and 1.
  const store = await fixture.store();
  const ending = new AbortController();
  const seen: number[] = [];
  const onReady = (): void => {
    strand.add({ type: 'strand.end', reason: 'x' });
    strand.cut();
    void fixture.seal().then(async () => {
      for (const [name, bytes] of fixture.objects) await store.create(name, bytes);
    });
  };
  for await (const item of openRecordings(store).follow({ signal: ending.signal, every: 1, onReady })) {
    seen.push(item.kind === 'frame' ? item.frame.seq : -1);
    ending.abort();
  }
  assert.deepEqual(seen, [5]);
});

test('a numbered reader asks again for what was absent', async () => {
  const there = new Set([0, 1, 2]);
  const reader = createNumberedReader(async (number) => (there.has(number) ? number : undefined));
  const read: (number | undefined)[] = [];
  for (const number of [0, 1, 2, 3]) read.push(await reader.get(number));
  there.add(3).add(4);
  for (const number of [3, 4, 5]) read.push(await reader.get(number));
  there.add(5);
  read.push(await reader.get(5));
  there.add(6); // Absent when it was read ahead, together with 5.
  read.push(await reader.get(6));
  assert.deepEqual(read, [0, 1, 2, undefined, 3, 4, undefined, 5, 6]);
});

test('following costs one read a ledger a poll, and sees a ledger that appears later whole', async () => {
  const store = await storeOf(new Map());
  const reads: string[] = [];
  const counted: Store = {
    ...store,
    get(name) {
      reads.push(name);
      return store.get(name);
    },
  };
  const first = createFixture('disk1');
  first.begin(S1, 'orders').cut();
  await first.seal();
  for (const [name, bytes] of first.objects) await store.create(name, bytes);
  const second = createFixture('disk2');
  second.begin(S2, 'orders').cut();
  await second.seal();
  const ending = new AbortController();
  let polls = 0;
  const watched: Store = {
    ...counted,
    get(name) {
      if (name === 'ledger/disk1/checkpoint/0000000001' && ++polls === 5) {
        for (const [other, bytes] of second.objects) void store.create(other, bytes);
      }
      return counted.get(name);
    },
  };
  for await (const item of openRecordings(watched).follow({ signal: ending.signal, every: 1 })) {
    assert.equal(item.kind === 'frame' && item.frame.session, S2);
    ending.abort();
  }
  const before = reads.indexOf('ledger/disk2/checkpoint/0000000000');
  const polled = reads.slice(0, before).filter((name) => !name.endsWith('checkpoint/0000000001'));
  assert.equal(polled.length <= 6, true, polled.join());
});

function flip(bytes: Buffer, at: number): Buffer {
  const copy = Buffer.from(bytes);
  copy[at] = (copy[at] ?? 0) ^ 1;
  return copy;
}

function replace(fixture: Fixture, name: string, change: (bytes: Buffer) => Buffer | undefined): void {
  const bytes = fixture.objects.get(name);
  assert.ok(bytes !== undefined, name);
  const changed = change(bytes);
  if (changed === undefined) fixture.objects.delete(name);
  else fixture.objects.set(name, changed);
}
