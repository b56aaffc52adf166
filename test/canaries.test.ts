/** The canaries themselves: a secret is found wherever it is and however it is written, and named by its label alone. */
import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { unsealMcpSessionId } from '../gateway/sessions/mcp-session-id.ts';
import { assertNoSecrets, secret } from './canaries.ts';
import { derivedKeys } from './canary-watch.ts';
import { type GatewayUnderTest, startGatewayInFrontOf, type UnderTestOptions } from './gateway-under-test.ts';
import { call, toolCall } from './raw-client.ts';
import { answerOf, jsonAnswer, startRawUpstream } from './raw-socket.ts';
import { framesOf } from './recorded.ts';
import { PRIVATE_KEY } from './tls-certificate.ts';

const search = (bytes: Buffer | string): void => assertNoSecrets([{ name: 'a place', bytes: Buffer.from(bytes) }]);
const fresh = (): string => randomBytes(24).toString('base64url');

test('a secret is found in each encoding and at each offset, and its words never hold it', () => {
  const value = secret(`pa"ss ${fresh()}`, 'the label');
  const forms: readonly (readonly [string, (text: Buffer) => string])[] = [
    ['as it is', (text) => text.toString()],
    ['in hexadecimal', (text) => text.toString('hex')],
    ['in capital hexadecimal', (text) => text.toString('hex').toUpperCase()],
    ['in base64', (text) => text.toString('base64')],
    ['in base64url', (text) => text.toString('base64url')],
    ['percent-encoded', (text) => encodeURIComponent(text.toString())],
    ['in JSON', (text) => JSON.stringify(text.toString())],
  ];
  for (const [form, write] of forms) {
    for (let lead = 0; lead < 20; lead++) {
      const written = write(Buffer.from('x'.repeat(lead) + value + 'y'.repeat(lead)));
      assert.throws(
        () => search(written),
        ({ message }: Error) => message.includes('the label is in a place') && !message.includes(value.slice(-8)),
        `${form} at ${lead}`,
      );
    }
  }
  const least = secret(fresh().slice(0, 12), 'the least');
  for (let lead = 0; lead < 20; lead++) assert.throws(() => search(`${'x'.repeat(lead)}${least}`), /the least is in/);
  search(value.slice(0, -1));
  search(randomBytes(100_000));
});

test('a short secret is none; of a token its signature is one, of a private key its number', () => {
  secret('short', 'short');
  search('short and so on');
  const signature = fresh();
  secret(`eyJhbGciOiJub25lIn0.eyJzdWIiOiJhbmEifQ.${signature}`, 'a token');
  search('eyJhbGciOiJub25lIn0.eyJzdWIiOiJhbmEifQ.');
  assert.throws(() => search(`the signature alone: ${signature}`), /^Error: .*\na token is in a place, as it is$/);
  const key = JSON.stringify({ client_email: 'orders@example.com', private_key: PRIVATE_KEY });
  search(PRIVATE_KEY);
  secret(key, 'a key');
  search('orders@example.com');
  assert.throws(() => search(PRIVATE_KEY), /a key is in/);
  assert.throws(() => search(key), /a key is in/);
});

interface Ground {
  readonly gateway: GatewayUnderTest;
  /** Calls with this text as subject and argument. The upstream answers in two chunks, the second when the first is here. */
  call(text: string, target?: string): Promise<void>;
  answer: string;
}

const chunk = (text: string): string => `${text.length.toString(16)}\r\n${text}\r\n`;

async function start(stack: AsyncDisposableStack, options: UnderTestOptions = {}): Promise<Ground> {
  let goOn = (): void => {};
  const half = (): number => ground.answer.length / 2;
  const upstream = stack.adopt(
    await startRawUpstream((_, socket) => {
      const head = 'HTTP/1.1 200 OK\r\ncontent-type: text/plain\r\nmcp-session-id: upstream';
      socket.write(`${head}\r\ntransfer-encoding: chunked\r\n\r\n${chunk(ground.answer.slice(0, half()))}`);
      goOn = () => socket.write(`${chunk(ground.answer.slice(half()))}0\r\n\r\n`);
    }),
    (one) => one.close(),
  );
  const gateway = await startGatewayInFrontOf(upstream.url, options);
  const ground: Ground = {
    gateway,
    answer: 'an answer.',
    async call(text, target = gateway.url) {
      const token = await gateway.tokenFor({ sub: text }, new URL(target).pathname.split('/')[1]);
      const answer = await call(target, { token, body: toolCall(1, 'echo', { text }) }).answer;
      await answer.until((body) => body.length >= half());
      goOn();
      await answer.whole();
    },
  };
  return ground;
}

async function found({ gateway }: Ground): Promise<string> {
  const error: unknown = await gateway.close().catch((thrown: unknown) => thrown);
  return error instanceof Error ? error.message : 'nothing';
}

test('a gateway that keeps its secrets closes', async () => {
  await using stack = new AsyncDisposableStack();
  const ground = await start(stack);
  await ground.call('hello');
  assert.equal(await found(ground), 'nothing');
});

test('what a client was sent is searched across chunks', async () => {
  await using stack = new AsyncDisposableStack();
  const ground = await start(stack, { connection: { recording: 'off' } });
  ground.answer = secret(fresh(), 'the answer');
  await ground.call('hello');
  assert.match(await found(ground), /^the answer is in the bytes to a client, as it is$/m);
});

test('recordings, audit and the disk are searched', async () => {
  await using stack = new AsyncDisposableStack();
  const ground = await start(stack);
  await ground.call(secret(fresh(), 'the subject'));
  const words = await found(ground);
  for (const place of ['store of recordings, .*gz', 'store of audit, .*json', 'disk, .*']) {
    assert.match(words, new RegExp(`^the subject is in the ${place}, as it is$`, 'm'));
  }
});

test('the state is searched', async () => {
  await using stack = new AsyncDisposableStack();
  const ground = await start(stack);
  await ground.call('hello');
  const [frame] = await framesOf(ground.gateway);
  secret(frame?.session ?? '', 'the session');
  assert.match(await found(ground), /^the session is in the store of state, sessions\/.*json, as it is$/m);
});

test('log and metrics are searched', async () => {
  await using stack = new AsyncDisposableStack();
  const name = secret(`c${randomBytes(12).toString('hex')}`, 'the name');
  const ground = await start(stack, {
    connections: { [name]: { credential: { bearer: 'env:VERBATIM_TEST_NOT_SET' } } },
  });
  await ground.call('hello', ground.gateway.url.replace('fixture', name));
  const words = await found(ground);
  for (const place of ['log', 'metrics'])
    assert.match(words, new RegExp(`^the name is in the ${place}, as it is$`, 'm'));
});

test('tokens, credentials as they change, and the disk’s keys are secrets without a word', async () => {
  await using stack = new AsyncDisposableStack();
  const folder = await mkdtemp(join(tmpdir(), 'verbatim-canaries-'));
  stack.defer(() => rm(folder, { recursive: true, force: true }));
  const file = join(folder, 'credential');
  const credentials = [fresh(), fresh(), fresh()];
  let accepted = '';
  // A credential is read again where it is refused.
  const upstream = stack.adopt(
    await startRawUpstream((request, socket) =>
      socket.write(request.includes(`: ${accepted}\r\n`) ? jsonAnswer(1) : answerOf('401 No', {}, '')),
    ),
    (one) => one.close(),
  );
  const connection = { credential: { header: 'X-Upstream-Key', value: `file:${file}` }, identityHeader: 'X-Who' };
  const gateway = await startGatewayInFrontOf(upstream.url, { connection });
  for (accepted of credentials) {
    await writeFile(file, accepted);
    const answer = await call(gateway.url, { token: gateway.token, body: toolCall(1) }).answer;
    assert.match((await answer.whole()).toString(), /"result"/);
  }
  const [, identity = ''] = /x-who: ([^\r]*)/.exec(upstream.requests().at(-1) ?? '') ?? [];
  const keys = join(gateway.folder, 'disk', 'keys');
  const master = readFileSync(join(keys, 'master'));
  const pems = ['ledger.pem', 'identity.pem'].map((name) => readFileSync(join(keys, name)));
  await gateway.close();
  const all = [gateway.token, identity, ...credentials, master, ...derivedKeys(master).values(), ...pems];
  for (const [index, value] of all.entries()) assert.throws(() => search(value), /is in a place/, `secret ${index}`);
});

test('the derived keys are those that the gateway uses', async () => {
  await using stack = new AsyncDisposableStack();
  const { gateway } = await start(stack);
  const answer = await call(gateway.url, { token: gateway.token, body: toolCall(1) }).answer;
  const sealed = String(answer.headers['mcp-session-id']);
  answer.close();
  const key = derivedKeys(readFileSync(join(gateway.folder, 'disk', 'keys', 'master'))).get('sealing');
  assert.ok(key !== undefined);
  assert.equal(unsealMcpSessionId([key], 'another', sealed).kind, 'foreign');
  await gateway.close();
});
