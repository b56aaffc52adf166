import assert from 'node:assert/strict';
import { once } from 'node:events';
import { connect, createServer } from 'node:net';
import { text } from 'node:stream/consumers';
import { test } from 'node:test';
import { freePort } from '../test/gateway-under-test.ts';
import { serveDemo } from './serve.ts';

const anyPorts = { resources: ['http://127.0.0.1:1/orders/mcp'], idpPort: 0, ordersPort: 0 };

test('the relay hands on bytes to the identity provider, which knows one name only', async (t) => {
  const port = await freePort();
  const demo = await serveDemo({ ...anyPorts, relay: { host: '127.0.0.1', port } });
  t.after(demo.close);
  const ask = async (host: string): Promise<string> => {
    const socket = connect(port, '127.0.0.1');
    // The client's end is no reason to lose the answer: each direction has an end of its own.
    socket.end(`GET /.well-known/openid-configuration HTTP/1.1\r\nHost: ${host}\r\nConnection: close\r\n\r\n`);
    return text(socket);
  };
  assert.match(await ask(new URL(demo.idp).host), /^HTTP\/1\.1 200 [\s\S]*"issuer":"http:\/\/127\.0\.0\.1:\d+"/);
  assert.match(await ask(`127.0.0.1:${port}`), /^HTTP\/1\.1 421 /);
});

test('it closes under open connections, and leaves nothing behind where it can not start', async () => {
  const port = await freePort();
  const demo = await serveDemo({ ...anyPorts, relay: { host: '127.0.0.1', port } });
  const socket = connect(port, '127.0.0.1');
  await once(socket, 'connect');
  const closed = once(socket, 'close');
  await demo.close();
  await closed;

  const taken = createServer().listen(port, '127.0.0.1');
  await once(taken, 'listening');
  const idpPort = await freePort();
  await assert.rejects(serveDemo({ ...anyPorts, idpPort, relay: { host: '127.0.0.1', port } }), /is taken/);
  const free = createServer().listen(idpPort, '127.0.0.1');
  await once(free, 'listening');
  await Promise.all([once(taken.close(), 'close'), once(free.close(), 'close')]);
});
