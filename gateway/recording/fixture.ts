/**
 * A store's objects as a gateway would have written them, for tests of readers: real gzip, real manifests, real
 * signatures, times that do not depend on the clock. Tests change, drop and add objects before they open a store on them.
 */
import { createHash, generateKeyPairSync } from 'node:crypto';
import { gzipSync } from 'node:zlib';
import { isoMicros } from '../clock.ts';
import { formatCheckpoint, signCheckpoint } from '../ledger/checkpoint.ts';
import { encodeManifest, type Manifest } from '../ledger/manifest.ts';
import { checkpointName, entriesName } from '../ledger/names.ts';
import { createLocalSigner } from '../ledger/signer.ts';
import { appendLeaf, emptyFrontier, leafHash, rootOf } from '../ledger/tree.ts';
import { createMemoryStore } from '../store/memory.ts';
import type { Store } from '../store/store.ts';
import type { Frame, FrameBody, RecordedPrincipal, RequestMessage, ReturnedMessage } from './frame.ts';
import { configurationName, policyName, segmentName, summaryName } from './objects.ts';
import { emptySummary, foldFrame } from './summary.ts';

const FIRST = Date.parse('2026-11-22T18:00:00Z') * 1000;

export const ANA: RecordedPrincipal = {
  kind: 'human',
  issuer: 'https://idp.example.com',
  subject: 'ana',
  email: 'ana@example.com',
  groups: ['analysts'],
};

interface FixtureStrand {
  readonly id: string;
  add(body: FrameBody | { type: string }): void;
  /** One whole `tools/call` with an answer of this text. Returns the bytes that were released. */
  call(options: {
    exchange: string;
    id: number;
    tool: string;
    answer: string;
    isError?: true;
    effect?: 'allow' | 'deny';
  }): void;
  /** Puts the frames since the last cut into a segment; it is in the next seal. */
  cut(): void;
  /** Ends the strand: its last segment and its summary are in the next seal. */
  end(reason: string): void;
}

export interface Fixture {
  readonly ledger: string;
  readonly verifierKey: string;
  /** Every object by name; a test may change it before `store`. */
  readonly objects: Map<string, Buffer>;
  /** Moves the fixture's clock, microseconds. */
  wait(micros: number): void;
  begin(session: string, connection: string, options?: { principal?: RecordedPrincipal }): FixtureStrand;
  note(manifest: Manifest): void;
  heartbeat(): void;
  /** Writes the manifests since the last seal as entries, and a checkpoint over everything unless the signer is down. */
  seal(options?: { signerDown?: true }): Promise<void>;
  /** A new store that holds the objects as they are now. */
  store(): Promise<Store>;
  /** A store with the audit object that tells the ledger's key. */
  audit(): Promise<Store>;
}

export function sha256(bytes: Uint8Array): string {
  return createHash('sha256').update(bytes).digest('hex');
}

export function createFixture(ledger: string, objects: Map<string, Buffer> = new Map()): Fixture {
  const { privateKey } = generateKeyPairSync('ed25519');
  const signer = createLocalSigner(
    `verbatim/${ledger}`,
    privateKey.export({ format: 'pem', type: 'pkcs8' }).toString(),
  );
  let micros = FIRST;
  let frontier = emptyFrontier();
  let waiting: string[] = [];
  let entries = 0;
  let checkpoints = 0;
  let previous: string | undefined;
  const tick = (): string => {
    micros += 1_000;
    return isoMicros(micros);
  };
  const configuration = Buffer.from('{"connections":{}}');
  const policy = Buffer.from('{"rules":[]}');
  objects.set(configurationName(sha256(configuration)), configuration);
  objects.set(policyName(sha256(policy)), policy);
  const note = (manifest: Manifest): void => void waiting.push(encodeManifest(manifest));

  function begin(session: string, connection: string, options: { principal?: RecordedPrincipal } = {}): FixtureStrand {
    const strand = `${session}.${ledger}`;
    const day = isoMicros(micros).slice(0, 10);
    let seq = 0;
    let first = 0;
    let number = 0;
    let lines: string[] = [];
    const summary = emptySummary({ session, ledger, connection, at: isoMicros(micros) });
    function add(body: FrameBody | { type: string }): void {
      const frame = { v: 1, session, strand, seq: seq++, at: tick(), ...body } as Frame;
      lines.push(JSON.stringify(frame));
      foldFrame(summary, frame);
    }
    function cut(): void {
      const bytes = gzipSync(lines.map((line) => `${line}\n`).join(''));
      const object = segmentName({ day, connection, strand, number: number++ });
      objects.set(object, bytes);
      note({
        v: 1,
        at: tick(),
        kind: 'segment',
        object,
        size: bytes.length,
        sha256: sha256(bytes),
        session,
        first,
        last: seq - 1,
      });
      first = seq;
      lines = [];
    }
    add({
      type: 'session.start',
      start: {
        connection,
        principal: options.principal ?? ANA,
        client: { name: 'inspector', version: '1.0' },
        recording: 'on',
        durability: 'disk',
        configuration: sha256(configuration),
        policy: sha256(policy),
        replica: 'r1',
        ledger,
        gateway: '0.1.0',
      },
    });
    return {
      id: strand,
      add,
      call: (options) => addCall(add, options),
      cut,
      end(reason) {
        add({ type: 'strand.end', reason });
        cut();
        const bytes = Buffer.from(`${JSON.stringify({ ...summary, segments: number })}\n`);
        const object = summaryName(day, strand);
        objects.set(object, bytes);
        note({ v: 1, at: tick(), kind: 'summary', object, size: bytes.length, sha256: sha256(bytes), session });
      },
    };
  }

  return {
    ledger,
    verifierKey: signer.verifierKey,
    objects,
    wait(passed) {
      micros += passed;
    },
    begin,
    note,
    heartbeat: () =>
      note({ v: 1, at: tick(), kind: 'heartbeat', ...(previous === undefined ? {} : { previous }), clockOffset: 0 }),
    async seal(options = {}) {
      if (waiting.length > 0) {
        objects.set(entriesName(ledger, entries++), Buffer.from(waiting.map((line) => `${line}\n`).join('')));
        for (const line of waiting) frontier = appendLeaf(frontier, leafHash(Buffer.from(line)));
        waiting = [];
      }
      if (options.signerDown) return;
      const text = formatCheckpoint({ ledger, size: frontier.size, root: rootOf(frontier) });
      const bytes = Buffer.from(await signCheckpoint(text, signer));
      objects.set(checkpointName(ledger, checkpoints++), bytes);
      previous = sha256(bytes);
    },
    store: () => storeOf(objects),
    audit() {
      const details = { verifierKey: signer.verifierKey };
      const opened = { v: 1, at: isoMicros(FIRST), kind: 'ledger.opened', actor: 'gateway', ledger, details };
      return storeOf(new Map([['audit/dt=2026-11-22/1.json', Buffer.from(JSON.stringify(opened))]]));
    },
  };
}

export async function storeOf(objects: ReadonlyMap<string, Buffer>): Promise<Store> {
  const store = createMemoryStore();
  for (const [name, bytes] of objects) await store.create(name, bytes);
  return store;
}

function addCall(
  add: (body: FrameBody) => void,
  call: { exchange: string; id: number; tool: string; answer: string; isError?: true; effect?: 'allow' | 'deny' },
): void {
  const { exchange, id, tool, effect = 'allow' } = call;
  const body = `{"jsonrpc":"2.0","id":${id},"method":"tools/call","params":{"name":${JSON.stringify(tool)},"arguments":{"n":1.00}}}`;
  const asked: RequestMessage = {
    kind: 'request',
    id,
    method: 'tools/call',
    name: tool,
    decision: { effect, rules: ['no-policy'], decision_id: `d${id}` },
  };
  const denied = effect === 'deny';
  const result = { content: [{ type: 'text', text: call.answer }], ...(call.isError ? { isError: true } : {}) };
  const text = denied
    ? `{"jsonrpc":"2.0","id":${id},"error":{"code":-32003,"message":"Denied by policy."}}`
    : `event: message\r\ndata: ${JSON.stringify({ jsonrpc: '2.0', id, result })}\r\n\r\n`;
  const outcome = { id, ...(denied ? { error: -32003 } : {}), ...(call.isError ? { isError: true as const } : {}) };
  const returned: ReturnedMessage = { kind: 'response', ...outcome };
  const from = denied ? 'gateway' : 'upstream';
  add({
    type: 'request',
    exchange,
    method: 'POST',
    path: '/mcp',
    headers: [],
    body: { text: body },
    bytes: body.length,
    messages: [asked],
  });
  const type = denied ? 'application/json' : 'text/event-stream';
  add({ type: 'response', exchange, from, status: 200, headers: [{ name: 'content-type', value: type }] });
  add({ type: 'data', exchange, from, text, messages: [returned] });
  const released = Buffer.byteLength(text);
  add({
    type: 'end',
    exchange,
    outcome: { http: 200, result: denied ? 'denied' : 'complete', messages: [outcome] },
    bytes: { request: body.length, upstream: denied ? 0 : released, released },
    duration: { total: 3 },
  });
}
