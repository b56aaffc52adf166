import assert from 'node:assert/strict';
import { test } from 'node:test';
import { toolChangeEvent } from './tool-changes.ts';

const NONE = { changed: [], added: [], missing: [] };

test('all as pinned: nothing to say', () => {
  assert.equal(toolChangeEvent('orders', NONE), undefined);
});

test('one state has one key, in whatever order it was met; another state has another', () => {
  const a = { name: 'a', what: ['description'] as const };
  const b = { name: 'b', what: ['title'] as const };
  const said = toolChangeEvent('orders', { changed: [b, a], added: ['y', 'x'], missing: ['z'] });
  assert.deepEqual(said?.event, {
    name: 'tools.changed',
    connection: 'orders',
    changed: [a, b],
    added: ['x', 'y'],
    missing: ['z'],
  });
  const keys = [
    toolChangeEvent('orders', { changed: [a, b], added: ['x', 'y'], missing: ['z'] }),
    toolChangeEvent('refunds', { changed: [a, b], added: ['x', 'y'], missing: ['z'] }),
    toolChangeEvent('orders', { changed: [a, b], added: ['x'], missing: ['y', 'z'] }),
    toolChangeEvent('orders', { changed: [a, { ...b, what: ['other'] }], added: ['x', 'y'], missing: ['z'] }),
  ].map((one) => one?.key);
  assert.equal(keys[0], said?.key);
  assert.equal(new Set(keys).size, 4);
});

test('a server that lists without end does not make an event without end', () => {
  const long = `${'x'.repeat(126)}😀${'y'.repeat(1000)}`;
  const added = Array.from({ length: 5000 }, (_, index) => `${String(index).padStart(5, '0')}${long}`);
  const said = toolChangeEvent('orders', { ...NONE, added: [long, ...added], missing: [long] });
  assert.equal(said?.event.added.length, 100);
  assert.equal(said?.event.more, 4901);
  assert.ok(
    [...(said?.event.added ?? ['\ud83d']), ...(said?.event.missing ?? [])].every(
      (name) => name.length <= 128 && name.isWellFormed(),
    ),
  );
  const other = toolChangeEvent('orders', { ...NONE, added: [...added, `${long}.`], missing: [long] });
  assert.notEqual(other?.key, said?.key);
});
