/** A ledger that is handed on to another key, by the recorder: also where it dies at any step of that. */
import assert from 'node:assert/strict';
import { generateKeyPairSync } from 'node:crypto';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, afterEach, beforeEach, test } from 'node:test';
import { createLocalSigner, type Signer } from '../ledger/signer.ts';
import { createMemoryStore } from '../store/memory.ts';
import type { Store } from '../store/store.ts';
import { createDying } from './faults.ts';
import { openRecordings } from './read.ts';
import { createTestStore, event, killAll, LEDGER, openTestRecorder, SIGNER, START } from './test-recorder.ts';

const root = await mkdtemp(join(tmpdir(), 'verbatim-keys-'));
after(() => rm(root, { recursive: true, force: true }));
afterEach(killAll);

const S = '01980000-0000-7000-8000-000000000001';
let folder = '';
let store: Store;
beforeEach(async () => {
  folder = await mkdtemp(join(root, 'd-'));
  store = await createTestStore();
});

const NEXT = createLocalSigner(
  `verbatim/${LEDGER}`,
  generateKeyPairSync('ed25519').privateKey.export({ format: 'pem', type: 'pkcs8' }).toString(),
);
const ALL = new Map([SIGNER, NEXT].map((signer) => [signer.verifierKey, signer]));
const down = (signer: Signer): Signer => ({ ...signer, sign: () => Promise.reject(new Error('down')) });
const open = (signer: Signer, more: Partial<Parameters<typeof openTestRecorder>[0]> = {}) =>
  openTestRecorder({
    folder,
    store,
    signer,
    firstKey: SIGNER.verifierKey,
    formerSigner: (verifierKey) => ALL.get(verifierKey),
    ...more,
  });

async function auditOf(verifierKey: string): Promise<Store> {
  const audit = createMemoryStore();
  const facts = { v: 1, at: '2026-11-22T18:00:00Z', kind: 'ledger.opened', ledger: LEDGER, details: { verifierKey } };
  await audit.create('audit/dt=2026-11-22/1.json', Buffer.from(JSON.stringify(facts)));
  return audit;
}

async function verify(given: readonly string[], audit?: Store) {
  const recordings = openRecordings(store, audit === undefined ? {} : { audit });
  return recordings.verifyAll({ verifierKeys: given, now: Date.now() });
}

test('the old key’s last checkpoint covers the announcement; either key proves the whole', async () => {
  const first = await open(SIGNER);
  await first.begin(S, START);
  await first.seal();
  await first.stop();
  const second = await open(NEXT);
  assert.deepEqual(second.keys(), { inForce: SIGNER.verifierKey, announced: SIGNER.verifierKey });
  await second.strand(S)?.commit(event('between'));
  await second.announceKey();
  assert.deepEqual(second.changedKeys, [NEXT.verifierKey]);
  assert.deepEqual(second.keys(), { inForce: NEXT.verifierKey, announced: NEXT.verifierKey });
  await second.announceKey();
  await second.strand(S)?.commit(event('after'));
  await second.stop();

  const [ledger] = (await verify([SIGNER.verifierKey])).ledgers;
  assert.equal(ledger?.ok, true);
  assert.deepEqual(
    ledger?.keys.map(({ verifierKey }) => verifierKey),
    [SIGNER.verifierKey, NEXT.verifierKey],
  );
  // Who kept the later key alone begins where the audit store says, and rests on the key that they kept.
  const later = await verify([NEXT.verifierKey], await auditOf(SIGNER.verifierKey));
  assert.deepEqual([later.ok, later.ledgers[0]?.key], [true, { verifierKey: NEXT.verifierKey, from: 'given' }]);
  assert.equal((await verify([NEXT.verifierKey])).ok, false);
  const foreign = createLocalSigner(
    `verbatim/${LEDGER}`,
    generateKeyPairSync('ed25519').privateKey.export({ format: 'pem', type: 'pkcs8' }).toString(),
  );
  const neither = await verify([foreign.verifierKey], await auditOf(SIGNER.verifierKey));
  assert.deepEqual(
    neither.problems.map(({ code }) => code),
    ['checkpoint_signature'],
  );
});

test('while the old key is down its announcement waits; the new one may not sign in its place', async () => {
  const first = await open(SIGNER);
  await first.begin(S, START);
  await first.seal();
  await first.stop();
  const second = await open(NEXT, { formerSigner: () => down(SIGNER) });
  await second.announceKey();
  assert.deepEqual([second.changedKeys, second.failures.length], [[], 1]);
  assert.equal(second.keys().inForce, SIGNER.verifierKey);
  await second.stop();
  const third = await open(NEXT);
  await third.seal();
  assert.deepEqual(third.changedKeys, [NEXT.verifierKey]);
  await third.stop();
  assert.equal((await verify([SIGNER.verifierKey])).ok, true);
});

test('taken back before it was covered, or after: the ledger verifies from its first key', async () => {
  const first = await open(SIGNER);
  await first.begin(S, START);
  await first.seal();
  await first.stop();
  const second = await open(NEXT, { formerSigner: () => down(SIGNER) });
  await second.announceKey();
  await second.stop();
  const third = await open(SIGNER);
  await third.announceKey();
  assert.deepEqual(third.keys(), { inForce: SIGNER.verifierKey, announced: SIGNER.verifierKey });
  await third.stop();
  for (const signer of [NEXT, SIGNER]) {
    const again = await open(signer);
    await again.announceKey();
    assert.equal(again.keys().inForce, signer.verifierKey);
    await again.strand(S)?.commit(event('on'));
    await again.stop();
  }
  assert.equal((await verify([SIGNER.verifierKey])).ok, true);
});

test('it dies at each step of the change, done or not: the next start finishes it and the ledger holds', async () => {
  /** Resolves the steps of a whole change that dies at step `at`. */
  async function change(at?: number, done?: boolean): Promise<readonly string[]> {
    folder = await mkdtemp(join(root, 'd-'));
    store = await createTestStore();
    const first = await open(SIGNER);
    await first.begin(S, START);
    await first.stop();
    const dying = createDying(at, done);
    const second = await open(NEXT, {
      dying,
      formerSigner: (key) => (ALL.has(key) ? dying.signer(ALL.get(key) ?? NEXT) : undefined),
    }).catch(() => undefined);
    await second?.announceKey();
    await second?.kill();
    const third = await open(NEXT);
    await third.announceKey();
    assert.deepEqual(third.keys(), { inForce: NEXT.verifierKey, announced: NEXT.verifierKey });
    await third.heartbeat();
    await third.stop();
    const proof = await verify([SIGNER.verifierKey]);
    assert.deepEqual(proof.problems, [], `died at ${at} ${done}`);
    assert.equal(proof.ledgers[0]?.keys.at(-1)?.verifierKey, NEXT.verifierKey);
    return dying.steps;
  }
  const steps = await change();
  assert.ok(steps.includes('sign'));
  for (const at of steps.keys()) for (const done of [false, true]) await change(at, done);
});
