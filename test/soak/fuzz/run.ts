/**
 * The fuzz run: hostile requests against a gateway in front of an honest upstream, then honest calls in front of a hostile
 * one; then what the gateway told its clients is held against what it recorded.
 */
import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { request } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { configurationFor, freePort } from '../../gateway-under-test.ts';
import { startIssuer } from '../../issuer.ts';
import { toolCall } from '../../raw-client.ts';
import { type GatewayProcess, startGatewayProcess } from '../load/gateway-process.ts';
import { hostileAnswers } from './answers.ts';
import { FORBIDDEN } from './bodies.ts';
import { CREDENTIAL, type HonestUpstream, startHonestUpstream } from './honest.ts';
import { type HostileUpstream, startHostileUpstream } from './hostile.ts';
import { readAnswers } from './http-answers.ts';
import { readRecorded } from './recorded.ts';
import { hostileRequests, TOKEN } from './requests.ts';
import { send } from './send.ts';

export interface FuzzOrder {
  readonly requests: number;
  readonly answers: number;
  readonly seed: number;
}

export interface FuzzReport {
  readonly seed: number;
  readonly seconds: number;
  readonly requests: number;
  /** Requests that the honest upstream got. */
  readonly forwarded: number;
  /** Connections that the gateway closed without a word. */
  readonly unanswered: number;
  /** Refusals by code, as recorded. */
  readonly refused: Readonly<Record<string, number>>;
  readonly answers: number;
  /** How calls of the hostile upstream ended, as recorded. */
  readonly results: Readonly<Record<string, number>>;
  /** What is not as it should be, at most so many. */
  readonly problems: readonly string[];
}

const MOST_PROBLEMS = 20;
const WORKERS = 16;
/** Inputs between two seeds: each such slice can be run again alone. */
const SLICE = 500;

const RULES = `rules:
  - name: all-methods
    principals: { groups: [analysts] }
    connections: [fixture, hostile]
    methods: ["*"]
    effect: allow
  - name: all-tools
    principals: { groups: [analysts] }
    connections: [fixture, hostile]
    tools: ["*"]
    effect: allow
  - name: not-this-one
    principals: { groups: [analysts] }
    connections: [fixture]
    tools: [${FORBIDDEN}]
    effect: deny
`;

interface World {
  readonly gateway: GatewayProcess;
  readonly port: number;
  readonly honest: HonestUpstream;
  readonly hostile: HostileUpstream;
  /** Tokens of a connection, one a worker. */
  tokens(connection: string): Promise<string[]>;
  readonly storeUrl: string;
}

export async function runFuzz(order: FuzzOrder, say: (line: string) => void): Promise<FuzzReport> {
  const began = performance.now();
  const codes = await errorCodes();
  await using stack = new AsyncDisposableStack();
  const world = await startWorld(stack);
  const problems: string[] = [];
  const problem = (words: string): void => {
    if (problems.length < MOST_PROBLEMS) problems.push(words);
  };
  const unanswered = await fuzzRequests(world, order, codes, problem, say);
  const received = await fuzzAnswers(world, order, codes, problem, say);
  for (const [event, count] of Object.entries(world.gateway.errors())) problem(`${count} errors were logged: ${event}`);
  const code = await world.gateway.stop();
  if (code !== 0) problem(`The gateway ended with ${code ?? 'a signal'}.`);
  say('Reading back.');
  const recorded = await readRecorded(world.storeUrl);
  if (recorded.open > 0) problem(`${recorded.open} exchanges have no end.`);
  for (const words of world.honest.wrong) problem(`It should not have been forwarded: ${words}`);
  for (const [key, count] of world.honest.forwarded) {
    const known = recorded.passed.get(key) ?? 0;
    if (known < count) problem(`Forwarded ${count} times, recorded ${known} times: ${key}`);
  }
  for (const [id, bytes] of received) {
    const released = recorded.released.get(id);
    if (released === undefined ? bytes.length > 0 : !released.subarray(0, bytes.length).equals(bytes)) {
      problem(`What was released for call ${id} is not what was recorded: ${bytes.toString('base64').slice(0, 400)}`);
    }
  }
  return {
    seed: order.seed,
    seconds: Math.round((performance.now() - began) / 100) / 10,
    requests: order.requests,
    forwarded: [...world.honest.forwarded.values()].reduce((sum, count) => sum + count, 0),
    unanswered,
    refused: recorded.refused,
    answers: order.answers,
    results: recorded.results,
    problems,
  };
}

async function startWorld(stack: AsyncDisposableStack): Promise<World> {
  const folder = stack.adopt(await mkdtemp(join(tmpdir(), 'verbatim-fuzz-')), (path) =>
    rm(path, { recursive: true, force: true }),
  );
  await mkdir(join(folder, 'policies', 'access'), { recursive: true });
  await writeFile(join(folder, 'policies', 'access', 'fuzz.yaml'), RULES);
  const issuer = stack.adopt(await startIssuer(), (one) => one.close());
  const honest = stack.adopt(await startHonestUpstream(), (one) => one.close());
  const hostile = stack.adopt(await startHostileUpstream(), (one) => one.close());
  const port = await freePort();
  const upstream = (url: string) => ({
    upstream: { url, allowAddresses: ['loopback'] },
    credential: { bearer: 'env:VERBATIM_SOAK_CREDENTIAL' },
    limits: { firstByte: '20s', idleStream: '20s' },
  });
  const config = configurationFor(
    { folder, issuer, port, origin: honest.url, pathname: '/mcp' },
    {
      connection: upstream(honest.url),
      connections: { hostile: upstream(hostile.url) },
      config: { policies: './policies', sealEvery: '1s' },
    },
  );
  const env = { VERBATIM_SOAK_CREDENTIAL: CREDENTIAL };
  const gateway = stack.adopt(await startGatewayProcess(folder, config, env), (one) => one.kill());
  const tokens = (connection: string): Promise<string[]> =>
    Promise.all(
      Array.from({ length: WORKERS }, (_, index) =>
        issuer.token(`${gateway.url}/${connection}/mcp`, { sub: `w${index}`, jti: `${connection}-${index}` }),
      ),
    );
  return { gateway, port, honest, hostile, tokens, storeUrl: `file://${folder}/store` };
}

/** Each worker takes the next input, until `runs` of them are through. The inputs are the same for the same seed. */
async function spread<T>(
  inputs: fc.Arbitrary<T>,
  { runs, seed }: { runs: number; seed: number },
  work: (input: T, index: number, worker: number) => Promise<void>,
  progress: (done: number) => void,
): Promise<void> {
  for (let slice = 0, done = 0; done < runs; slice++) {
    const batch = fc.sample(inputs, { numRuns: Math.min(SLICE, runs - done), seed: (seed + slice) | 0 });
    const first = done;
    const rest = batch.entries();
    const worker = async (_: unknown, index: number): Promise<void> => {
      for (const [at, input] of rest) await work(input, first + at, index);
    };
    await Promise.all(Array.from({ length: WORKERS }, worker));
    done += batch.length;
    progress(done);
  }
}

/** Resolves how many were closed without a word. */
async function fuzzRequests(
  { port, gateway, tokens }: World,
  order: FuzzOrder,
  codes: ReadonlySet<string>,
  problem: (words: string) => void,
  say: (line: string) => void,
): Promise<number> {
  const good = await tokens('fixture');
  let unanswered = 0;
  await spread(
    hostileRequests,
    { runs: order.requests, seed: order.seed },
    async (input, index, worker) => {
      const bytes = Buffer.from(input.toString('latin1').replaceAll(TOKEN, good[worker] ?? ''), 'latin1');
      const { received, hung } = await send(port, bytes);
      const told = (words: string): void => problem(`Request ${index}: ${words}: ${input.toString('base64')}`);
      if (hung) told('the gateway did not close its side');
      const answers = readAnswers(received, bytes.toString('latin1', 0, 5) === 'HEAD ');
      if (answers === undefined) told(`no HTTP came: ${received.toString('latin1').slice(0, 200)}`);
      if (answers?.length === 0) unanswered++;
      for (const { status, head, body } of answers ?? []) {
        const wrong = wrongWith(status, head, body, codes);
        if (wrong !== undefined) told(wrong);
      }
    },
    (done) => {
      say(`${done} of ${order.requests} requests; ${unanswered} without an answer.`);
      if (gateway.errors().call_failed !== undefined) problem('A call failed in a way that was not foreseen.');
    },
  );
  return unanswered;
}

const JSON_ANSWER = /\r\ncontent-type: application\/json/i;

/** What is wrong with an answer to a hostile request: a refusal has a code that is documented. */
function wrongWith(status: number, head: string, body: Buffer, codes: ReadonlySet<string>): string | undefined {
  if (status < 400 || body.toString() === '{"said":"by the upstream"}') return undefined;
  // What is no HTTP request at all is told so, without a body.
  if ((status === 400 || status === 431) && /\r\ncontent-length: 0$/im.test(head)) return undefined;
  if (body.length === 0 && !JSON_ANSWER.test(head)) return `it was refused with ${status} and no code`;
  return body.length === 0 ? undefined : wrongCode(body, codes, String(status));
}

function wrongCode(body: Buffer, codes: ReadonlySet<string>, status: string): string | undefined {
  try {
    const answer = JSON.parse(body.toString()) as unknown;
    for (const each of Array.isArray(answer) ? answer : [answer]) {
      const code = (each as { error?: { data?: { code?: unknown } } }).error?.data?.code;
      if (code === 'internal' || !codes.has(String(code))) return `it was refused with ${status} and ${String(code)}`;
    }
    return undefined;
  } catch {
    return `it was refused with ${status} and ${body.toString('latin1').slice(0, 200)}`;
  }
}

/** Resolves what was received of each answer. */
async function fuzzAnswers(
  { gateway, hostile, tokens }: World,
  order: FuzzOrder,
  codes: ReadonlySet<string>,
  problem: (words: string) => void,
  say: (line: string) => void,
): Promise<ReadonlyMap<number, Buffer>> {
  const good = await tokens('hostile');
  const received = new Map<number, Buffer>();
  await spread(
    hostileAnswers,
    { runs: order.answers, seed: order.seed },
    async (input, index, worker) => {
      hostile.give(index, input);
      const answer = await callOnce(`${gateway.url}/hostile/mcp`, good[worker] ?? '', index);
      const told = (words: string): void => problem(`Answer ${index}: ${words}: ${input.toString('base64')}`);
      if (answer === undefined) return told('the call had no answer in time');
      received.set(index, answer.body);
      const own = /"data":\{"code":"([a-z_]+)","fate":"(?:not_forwarded|outcome_withheld)"/.exec(
        answer.body.toString(),
      );
      if (own !== null && (own[1] === 'internal' || !codes.has(own[1] ?? ''))) told(`the call failed with ${own[1]}`);
    },
    (done) => say(`${done} of ${order.answers} answers.`),
  );
  return received;
}

const ANSWER_MS = 60_000;

/** What came, whole or not; undefined where nothing came in time. */
function callOnce(url: string, token: string, id: number): Promise<{ body: Buffer } | undefined> {
  return new Promise((done) => {
    const headers = {
      authorization: `Bearer ${token}`,
      'content-type': 'application/json',
      accept: 'application/json, text/event-stream',
      'mcp-protocol-version': '2025-06-18',
    };
    const outgoing = request(url, { method: 'POST', agent: false, headers });
    const chunks: Buffer[] = [];
    const over = (answered: boolean): void => {
      clearTimeout(late);
      outgoing.destroy();
      done(answered ? { body: Buffer.concat(chunks) } : undefined);
    };
    const late = setTimeout(() => over(false), ANSWER_MS);
    outgoing.on('error', () => over(true));
    outgoing.on('response', (response) => {
      response.on('data', (chunk: Buffer) => chunks.push(chunk));
      response.on('error', () => {});
      response.on('close', () => over(true));
    });
    outgoing.end(toolCall(id, 'json'));
  });
}

/** The codes that the documents name. */
async function errorCodes(): Promise<ReadonlySet<string>> {
  const text = await readFile(new URL('../../../docs/operations.md', import.meta.url), 'utf8');
  return new Set(Array.from(text.matchAll(/^\| `([a-z_]+)` \| -32/gm), ([, code]) => code ?? ''));
}
