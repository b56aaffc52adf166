import assert from 'node:assert/strict';
import { test } from 'node:test';
import { uuidv7 } from 'uuidv7';
import type { Principal } from '../identity/principal.ts';
import {
  compileScope,
  type Freeze,
  type FreezeScope,
  freezeName,
  frozenError,
  liftedName,
  readFreeze,
  readFreezeName,
  writeFreeze,
} from './freeze.ts';

const ANA: Principal = {
  kind: 'human',
  issuer: 'https://idp.example',
  subject: 'ana-subject',
  email: 'Ana@Example.com',
  groups: [],
  expires: 0,
  sessionKey: '',
};
const { email: _, ...NAMELESS } = ANA;

const made = (parts: Partial<Freeze> = {}): Freeze => ({
  id: uuidv7(),
  scope: { connection: 'orders' },
  reason: 'leaked credential',
  actor: 'os:root',
  at: 1_700_000_000_000,
  ...parts,
});

const tool = (name: string) => [{ method: 'tools/call', name }];

for (const [scope, call, expected] of [
  [{ all: true }, {}, true],
  [{ connection: 'orders' }, {}, true],
  [{ connection: 'orders' }, { connection: 'tickets' }, false],
  [{ connection: 'orders' }, { connection: 'orders2' }, false],
  [{ user: 'ana@example.com' }, {}, true],
  [{ user: 'ANA@EXAMPLE.COM' }, {}, true],
  [{ user: 'ana-subject' }, {}, true],
  [{ user: 'Ana-Subject' }, {}, false],
  [{ user: 'ana-subject' }, { principal: NAMELESS }, true],
  [{ user: 'undefined' }, { principal: NAMELESS }, false],
  [{ user: 'ana' }, {}, false],
  [{ tool: 'delete_*' }, {}, false],
  [{ tool: 'delete_*' }, { messages: tool('delete_order') }, true],
  [{ tool: 'delete_*' }, { messages: tool('Delete_order') }, false],
  [{ tool: 'delete_*' }, { messages: [...tool('read'), ...tool('delete_order')] }, true],
  [{ tool: 'delete_*' }, { messages: [{ method: 'prompts/get', name: 'delete_order' }] }, false],
  [{ tool: 'delete_*' }, { messages: [{ method: 'tools/list' }, {}] }, false],
  [{ tool: 'delete_*' }, { messages: [{ method: 'tools/call' }] }, true],
  [{ tool: 'delete_*', connection: 'orders' }, { messages: tool('delete_order') }, true],
  [{ tool: 'delete_*', connection: 'tickets' }, { messages: tool('delete_order') }, false],
  [{ tool: 'delete_*', connection: 'orders', user: 'bob' }, { messages: tool('delete_order') }, false],
  [{ connection: 'orders', user: 'ana-subject' }, {}, true],
] as const) {
  test(`${JSON.stringify(scope)} covers ${JSON.stringify({ ...call, principal: undefined })}: ${expected}`, () => {
    const asked = { connection: 'orders', principal: ANA, messages: [], ...call };
    assert.equal(compileScope(scope as FreezeScope)(asked), expected);
  });
}

test('what is written is read back', () => {
  for (const one of [made(), made({ expires: 1_700_000_000_001 }), made({ scope: { all: true } })]) {
    assert.deepEqual(readFreeze(one.id, writeFreeze(one)), one);
  }
});

const WELL = made();
const bytesOf = (value: unknown): Buffer => Buffer.from(typeof value === 'string' ? value : JSON.stringify(value));

for (const [what, bytes] of [
  ['nothing', bytesOf('')],
  ['half of it', writeFreeze(WELL).subarray(0, 40)],
  ['null', bytesOf('null')],
  ['bytes that are no UTF-8', Buffer.from(writeFreeze(WELL).toString().replace('leaked', '\u00ff'), 'latin1')],
  ['another id', bytesOf({ ...WELL, id: uuidv7() })],
  ['no scope', bytesOf({ ...WELL, scope: {} })],
  ['all and more', bytesOf({ ...WELL, scope: { all: true, connection: 'orders' } })],
  ['not all', bytesOf({ ...WELL, scope: { all: false } })],
  ['a scope of a later version', bytesOf({ ...WELL, scope: { connection: 'orders', group: 'analysts' } })],
  ['a field of a later version', bytesOf({ ...WELL, mode: 'shadow' })],
  ['a reason that moves the cursor', bytesOf({ ...WELL, reason: 'x\u001b[2J' })],
  ['a reason that reorders', bytesOf({ ...WELL, reason: 'x\u202ey' })],
  ['a blank reason', bytesOf({ ...WELL, reason: '  ' })],
  ['a long reason', bytesOf({ ...WELL, reason: 'x'.repeat(501) })],
  ['an expiry that no date holds', bytesOf({ ...WELL, expires: 8.64e15 + 1 })],
  ['an expiry as text', bytesOf({ ...WELL, expires: '2026-11-22' })],
] as const) {
  test(`an object that holds ${what} freezes everything until it is lifted`, () => {
    const read = readFreeze(WELL.id, bytes);
    assert.deepEqual([read.id, read.scope, read.expires, read.actor], [WELL.id, { all: true }, undefined, 'unknown']);
    assert.ok(Math.abs(read.at - Date.now()) < 60_000, 'its id says when it was made');
  });
}

test('what could not be read back is not written', () => {
  for (const parts of [{ scope: {} }, { reason: '' }, { actor: 'two\nlines' }, { expires: Number.NaN }, { id: 'x' }]) {
    assert.throws(() => writeFreeze(made(parts)));
  }
});

test('names: a freeze, its tombstone, and what is neither', () => {
  const id = uuidv7();
  assert.deepEqual(readFreezeName(freezeName(id)), { id, lifted: false });
  assert.deepEqual(readFreezeName(liftedName(id)), { id, lifted: true });
  assert.deepEqual(readFreezeName('freezes/by-hand.json'), { id: 'by-hand', lifted: false });
  for (const other of ['freezes/', 'freezes/.DS_Store', 'freezes/README.md']) {
    assert.equal(readFreezeName(other), undefined);
  }
});

test('the client is told why and until when, not by whom', () => {
  const error = frozenError(made({ expires: Date.parse('2026-11-23T18:04:05.678Z'), actor: 'carol' }));
  assert.deepEqual([error.code, error.fate], ['frozen', 'not_forwarded']);
  assert.equal(error.detail, 'Until 2026-11-23T18:04:05Z: leaked credential');
  assert.ok(!JSON.stringify(error.toJsonRpc()).includes('carol'));
  assert.equal(frozenError(made(), 'outcome_withheld').detail, 'Until it is lifted: leaked credential');
  assert.equal(frozenError(made(), 'outcome_withheld').fate, 'outcome_withheld');
});
