/** A real recorder on a folder of its own, for tests: real journal, real write-ahead, a store in memory. */
import { generateKeyPairSync } from 'node:crypto';
import { createClock } from '../clock.ts';
import { createLocalSigner, type Signer } from '../ledger/signer.ts';
import { createMemoryStore } from '../store/memory.ts';
import type { Store } from '../store/store.ts';
import { createDying, type Dying } from './faults.ts';
import { type FileSystem, nodeFileSystem } from './file-system.ts';
import type { Frame, FrameBody, SessionStart } from './frame.ts';
import { configurationName, policyName } from './objects.ts';
import { openRecordings } from './read.ts';
import type { Verification } from './read-verify.ts';
import { openRecorder, type Recorder, type RecorderPressure } from './recorder.ts';
import { sha256 } from './round.ts';
import type { Strand } from './strand.ts';
import { createWriteAhead, type WriteAhead } from './write-ahead.ts';

export const LEDGER = '01980000-0000-7000-8000-00000000d15c';
export const JOURNAL_KEY = Buffer.alloc(32, 3);

const { privateKey } = generateKeyPairSync('ed25519');
export const SIGNER: Signer = createLocalSigner(
  `verbatim/${LEDGER}`,
  privateKey.export({ format: 'pem', type: 'pkcs8' }).toString(),
);

export const CONFIGURATION = Buffer.from('{"connections":{}}');
export const POLICY = Buffer.from('{"rules":[]}');

export const START: SessionStart['start'] = {
  connection: 'orders',
  recording: 'on',
  durability: 'disk',
  configuration: sha256(CONFIGURATION),
  policy: sha256(POLICY),
  replica: 'r1',
  ledger: LEDGER,
  gateway: '0.1.0',
};

/** A store with the configuration and policy that `START` names. */
export async function createTestStore(store: Store = createMemoryStore()): Promise<Store> {
  await store.create(configurationName(START.configuration), CONFIGURATION);
  await store.create(policyName(START.policy), POLICY);
  return store;
}

export interface TestRecorder extends Recorder {
  /** Why sealing failed, in order. */
  readonly failures: readonly Error[];
  readonly checkpoints: readonly { number: number; size: number }[];
  /** Keys that came into force. */
  readonly changedKeys: readonly string[];
  /** As SIGKILL would: nothing more of it reaches the disk, the store or the signer. */
  kill(): Promise<void>;
}

const opened = new Set<TestRecorder>();

/** For `afterEach`: a test that failed half-way leaves nothing running. */
export async function killAll(): Promise<void> {
  await Promise.all([...opened].map((recorder) => recorder.kill()));
}

export async function openTestRecorder(options: {
  folder: string;
  store: Store;
  signer?: Signer;
  firstKey?: string;
  formerSigner?: (verifierKey: string) => Signer | undefined;
  fileSystem?: FileSystem;
  dying?: Dying;
  fileLimit?: number;
  storeWithin?: number;
  memoryLimit?: number;
  /** No round can be written: everything stays in the journal. */
  unsealed?: true;
  pressure?: RecorderPressure;
  /** Between the sealer and the disk. */
  writeAhead?: (real: WriteAhead) => Partial<WriteAhead>;
  evenClosed?: true;
}): Promise<TestRecorder> {
  const { folder, store, signer = SIGNER, fileSystem = nodeFileSystem, dying = createDying(), fileLimit } = options;
  const failures: Error[] = [];
  const checkpoints: { number: number; size: number }[] = [];
  const changedKeys: string[] = [];
  const real = createWriteAhead(folder);
  const over = options.unsealed
    ? { writeRound: () => Promise.reject(new Error('unsealed')) }
    : options.writeAhead?.(real);
  const writeAhead = { ...real, ...over };
  const recorder = await openRecorder({
    path: folder,
    ledger: LEDGER,
    journalKey: JOURNAL_KEY,
    signer: dying.signer(signer),
    ...(options.firstKey === undefined ? {} : { firstKey: options.firstKey }),
    ...(options.formerSigner === undefined ? {} : { formerSigner: options.formerSigner }),
    store: dying.store(store),
    clock: createClock(),
    // Tests seal when they say so.
    sealEvery: 3_600_000,
    events: {
      checkpoint: ({ number, size }) => void checkpoints.push({ number, size }),
      heartbeat: () => {},
      unsigned: ({ error }) => void failures.push(error),
      keyChanged: ({ verifierKey }) => void changedKeys.push(verifierKey),
      taken: ({ error }) => void failures.push(error),
      failed: (error) => void failures.push(error),
    },
    fileSystem: dying.fileSystem(fileSystem),
    writeAhead: dying.writeAhead(writeAhead),
    ...(fileLimit === undefined ? {} : { journalLimits: { fileLimit } }),
    ...(options.pressure === undefined ? {} : { pressure: options.pressure }),
    ...(options.evenClosed === undefined ? {} : { evenClosed: options.evenClosed }),
    ...(options.storeWithin === undefined ? {} : { storeWithin: options.storeWithin }),
    ...(options.memoryLimit === undefined ? {} : { memoryLimit: options.memoryLimit }),
  });
  const under: TestRecorder = {
    ...recorder,
    failures,
    checkpoints,
    changedKeys,
    async stop() {
      opened.delete(under);
      await recorder.stop();
    },
    async kill() {
      opened.delete(under);
      dying.kill();
      await recorder.stop().catch(() => {});
    },
  };
  opened.add(under);
  return under;
}

export function event(name: string): FrameBody {
  return { type: 'event', event: { name } };
}

export function requestFrame(exchange: string): FrameBody {
  const body = '{"jsonrpc":"2.0","id":1,"method":"ping"}';
  return {
    type: 'request',
    exchange,
    method: 'POST',
    path: '/mcp',
    headers: [],
    body: { text: body },
    bytes: 40,
    messages: [],
  };
}

export function commentFrame(exchange: string): FrameBody {
  return { type: 'data', comment: true, exchange, from: 'upstream', text: ': keep-alive\n\n' };
}

export function endFrame(exchange: string): FrameBody {
  const bytes = { request: 40, upstream: 2, released: 2 };
  return { type: 'end', exchange, outcome: { http: 200, result: 'complete', messages: [] }, bytes };
}

/** Queues a frame; resolves whether it became durable. */
export function attempt(strand: Strand, body: FrameBody): Promise<boolean> {
  return new Promise((done) => strand.append(body, (error) => done(error === undefined)));
}

export interface ReadBack {
  readonly verification: Verification;
  /** Frames by session, in order. */
  readonly sessions: ReadonlyMap<string, readonly Frame[]>;
}

/** Everything that is under a checkpoint. Throws where a reader meets a problem. */
export async function readBack(store: Store): Promise<ReadBack> {
  const recordings = openRecordings(store);
  const verification = await recordings.verifyAll({ verifierKeys: [SIGNER.verifierKey], now: Date.now() });
  const sessions = new Map<string, Frame[]>();
  for (const prefix of ['', 'sys_']) {
    for (const session of await recordings.find(prefix)) {
      const frames: Frame[] = [];
      for await (const item of recordings.frames(session)) {
        if (item.kind === 'frame') frames.push(item.frame);
        else throw new Error(JSON.stringify(item));
      }
      sessions.set(session, frames);
    }
  }
  return { verification, sessions };
}
