/** What every store does, as the one suite that runs against each of them. */
import assert from 'node:assert/strict';
import { describe, type TestContext, test } from 'node:test';
import { compareNames } from './name.ts';
import type { Store } from './store.ts';

const bytes = (text: string) => new Uint8Array(Buffer.from(text));

async function listed(store: Store, prefix: string, options?: Parameters<Store['list']>[1]): Promise<string[]> {
  const names: string[] = [];
  for await (const name of store.list(prefix, options)) names.push(name);
  return names;
}

/** Names that tell byte order from the order of a directory walk and from that of UTF-16. */
const NAMES = [
  'a-b',
  'a.b',
  'a/b',
  'a/b-c',
  'a/c/d',
  'a/c/e',
  'a0',
  'a=1/x',
  'ab',
  'b/\ue000',
  'b/\u{1f600}',
  'ledger/l/checkpoint/0000000000',
  'ledger/l/checkpoint/0000000001',
  'ledger/l/entries/0000000000.ndjson',
];

const HOSTILE = [
  '',
  '/',
  '/a',
  'a/',
  'a//b',
  '.',
  '..',
  '../a',
  'a/../b',
  'a/./b',
  'a/..',
  'a\\b',
  '..\\a',
  'a\0b',
  'a\nb',
  'a\u007fb',
  'a\u0085b',
  'a\ud800b',
  'x'.repeat(256),
  '\u20ac'.repeat(86),
  `${'a/'.repeat(512)}a`,
  '.tmp',
  '.tmp/a',
  'a/.tmpb/c',
];

/**
 * Runs the suite against new, empty stores; `makeStore` cleans up with `t.after`. `flat`: a name may be an object and the
 * folder of others at once, as in a bucket, where nobody who only creates could know.
 */
export function storeBehaviour(
  name: string,
  makeStore: (t: TestContext) => Store | Promise<Store>,
  { flat = false }: { flat?: boolean } = {},
): void {
  async function filled(t: TestContext): Promise<Store> {
    const store = await makeStore(t);
    for (const name of NAMES.toReversed()) await store.create(name, bytes(name));
    return store;
  }

  describe(`${name} store`, () => {
    test('an object is created once and never changed', async (t) => {
      const store = await makeStore(t);
      assert.equal(await store.create('a/b', bytes('one')), 'created');
      assert.equal(await store.create('a/b', bytes('two')), 'exists');
      assert.equal(await store.create('a/b', bytes('one')), 'exists');
      assert.deepEqual(Buffer.from((await store.get('a/b')) ?? []), Buffer.from('one'));
    });

    test('of 20 concurrent creators one wins, with all of its bytes', async (t) => {
      const store = await makeStore(t);
      const bodies = Array.from({ length: 20 }, (_, creator) => Buffer.alloc(100_000, creator + 1));
      const outcomes = await Promise.all(bodies.map((body) => store.create('x/y/z', body)));
      assert.equal(outcomes.filter((outcome) => outcome === 'created').length, 1);
      const winner = bodies[outcomes.indexOf('created')];
      assert.deepEqual(Buffer.from((await store.get('x/y/z')) ?? []), winner);
      assert.deepEqual(await listed(store, ''), ['x/y/z']);
    });

    test('any bytes come back as they were, none too', async (t) => {
      const store = await makeStore(t);
      for (const body of [new Uint8Array(), Uint8Array.from({ length: 256 }, (_, byte) => byte)]) {
        await store.create(`n${body.length}`, body);
        assert.deepEqual(Buffer.from((await store.get(`n${body.length}`)) ?? [1]), Buffer.from(body));
      }
    });

    test('what is absent is undefined', async (t) => {
      const store = await filled(t);
      for (const absent of ['z', 'a', 'a/c', 'a/z', 'a-b/c', 'a-b/c/d']) {
        assert.equal(await store.get(absent), undefined, absent);
      }
    });

    test('neither the bytes given nor the bytes got are shared', async (t) => {
      const store = await makeStore(t);
      const given = bytes('abc');
      const creating = store.create('a', given);
      given.fill(0);
      await creating;
      const got = await store.get('a');
      assert.deepEqual(Buffer.from(got ?? []), Buffer.from('abc'));
      got?.fill(0);
      assert.deepEqual(Buffer.from((await store.get('a')) ?? []), Buffer.from('abc'));
    });

    test('names come in the order of their bytes, whatever the prefix', async (t) => {
      const store = await filled(t);
      assert.deepEqual(NAMES.toSorted(compareNames), NAMES);
      assert.deepEqual(await listed(store, ''), NAMES);
      for (const prefix of [
        'a',
        'a/',
        'a/b',
        'a/c',
        'a/c/',
        'b/\ue000',
        'ledger/l/',
        'ledger/l/e',
        'z',
        'z/',
        'a-b/',
        '.',
      ]) {
        const expected = NAMES.filter((name) => name.startsWith(prefix));
        assert.deepEqual(await listed(store, prefix), expected, prefix);
      }
    });

    test('a delimiter rolls names up, each folder once', async (t) => {
      const store = await filled(t);
      const table: [string, string[]][] = [
        ['', ['a-b', 'a.b', 'a/', 'a0', 'a=1/', 'ab', 'b/', 'ledger/']],
        ['a', ['a-b', 'a.b', 'a/', 'a0', 'a=1/', 'ab']],
        ['a/', ['a/b', 'a/b-c', 'a/c/']],
        ['a/c', ['a/c/']],
        ['ledger/', ['ledger/l/']],
        ['ledger/l/', ['ledger/l/checkpoint/', 'ledger/l/entries/']],
        ['z/', []],
      ];
      for (const [prefix, expected] of table) {
        assert.deepEqual(await listed(store, prefix, { delimiter: '/' }), expected, prefix);
      }
    });

    test('startAfter goes on behind any name, there or not, rolled up or not', async (t) => {
      const store = await filled(t);
      const starts = [
        ...NAMES,
        '',
        'a',
        'a/',
        'a/a',
        'a/c',
        'a/c/',
        'a/c/zz',
        'a/\u{10ffff}',
        'ledger/',
        'm',
        '../x',
        '\0',
      ];
      for (const startAfter of starts) {
        for (const prefix of ['', 'a/', 'ledger/l/']) {
          const under = NAMES.filter((name) => name.startsWith(prefix));
          const after = under.filter((name) => compareNames(name, startAfter) > 0);
          assert.deepEqual(await listed(store, prefix, { startAfter }), after, `${prefix} ${startAfter}`);
          const rolled = await listed(store, prefix, { delimiter: '/' });
          assert.deepEqual(
            await listed(store, prefix, { delimiter: '/', startAfter }),
            rolled.filter((name) => compareNames(name, startAfter) > 0),
            `rolled ${prefix} ${startAfter}`,
          );
        }
      }
    });

    if (flat)
      test('an object and a folder of the same name are two things', async (t) => {
        const store = await filled(t);
        for (const name of ['a', 'a-b/c']) assert.equal(await store.create(name, bytes(name)), 'created', name);
        assert.deepEqual(Buffer.from((await store.get('a')) ?? []), Buffer.from('a'));
        assert.deepEqual(await listed(store, 'a', { delimiter: '/' }), [
          'a',
          'a-b',
          'a-b/',
          'a.b',
          'a/',
          'a0',
          'a=1/',
          'ab',
        ]);
      });
    else
      test('an object and a folder can not have the same name', async (t) => {
        const store = await filled(t);
        for (const name of ['a', 'a/c', 'a-b/c', 'a-b/c/d']) {
          await assert.rejects(store.create(name, bytes('x')), { code: 'name_conflict' }, name);
        }
        assert.deepEqual(await listed(store, ''), NAMES);
      });

    test('hostile names are refused everywhere', async (t) => {
      const store = await filled(t);
      for (const name of HOSTILE) {
        await assert.rejects(store.create(name, bytes('x')), { code: 'invalid_name' }, JSON.stringify(name));
        await assert.rejects(store.get(name), { code: 'invalid_name' }, JSON.stringify(name));
      }
      for (const prefix of ['/', '../', 'a/../', 'a//', './', '..\\', 'a\0', '\ud800', '.tmp/', 'x'.repeat(1025)]) {
        await assert.rejects(listed(store, prefix), { code: 'invalid_name' }, JSON.stringify(prefix));
      }
      assert.deepEqual(await listed(store, ''), NAMES);
    });

    test('the longest names are names', async (t) => {
      const store = await makeStore(t);
      const longest = `${'x'.repeat(255)}/${'\u20ac'.repeat(85)}/${'y'.repeat(255)}/${'z'.repeat(254)}/a`;
      assert.equal(Buffer.byteLength(longest), 1024);
      assert.equal(await store.create(longest, bytes('x')), 'created');
      assert.deepEqual(await listed(store, ''), [longest]);
    });
  });
}
