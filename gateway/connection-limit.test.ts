import assert from 'node:assert/strict';
import { once } from 'node:events';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { createServer, type Server, type ServerResponse } from 'node:http';
import { type AddressInfo, connect, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, afterEach, beforeEach, test } from 'node:test';
import { connectionLimit, limitConnections } from './connection-limit.ts';

const folder = await mkdtemp(join(tmpdir(), 'verbatim-limit-'));
after(() => rm(folder, { recursive: true, force: true }));

let server: Server;
let full = 0;
beforeEach(async () => {
  full = 0;
  server = createServer();
  limitConnections(server, 3, () => full++);
  await once(server.listen(0, '127.0.0.1'), 'listening');
});
afterEach(() => {
  server.closeAllConnections();
  server.close();
});

/** A connection that the server has accepted. */
async function open(): Promise<Socket> {
  const accepted = once(server, 'connection');
  const socket = connect((server.address() as AddressInfo).port, '127.0.0.1').on('error', () => {});
  socket.resume();
  await Promise.all([accepted, once(socket, 'connect')]);
  return socket;
}

async function ask(socket: Socket, times = 1): Promise<ServerResponse[]> {
  const responses: ServerResponse[] = [];
  const arrived = new Promise<void>((done) => {
    server.on('request', function onRequest(_, response) {
      responses.push(response);
      if (responses.length < times) return;
      server.off('request', onRequest);
      done();
    });
  });
  socket.write('GET / HTTP/1.1\r\nHost: x\r\n\r\n'.repeat(times));
  await arrived;
  return responses;
}

test('beyond the limit the connection that has been idle for longest makes room, and no request is cut off', async () => {
  const working = await open();
  await ask(working);
  const idle = [await open(), await open()];
  assert.equal(full, 0);
  const closed = once(idle[0] as Socket, 'close');
  const added = await open();
  await closed;
  assert.equal(full, 1);
  assert.deepEqual(
    [working, idle[1], added].map((socket) => socket?.destroyed),
    [false, false, false],
  );
});

test('an answered request makes its connection the newest of the idle ones', async () => {
  const sockets = [await open(), await open(), await open()];
  const [response] = await ask(sockets[0] as Socket);
  const answered = once(response as ServerResponse, 'close');
  response?.end();
  await answered;
  const closed = once(sockets[1] as Socket, 'close');
  await open();
  await closed;
  assert.equal(sockets[0]?.destroyed, false);
});

test('where all are at work the new one has to go; one of two requests that is answered leaves work', async () => {
  const sockets = [await open(), await open(), await open()];
  const [first] = await ask(sockets[0] as Socket, 2);
  await ask(sockets[1] as Socket);
  await ask(sockets[2] as Socket);
  const answered = once(first as ServerResponse, 'close');
  first?.end();
  await answered;
  const added = await open();
  if (!added.destroyed) await once(added, 'close');
  assert.deepEqual(
    sockets.map(({ destroyed }) => destroyed),
    [false, false, false],
  );
});

test('files come first, and each connection may need another one', async () => {
  const limits = async (text: string): Promise<number | undefined> => {
    const path = join(folder, 'limits');
    await writeFile(path, text);
    return connectionLimit(path);
  };
  const head = 'Limit                     Soft Limit           Hard Limit           Units\n';
  assert.equal(
    await limits(`${head}Max open files            20512                20512                files\n`),
    10_000,
  );
  assert.equal(await limits(`${head}Max open files            256                  4096                 files\n`), 16);
  assert.equal(
    await limits(`${head}Max open files            unlimited            unlimited            files\n`),
    undefined,
  );
  assert.equal(await connectionLimit(join(folder, 'none')), undefined);
});
