import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, afterEach, type TestContext, test } from 'node:test';
import { uuidv7 } from 'uuidv7';
import { createClock } from '../clock.ts';
import { GatewayError } from '../errors.ts';
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

interface Shared {
  readonly state: Awaited<ReturnType<typeof createTestStore>>;
  readonly grant: { readonly session: string; readonly opened: number };
}

/** `shared`: of another replica. */
async function start(shared?: Shared) {
  const state = shared?.state ?? (await createTestStore());
  const audit = await createRefusingStore();
  const folder = await mkdtemp(join(root, 'd-'));
  const recorder = {
    ...(await openTestRecorder({ folder, store: await createTestStore() })),
    ledger: uuidv7(),
  };
  const clock = createClock();
  const now = (): number => clock.millis();
  const ends = createEnds({ state, now });
  const room: { refusal?: GatewayError } = {};
  const deps = { recorder, state, audit, ends, clock, witnessKey: randomBytes(32), refuses: () => room.refusal };
  const sessions = createSessions(deps);
  const opened = now();
  const principal: Principal = {
    kind: 'human',
    issuer: 'https://idp.example',
    subject: 'ana',
    groups: ['analysts'],
    expires: opened / 1000 + 3600,
    sessionKey: 'one',
    grant: shared?.grant ?? { session: uuidv7(), opened },
  };
  /** Opens the session; what it is told while it is being opened is `meanwhile`'s. */
  const open = (meanwhile = async () => {}, of = principal, within = terms) =>
    sessions.open(
      of,
      async (expires) => {
        await meanwhile();
        return { ...START, expires };
      },
      within,
    );
  const restart = () => createSessions(deps);
  return { sessions, ends, audit, principal, session: principal.grant?.session ?? '', open, state, restart, room };
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

test('no session opens while the journal has no room, nothing says that it did, and it opens once there is', async () => {
  const { sessions, audit, open, room } = await start();
  let noted = 0;
  audit.refuses = () => {
    noted++;
    return false;
  };
  room.refusal = new GatewayError('recording_full', 'not_forwarded');
  await assert.rejects(open(), ({ code }: GatewayError) => code === 'recording_full');
  assert.deepEqual([sessions.count(), noted], [0, 0]);
  delete room.refusal;
  await open();
  assert.equal(sessions.count(), 1);
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

const MINUTE = 60_000;
const day = { ...terms, longest: 12 * 60 * MINUTE };

/** Two replicas that serve one session, on a clock that the test moves. */
async function startTwo(t: TestContext) {
  t.mock.timers.enable({ apis: ['Date'], now: Date.now() });
  const one = await start();
  const { grant } = one.principal;
  if (grant === undefined) throw new Error('There is a grant.');
  const other = await start({ state: one.state, grant });
  await one.open();
  await other.open();
  return { one, other };
}

test('a session that another replica serves is not idle here, and ends once it is so everywhere', async (t) => {
  const { one, other } = await startTwo(t);
  const long = { ...one.principal, expires: Date.now() / 1000 + 12 * 3600 };
  for (const replica of [one, other]) await replica.open(undefined, long, day);
  t.mock.timers.tick(50 * MINUTE);
  await other.open(undefined, long, day);
  t.mock.timers.tick(20 * MINUTE);
  await one.sessions.sweep(day);
  assert.equal(one.sessions.count(), 1);
  t.mock.timers.tick(60 * MINUTE);
  await one.sessions.sweep(day);
  assert.equal(one.sessions.count(), 0);
});

test('a session ends at the latest expiry that any replica has seen, also where only its strand is left', async (t) => {
  const { one, other } = await startTwo(t);
  const restarted = one.restart();
  const renewed = { ...one.principal, expires: Date.now() / 1000 + 3 * 3600 };
  t.mock.timers.tick(50 * MINUTE);
  await other.open(undefined, renewed, day);
  t.mock.timers.tick(20 * MINUTE);
  const isEnded = async (): Promise<boolean> => (await one.ends.reasonOf(one.session)) !== undefined;
  for (const sessions of [one.sessions, restarted]) {
    await sessions.sweep({ ...day, idle: day.longest });
    assert.equal(await isEnded(), false);
  }
  t.mock.timers.tick(110 * MINUTE);
  await restarted.sweep({ ...day, idle: day.longest });
  assert.equal(await isEnded(), true);
});
