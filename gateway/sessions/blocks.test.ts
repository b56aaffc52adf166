import assert from 'node:assert/strict';
import { test } from 'node:test';
import { uuidv7 } from 'uuidv7';
import { createMemoryStore } from '../store/memory.ts';
import type { Store } from '../store/store.ts';
import { blockName, writeBlock } from './block.ts';
import { createBlock, findBlocks, liftBlock, listBlocks } from './block-record.ts';
import { createBlocks } from './blocks.ts';

const NOW = Date.parse('2026-11-22T18:00:00Z');
const GITHUB = 'https://token.actions.githubusercontent.com';
const BOT = { issuer: GITHUB, subject: 'repo:acme/orders:ref:refs/heads/main' };
const ANA = { issuer: 'https://idp.example.com', subject: '00u1', email: 'Ana@example.com' };
const BY = { reason: 'leaked', actor: 'os:root' };

function world(state: Store = createMemoryStore()) {
  const audit = createMemoryStore();
  const now = () => NOW;
  return { state, audit, now, replica: () => createBlocks({ state, now }), stores: { state, audit, now } };
}

async function kindsIn(audit: Store): Promise<string[]> {
  const kinds: string[] = [];
  for await (const name of audit.list('audit/')) {
    const { kind, reason, actor, details } = JSON.parse(Buffer.from((await audit.get(name)) ?? []).toString());
    kinds.push([kind, reason, actor, details.id].join(' '));
  }
  return kinds;
}

test('a block keeps its principal out on every replica until it is lifted; the record comes first', async () => {
  const { stores, replica, audit } = world();
  const [one, other] = [replica(), replica()];
  await one.poll();
  const { id } = await createBlock(stores, { who: { principal: BOT.subject, issuer: GITHUB }, ...BY });
  for (const blocks of [one, other]) {
    assert.equal((await blocks.poll()).on.length, 1);
    assert.equal(blocks.match(BOT)?.id, id);
    assert.equal(blocks.match(ANA), undefined);
    assert.ok(blocks.known());
  }
  await liftBlock(stores, { id, reason: 'rotated', actor: 'os:carol' });
  for (const blocks of [one, other]) {
    assert.deepEqual(
      (await blocks.poll()).off.map(({ it, how }) => [it.id, how]),
      [[id, 'lifted']],
    );
    assert.equal(blocks.match(BOT), undefined);
  }
  const expected = [`principal.blocked leaked os:root ${id}`, `principal.unblocked rotated os:carol ${id}`];
  assert.deepEqual((await kindsIn(audit)).sort(), expected);
});

const WHO: readonly (readonly [{ principal: string; issuer?: string }, boolean, boolean])[] = [
  [{ principal: BOT.subject }, true, false],
  [{ principal: BOT.subject, issuer: GITHUB }, true, false],
  [{ principal: BOT.subject, issuer: `${GITHUB}/` }, false, false],
  [{ principal: BOT.subject.toUpperCase() }, false, false],
  [{ principal: 'ana@EXAMPLE.com' }, false, true],
  [{ principal: 'ana@example.com', issuer: ANA.issuer }, false, true],
  [{ principal: 'ana@example.com', issuer: GITHUB }, false, false],
  [{ principal: '00u1' }, false, true],
  [{ principal: '00U1' }, false, false],
];
for (const [who, bot, ana] of WHO) {
  test(`who is meant: ${JSON.stringify(who)}`, async () => {
    const { stores, replica } = world();
    await createBlock(stores, { who, ...BY });
    const blocks = replica();
    await blocks.poll();
    assert.deepEqual([blocks.match(BOT) !== undefined, blocks.match(ANA) !== undefined], [bot, ana]);
  });
}

test('what is not recorded is not in force, and not lifted', async () => {
  const { state, now, stores, replica } = world();
  const broken: Store = { ...createMemoryStore(), create: () => Promise.reject(new Error('no')) };
  const asked = { who: { principal: 'ana' }, ...BY };
  await assert.rejects(createBlock({ state, audit: broken, now }, asked));
  const { id } = await createBlock(stores, asked);
  await assert.rejects(liftBlock({ state, audit: broken, now }, { id, ...BY }));
  assert.deepEqual(
    (await listBlocks({ state, now })).map((one) => one.id),
    [id],
  );
  await assert.rejects(createBlock({ ...stores, state: broken }, asked), /may not be in force/);
  await assert.rejects(liftBlock({ ...stores, state: broken }, { id, ...BY }), /may still be in force/);
  const blocks = replica();
  await blocks.poll();
  assert.equal(blocks.count(), 1);
});

test('a block that can not be read blocks everybody; one that names a principal is told before it', async () => {
  const { state, stores, replica } = world();
  const blocks = replica();
  const broken = uuidv7();
  await state.create(blockName(broken), Buffer.from('{"who":{"team":"orders"}}'));
  const { id } = await createBlock(stores, { who: { principal: BOT.subject }, ...BY });
  await blocks.poll();
  assert.deepEqual([blocks.match(ANA)?.who, blocks.match(BOT)?.id], [{ all: true }, id]);
  assert.deepEqual(await findBlocks(stores, broken), [broken]);
  await liftBlock(stores, { id: broken, ...BY });
  await blocks.poll();
  assert.equal(blocks.match(ANA), undefined);
});

test('nothing is written that could not be read back', () => {
  const at = NOW;
  for (const who of [
    { principal: '' },
    { principal: 'a\nb' },
    { principal: 'x'.repeat(513) },
    { all: true as const },
  ]) {
    assert.throws(() => writeBlock({ id: uuidv7(), who, at, ...BY }), JSON.stringify(who));
  }
});
