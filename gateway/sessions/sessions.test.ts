import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, afterEach, test } from 'node:test';
import { uuidv7 } from 'uuidv7';
import { createClock } from '../clock.ts';
import type { GatewayError } from '../errors.ts';
import type { Principal } from '../identity/principal.ts';
import { createTestStore, killAll, openTestRecorder, START } from '../recording/test-recorder.ts';
import { createEnds } from './ends.ts';
import { createSessions } from './sessions.ts';

const root = await mkdtemp(join(tmpdir(), 'verbatim-sessions-'));
after(() => rm(root, { recursive: true, force: true }));
afterEach(killAll);

const terms = { idle: 3_600_000, longest: 7_200_000, sessionsPerPrincipal: 8 };

async function createRefusingStore() {
  const store = await createTestStore();
  const refusing = {
    ...store,
    refuses: (_: Buffer): boolean => false,
    async create(name: string, bytes: Uint8Array) {
      if (refusing.refuses(Buffer.from(bytes))) throw new Error('refused');
      return store.create(name, bytes);
    },
  };
  return refusing;
}

async function start() {
  const state = await createTestStore();
  const audit = await createRefusingStore();
  const folder = await mkdtemp(join(root, 'd-'));
  const recorder = await openTestRecorder({ folder, store: await createTestStore() });
  const clock = createClock();
  const now = (): number => clock.millis();
  const ends = createEnds({ state, now });
  const sessions = createSessions({ recorder, state, audit, ends, clock, witnessKey: randomBytes(32) });
  const opened = now();
  const principal: Principal = {
    kind: 'human',
    issuer: 'https://idp.example',
    subject: 'ana',
    groups: ['analysts'],
    expires: opened / 1000 + 3600,
    sessionKey: uuidv7(),
    grant: { session: uuidv7(), opened },
  };
  /** Opens the session; what it is told while it is being opened is `meanwhile`'s. */
  const open = (meanwhile = async () => {}) =>
    sessions.open(
      principal,
      async () => {
        await meanwhile();
        return START;
      },
      terms,
    );
  return { sessions, ends, audit, principal, session: principal.grant?.session ?? '', open };
}

const isOver = ({ code }: GatewayError): boolean => code === 'session_ended';

test('a session whose tombstone is older than it does not open', async () => {
  const { ends, session, open } = await start();
  await ends.write({ session, reason: 'revoked' }, true);
  await assert.rejects(open(), isOver);
});

test('an end that is learned while the session is being opened is its end', async () => {
  const { sessions, session, open } = await start();
  const ended = [{ session, reason: 'revoked' }];
  // Told once: a replica reads each end once.
  const first = await open(async () => sessions.learn(ended)).catch((error: GatewayError) => error);
  await assert.rejects(open(), isOver);
  assert.ok(!('id' in first) || first.ended === 'revoked');
});

test('a principal that is blocked while their session is being opened has none', async () => {
  const { sessions, open } = await start();
  const first = await open(async () => sessions.end('blocked', ({ subject }) => subject === 'ana')).catch(
    (error: GatewayError) => error,
  );
  await assert.rejects(open(), isOver);
  assert.ok(!('id' in first) || first.ended === 'blocked');
});

test('an end that the store refuses stops no other, and is written by the next sweep', async () => {
  const { sessions, audit, principal, open } = await start();
  const others = Array.from({ length: 20 }, (_, index): Principal => {
    const grant = { session: uuidv7(), opened: principal.grant?.opened ?? 0 };
    return { ...principal, subject: `s${index}`, sessionKey: uuidv7(), grant };
  });
  await open();
  for (const other of others) await sessions.open(other, async () => START, terms);
  const refused = others[3]?.grant?.session;
  audit.refuses = (bytes) => bytes.toString().includes('session.closed') && bytes.toString().includes(refused ?? '');
  sessions.end('blocked', () => true);
  await assert.rejects(sessions.sweep(terms), /refused/);
  assert.equal(sessions.count(), 1);
  audit.refuses = () => false;
  await sessions.sweep(terms);
  assert.equal(sessions.count(), 0);
});
