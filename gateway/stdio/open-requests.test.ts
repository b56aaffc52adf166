import assert from 'node:assert/strict';
import { test } from 'node:test';
import { createOpenRequests, type OpenRequest } from './open-requests.ts';

/** A request that counts how often its token is looked at. */
function asked(id: number, written: string, serial?: number) {
  let reads = 0;
  const names = {
    id: Buffer.from(String(id)),
    get token() {
      reads++;
      return Buffer.from(written);
    },
  };
  const one: OpenRequest = { message: { kind: 'request', id }, names, serial, stream: undefined };
  return { one, reads: () => reads };
}

test('a token is read when its request is added, and not again for each notification', () => {
  const open = createOpenRequests();
  const all = [asked(1, '"p\\u0031"'), asked(2, '7'), asked(3, '"7"'), asked(4, '{"no":"token"}')];
  for (const { one } of all) open.add(one);
  const before = all.map(({ reads }) => reads());
  const found = ['"p1"', '7', '"7"', '8', '{"no":"token"}'].map((key) => open.withToken(key)?.message.id);
  assert.deepEqual(found, [1, 2, 3, undefined, undefined]);
  assert.deepEqual(
    all.map(({ reads }) => reads()),
    before,
  );
});

test('a token is gone with its request, and one of two equal tokens stays', () => {
  const open = createOpenRequests();
  const [one, two, three] = [asked(1, '"p"').one, asked(2, '"p"').one, asked(3, '"q"').one];
  for (const each of [one, two, three]) open.add(each);
  assert.equal(open.withToken('"p"'), one);
  open.remove(one);
  assert.equal(open.withToken('"p"'), two);
  open.remove(two);
  assert.equal(open.withToken('"p"'), undefined);
  open.takeAll();
  assert.equal(open.withToken('"q"'), undefined);
});

test('a request that has a number of the host is found by it, not by the token of its client', () => {
  const open = createOpenRequests();
  open.add(asked(1, '"p"', 17).one);
  assert.deepEqual([open.withToken('17')?.serial, open.withToken('"p"')], [17, undefined]);
  assert.throws(() => open.add(asked(2, '"q"', 17).one), { code: 'id_in_use' });
  assert.equal(open.withToken('17')?.message.id, 1);
});
