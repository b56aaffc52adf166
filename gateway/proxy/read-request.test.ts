import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createServer, type IncomingMessage } from 'node:http';
import { type AddressInfo, connect, type Socket } from 'node:net';
import { after, before, test } from 'node:test';
import { GatewayError } from '../errors.ts';
import { type Patience, readBody } from './read-request.ts';

const server = createServer();
before(() => once(server.listen(0, '127.0.0.1'), 'listening'));
after(() => {
  server.closeAllConnections();
  server.close();
});

/** A request whose body has begun so, and the socket that sends the rest. */
async function begin(length: number, first = '{'): Promise<{ request: IncomingMessage; socket: Socket }> {
  const socket = connect((server.address() as AddressInfo).port, '127.0.0.1').on('error', () => {});
  const arrived = once(server, 'request') as Promise<[IncomingMessage]>;
  socket.write(`POST / HTTP/1.1\r\nHost: x\r\nContent-Length: ${length}\r\n\r\n${first}`);
  const [request] = await arrived;
  return { request, socket };
}

const read = (request: IncomingMessage, patience: Patience): Promise<Buffer> =>
  readBody(request, 1_000_000, new AbortController().signal, patience);
const isSlow = (error: unknown): boolean =>
  error instanceof GatewayError && error.code === 'bad_http' && /too slowly/.test(error.message);

test('a body that stops coming is not waited for', async () => {
  const { request } = await begin(10);
  await assert.rejects(read(request, { first: 20, bytesPerSecond: 1000 }), isSlow);
});

test('a body that comes byte by byte is not waited for either, though it never stops', async () => {
  const { request, socket } = await begin(1000);
  const drip = setInterval(() => socket.write(' '), 5);
  await assert.rejects(read(request, { first: 20, bytesPerSecond: 10_000 }), isSlow);
  clearInterval(drip);
});

test('a body that has come fast enough has the time that its size gives it', async () => {
  const { request, socket } = await begin(5001, '{'.repeat(5000));
  const body = read(request, { first: 20, bytesPerSecond: 500 });
  // Too late for a small one; ten seconds are left to this.
  setTimeout(() => socket.write('}'), 40);
  assert.equal((await body).length, 5001);
});
