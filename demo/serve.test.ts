import assert from 'node:assert/strict';
import { once } from 'node:events';
import { connect, createServer } from 'node:net';
import { text } from 'node:stream/consumers';
import { test } from 'node:test';
import { freePort } from '../test/gateway-under-test.ts';
import { serveDemo } from './serve.ts';

const CALLBACK = 'http://127.0.0.1:1/oauth/callback/demo';
const anyPorts = { callbacks: [CALLBACK], clientSecret: 'shown by the gateway', idpPort: 0, ordersPort: 0 };

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

test('logins come back to the gateway that was named, and are redeemed with its secret alone', async (t) => {
  const demo = await serveDemo(anyPorts);
  t.after(demo.close);
  const ask = async (redirect_uri: string): Promise<number> => {
    const challenge = { code_challenge: 'a'.repeat(43), code_challenge_method: 'S256' };
    const form = { client_id: 'verbatim', response_type: 'code', scope: 'openid', redirect_uri, ...challenge };
    return (await fetch(`${demo.idp}/auth?${new URLSearchParams(form)}`, { redirect: 'manual' })).status;
  };
  assert.deepEqual([await ask(CALLBACK), await ask(`${CALLBACK}2`)], [303, 400]);
  const redeem = async (secret: string): Promise<unknown> => {
    const body = new URLSearchParams({
      grant_type: 'authorization_code',
      code: 'none',
      redirect_uri: CALLBACK,
      code_verifier: 'a'.repeat(43),
    });
    const headers = { authorization: `Basic ${Buffer.from(`verbatim:${secret}`).toString('base64')}` };
    const response = await fetch(`${demo.idp}/token`, { method: 'POST', body, headers });
    return ((await response.json()) as { error: unknown }).error;
  };
  assert.equal(await redeem('shown by the gateway'), 'invalid_grant');
  assert.equal(await redeem('another'), 'invalid_client');
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
