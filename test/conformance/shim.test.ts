import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createServer, request, type ServerResponse } from 'node:http';
import { type AddressInfo, connect, createServer as createTcpServer, type Socket } from 'node:net';
import { buffer } from 'node:stream/consumers';
import { type TestContext, test } from 'node:test';

import { startShim } from './shim.ts';

/** A listener that is closed, with all its connections, when the test ends. */
async function listen<T extends ReturnType<typeof createServer> | ReturnType<typeof createTcpServer>>(
  t: TestContext,
  server: T,
): Promise<string> {
  const sockets = new Set<Socket>();
  server.on('connection', (socket: Socket) => sockets.add(socket));
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  t.after(() => {
    for (const socket of sockets) socket.destroy();
    server.close();
  });
  return `127.0.0.1:${(server.address() as AddressInfo).port}`;
}

async function shimFor(t: TestContext, host: string, token?: string): Promise<URL> {
  const shim = await startShim(`http://${host}/mcp`, token);
  t.after(shim.close);
  return new URL(shim.url);
}

/** A shim that holds something back makes a test wait for ever. */
const limited = { timeout: 10_000 };

const end = '\r\n\r\n';

/** Everything a socket receives until `marker` has come. */
async function readUntil(socket: Socket, marker: string): Promise<string> {
  let seen = '';
  for await (const chunk of socket.iterator({ destroyOnReturn: false })) {
    seen += (chunk as Buffer).toString('latin1');
    if (seen.includes(marker)) break;
  }
  return seen;
}

test('request and response heads pass in order, case and number, with the token added', limited, async (t) => {
  const target = createTcpServer();
  const host = await listen(t, target);
  const shim = await shimFor(t, host, 'secret');

  const client = connect(Number(shim.port), shim.hostname);
  const head = (authority: string) => [
    'POST /mcp?a=%20b HTTP/1.1',
    `hOST: ${authority}`,
    'X-Twice: 1',
    'Mcp-Name: a',
    'x-twice: 2',
    'Connection: keep-alive',
    'Content-Length: 2',
  ];
  client.write(`${head(shim.host).join('\r\n')}${end}{}`);
  const [upstream] = (await once(target, 'connection')) as [Socket];
  const received = await readUntil(upstream, '{}');
  assert.equal(received, `${[...head(host), 'Authorization: Bearer secret'].join('\r\n')}${end}{}`);

  const answer = `HTTP/1.1 418 Short And Stout\r\nsET-cookie: a\r\nSet-Cookie: b\r\nContent-Length: 0\r\nConnection: close${end}`;
  upstream.end(answer);
  assert.equal(await readUntil(client, end), answer);
  client.destroy();
});

test('a Host and an Origin that do not name the shim pass as they are', limited, async (t) => {
  const heard: (string | undefined)[] = [];
  const target = createServer((req, res) => {
    heard.push(req.headers.host, req.headers.origin, req.headers.authorization);
    res.end();
  });
  const host = await listen(t, target);
  const shim = await shimFor(t, host);

  for (const authority of ['evil.example', shim.host]) {
    const req = request(shim, { agent: false, headers: { host: authority, origin: `http://${authority}` } }).end();
    const [res] = await once(req, 'response');
    await buffer(res);
  }
  assert.deepEqual(heard, ['evil.example', 'http://evil.example', undefined, host, `http://${host}`, undefined]);
});

test('a stream is passed on piece by piece, both ways, before either side has ended', limited, async (t) => {
  const target = createServer((req, res) => {
    res.writeHead(200, { 'content-type': 'text/event-stream' }).flushHeaders();
    req.on('data', (chunk) => res.write(`data: ${chunk}\n\n`));
    req.on('end', () => res.end());
  });
  const shim = await shimFor(t, await listen(t, target));

  const req = request(shim, { agent: false, method: 'POST' });
  req.flushHeaders();
  const [res] = await once(req, 'response');
  for (const piece of ['one', 'two', 'three']) {
    req.write(piece);
    const [chunk] = await once(res, 'data');
    assert.equal(String(chunk), `data: ${piece}\n\n`);
  }
  req.end();
  await once(res, 'end');
});

test('four MiB of any bytes arrive unchanged', limited, async (t) => {
  const target = createServer((req, res) => void req.pipe(res));
  const shim = await shimFor(t, await listen(t, target));

  const body = Buffer.alloc(4 << 20, Buffer.from(Array.from({ length: 251 }, (_, byte) => byte)));
  const req = request(shim, { agent: false, method: 'POST' }).end(body);
  const [res] = await once(req, 'response');
  assert.ok(body.equals(await buffer(res)));
});

test('a client that goes away ends the request at the target', limited, async (t) => {
  const target = createServer((_req, res) => res.writeHead(200).flushHeaders());
  const shim = await shimFor(t, await listen(t, target));

  const serving = once(target, 'request');
  const req = request(shim, { agent: false }).end();
  const [[, served]] = (await Promise.all([serving, once(req, 'response')])) as [[unknown, ServerResponse], unknown];
  const closed = once(served, 'close');
  req.destroy();
  await closed;
  assert.equal(served.writableEnded, false);
});

test('a target that breaks off breaks off the answer to the client', limited, async (t) => {
  const target = createServer((_req, res) => {
    res.writeHead(200, { 'content-length': '10' });
    res.write('12345', () => res.destroy());
  });
  const shim = await shimFor(t, await listen(t, target));

  const req = request(shim, { agent: false }).end();
  const [res] = await once(req, 'response');
  await assert.rejects(buffer(res), { code: 'ECONNRESET' });
});
