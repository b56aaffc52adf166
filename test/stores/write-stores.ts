/**
 * Writes what a version leaves behind, for later versions to read: stores and a disk as a crash leaves them, with sealed
 * recordings (JSON, event streams, masks, approvals, two keys of one ledger) and a journal that is not sealed.
 */
import { hash } from 'node:crypto';
import { once } from 'node:events';
import { cp, mkdir, rm, writeFile } from 'node:fs/promises';
import { createServer, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { basename, join } from 'node:path';
import { text } from 'node:stream/consumers';
import { VERSION } from '../../gateway/version.ts';
import { type GatewayUnderTest, startGatewayInFrontOf } from '../gateway-under-test.ts';
import { startGoogle } from '../google/google.ts';
import { startIssuer } from '../issuer.ts';
import { call } from '../raw-client.ts';
import { EXPECTED, type Expected, type ExpectedExchange, KEPT_FOLDERS } from './kept.ts';

const RULES = `rules:
  - { name: plain, principals: any, connections: [fixture], tools: [json, stream, open], effect: allow }
  - { name: masked, principals: any, connections: [fixture], tools: [masked], effect: allow, masks: [email] }
  - name: refunds
    principals: any
    connections: [fixture]
    tools: [refund]
    effect: approve
    approval: { approvers: [leads], pending: 1h, usable: 10m }
`;
const LEA = {
  kind: 'human',
  issuer: 'https://idp.example.com',
  subject: 'lea',
  email: 'lea@example.com',
  groups: ['leads'],
} as const;

function result(id: number, said: string): string {
  return `{"jsonrpc":"2.0", "id":${id},"result":{"content":[{"type":"text","text":"${said} é"}],"n":1.00}}`;
}

function answer(body: string, response: ServerResponse): void {
  const { id, params } = JSON.parse(body) as { id: number; params: { name: string } };
  if (params.name === 'stream' || params.name === 'open') {
    response.writeHead(200, { 'content-type': 'text/event-stream' });
    response.write(
      `data: {"jsonrpc":"2.0","method":"notifications/message","params":{"level":"info","data":1}}\r\n\r\n`,
    );
    response.write(': nearly\n\n');
    if (params.name === 'stream') response.end(`data: ${result(id, 'streamed')}\n\n`);
    return;
  }
  response.writeHead(200, { 'content-type': 'application/json' });
  response.end(result(id, params.name === 'masked' ? 'write to maya@example.com' : 'done'));
}

const sha256 = (bytes: Buffer | string): string => hash('sha256', bytes);

/**
 * @param at `root`: a folder that is made, used and removed. Configurations that are stored name it, so a version's own is always
 * the same; `out`: where the stores, the disk and `expected.json` go.
 */
export async function writeStores({ root, out }: { root: string; out: string }): Promise<void> {
  await using stack = new AsyncDisposableStack();
  await mkdir(root);
  stack.defer(() => rm(root, { recursive: true, force: true }));
  const policies = join(root, 'policies');
  await mkdir(join(policies, 'access'), { recursive: true });
  await writeFile(join(policies, 'access', 'rules.yaml'), RULES);
  const upstream = createServer(async (request, response) => answer(await text(request), response));
  upstream.listen(0, '127.0.0.1');
  await once(upstream, 'listening');
  stack.defer(() => {
    upstream.closeAllConnections();
    upstream.close();
  });
  const url = `http://127.0.0.1:${(upstream.address() as AddressInfo).port}/mcp`;
  const issuer = stack.adopt(await startIssuer(), (one) => one.close());
  const google = stack.adopt(await startGoogle(), (one) => one.close());

  const under = { folder: root, issuer, approvalHold: 50 };
  const config = {
    policies,
    replica: 'kept',
    sealEvery: '1h',
    maxUnsealedAge: '2h',
    google: { kms: google.google.kms },
  };
  const first = await startGatewayInFrontOf(url, {
    ...under,
    config: { ...config, signing: { kms: google.kms.add('kept') } },
  });
  const verifierKey = first.gateway.verifierKey;
  const exchanges: ExpectedExchange[] = [];
  let sealed: number;
  let port: number;
  let token: string;
  try {
    ({ token, port } = first);
    await callAll(first, token, exchanges);
    await approve(first, token, exchanges);
    await first.gateway.seal();
    sealed = exchanges.length;
  } finally {
    await first.close();
  }

  // The disk's own key follows that of KMS, so that whoever adopts the disk needs no KMS.
  const second = await startGatewayInFrontOf(url, { ...under, port, config });
  try {
    await untilSigned(second, verifierKey);
    await callAll(second, token, exchanges);
    const open = call(second.url, { token, body: bodyOf(99, 'open') });
    await (await open.answer).until((body) => body.includes('"data":1'));
    await mkdir(out, { recursive: true });
    for (const folder of KEPT_FOLDERS) {
      await cp(join(root, folder), join(out, folder), { recursive: true, filter: (path) => !isMadeAnew(path) });
    }
    const expected: Expected = {
      version: VERSION,
      verifierKey,
      ledger: second.gateway.ledger,
      sealed,
      exchanges,
      open: sha256(bodyOf(99, 'open')),
    };
    await writeFile(join(out, EXPECTED), `${JSON.stringify(expected, undefined, 2)}\n`);
    open.abort();
  } finally {
    await second.close();
  }
}

function bodyOf(id: number, name: string): string {
  return `{"jsonrpc":"2.0", "id":${id},"method":"tools/call","params":{"name":"${name}","arguments":{"p":"é"}}}`;
}

async function callOnce(url: string, token: string, body: string): Promise<ExpectedExchange> {
  const answered = await call(url, { token, body }).answer;
  return { request: sha256(body), released: sha256(await answered.whole()) };
}

async function callAll({ url }: GatewayUnderTest, token: string, exchanges: ExpectedExchange[]): Promise<void> {
  for (const name of ['json', 'stream', 'masked']) {
    exchanges.push(await callOnce(url, token, bodyOf(exchanges.length + 1, name)));
  }
}

/** A call that waits, its approval, and the same call again. */
async function approve(
  { url, gateway }: GatewayUnderTest,
  token: string,
  exchanges: ExpectedExchange[],
): Promise<void> {
  const { approvals } = gateway.approving;
  exchanges.push(await callOnce(url, token, bodyOf(exchanges.length + 1, 'refund')));
  const [waiting] = await approvals.waitingFor(LEA);
  if (waiting === undefined) throw new Error('Nothing waits for approval.');
  await approvals.decide(waiting.id, { by: LEA, authenticated: Date.now() / 1000, verdict: 'approve' });
  exchanges.push(await callOnce(url, token, bodyOf(exchanges.length + 1, 'refund')));
}

/** Locks, and room that is only held. */
function isMadeAnew(path: string): boolean {
  return /^(disk\.lock|reserve\.)/.test(basename(path));
}

const MOST_ROUNDS = 100;

/** Seals until the ledger's next key signs. */
async function untilSigned({ gateway, logged }: GatewayUnderTest, before: string): Promise<void> {
  for (let round = 0; round < MOST_ROUNDS; round++) {
    await gateway.seal();
    const inForce = logged.some((line) => line.includes('"event":"key_changed"'));
    if (inForce && gateway.verifierKey !== before) return;
  }
  throw new Error('The ledger was not handed on to the disk’s own key.');
}
