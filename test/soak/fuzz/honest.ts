/** An upstream that counts what reaches it. Nothing that came unrecorded, or that a reader could take for a forbidden call. */
import { createHash } from 'node:crypto';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tokensOf } from '../../fuzz/generate.ts';
import { FORBIDDEN } from './bodies.ts';

export const CREDENTIAL = 'the-credential-of-the-fuzz-run-0123456789';

export interface HonestUpstream {
  readonly url: string;
  /** By method and body. */
  readonly forwarded: ReadonlyMap<string, number>;
  /** What should not have come, at most ten of them. */
  readonly wrong: readonly string[];
  close(): Promise<void>;
}

export function keyOf(method: string, body: Buffer): string {
  return `${method} ${createHash('sha256').update(body).digest('hex')}`;
}

export async function startHonestUpstream(): Promise<HonestUpstream> {
  const forwarded = new Map<string, number>();
  const wrong: string[] = [];
  const server: Server = createServer((request, response) => {
    const chunks: Buffer[] = [];
    request.on('data', (chunk: Buffer) => chunks.push(chunk));
    request.on('end', () => {
      const body = Buffer.concat(chunks);
      const key = keyOf(request.method ?? '', body);
      forwarded.set(key, (forwarded.get(key) ?? 0) + 1);
      const found =
        request.headers.authorization === `Bearer ${CREDENTIAL}` ? wrongWith(body) : 'another credential came';
      if (found !== undefined && wrong.length < 10) wrong.push(`${found}: ${body.toString('base64')}`);
      if (request.method !== 'POST') {
        response.writeHead(405, { 'content-type': 'application/json' }).end('{"said":"by the upstream"}');
        return;
      }
      const { id } = found === undefined ? (JSON.parse(body.toString()) as { id?: unknown }) : {};
      if (id === undefined) response.writeHead(202).end();
      else
        response.setHeader('content-type', 'application/json').end(JSON.stringify({ jsonrpc: '2.0', id, result: {} }));
    });
  });
  await new Promise<void>((done) => server.listen(0, '127.0.0.1', 1024, done));
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    forwarded,
    wrong,
    close: () =>
      new Promise((done) => {
        server.close(() => done());
        server.closeAllConnections();
      }),
  };
}

/** What is wrong with a body that was forwarded. */
function wrongWith(body: Buffer): string | undefined {
  if (body.length === 0) return undefined;
  const text = body.toString('utf8');
  if (!Buffer.from(text).equals(body)) return 'it is not UTF-8';
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    return 'it is not JSON';
  }
  if (hasDoubledKey(tokensOf(text))) return 'a key is there twice';
  const messages = Array.isArray(value) ? value : [value];
  for (const message of messages) {
    const { method, params } = lowered(message);
    const { name } = lowered(params);
    if (method === 'tools/call' && name === FORBIDDEN) return 'a forbidden tool is called';
  }
  return undefined;
}

/** Some reader does not mind the case of keys. */
function lowered(value: unknown): Record<string, unknown> {
  if (typeof value !== 'object' || value === null) return {};
  return Object.fromEntries(Object.entries(value).map(([key, each]) => [key.toLowerCase(), each]));
}

/** In the tokens of valid JSON. */
function hasDoubledKey(tokens: readonly string[]): boolean {
  const open: (Set<string> | undefined)[] = [];
  for (const [index, token] of tokens.entries()) {
    if (token === '{') open.push(new Set());
    else if (token === '[') open.push(undefined);
    else if (token === '}' || token === ']') open.pop();
    else if (tokens[index + 1] === ':') {
      const keys = open.at(-1);
      const key = String(JSON.parse(token));
      if (keys?.has(key) === true) return true;
      keys?.add(key);
    }
  }
  return false;
}
