import assert from 'node:assert/strict';
import { createServer, type IncomingMessage, request, type ServerResponse } from 'node:http';
import { type AddressInfo, connect } from 'node:net';
import { text } from 'node:stream/consumers';
import { after, before, describe, test } from 'node:test';
import { cookieOf, hostCookieName, isFromHere, readBytes, readForm, redirect, sendPage, setCookie } from './web.ts';

let handle: (request: IncomingMessage, response: ServerResponse) => unknown;
const server = createServer((incoming, response) => void handle(incoming, response));
let port = 0;
before(async () => {
  await new Promise<void>((done) => server.listen(0, '127.0.0.1', done));
  port = (server.address() as AddressInfo).port;
});
after(() => {
  server.close();
  server.closeAllConnections();
});

interface Answer {
  readonly status: number;
  readonly headers: IncomingMessage['headers'];
  readonly body: string;
}

function ask(headers: Record<string, string>, body?: string): Promise<Answer> {
  return new Promise((done, fail) => {
    request({ port, host: '127.0.0.1', method: 'POST', headers, agent: false }, async (answer) => {
      done({ status: answer.statusCode ?? 0, headers: answer.headers, body: await text(answer) });
    })
      .on('error', fail)
      .end(body);
  });
}

const FORM = { 'content-type': 'application/x-www-form-urlencoded' };

/** What `readForm` makes of a request; `undefined` is "none". */
function serveForms(most: number): void {
  handle = async (incoming, response) => {
    const form = await readForm(incoming, most);
    response.end(form === undefined ? 'none' : JSON.stringify([...form]));
  };
}

describe('a form', () => {
  test('is read as browsers write it, doubled fields and all', async () => {
    serveForms(100);
    assert.equal((await ask(FORM, 'a=1&b=x+y%C3%BC&a=')).body, '[["a","1"],["b","x yü"],["a",""]]');
    const parameters = { 'content-type': 'Application/X-WWW-Form-Urlencoded ; charset=UTF-8' };
    assert.equal((await ask(parameters, 'a=1')).body, '[["a","1"]]');
    assert.equal((await ask(FORM, '')).body, '[]');
  });

  test('is none of another type', async () => {
    serveForms(100);
    for (const type of ['text/plain', 'multipart/form-data; boundary=x', 'application/json', '']) {
      assert.equal((await ask({ 'content-type': type }, 'a=1')).body, 'none', type);
    }
    assert.equal((await ask({}, 'a=1')).body, 'none');
  });

  test('has a length, to the byte, and whoever sends more is answered', async () => {
    serveForms(10);
    assert.equal((await ask(FORM, 'a=12345678')).body, '[["a","12345678"]]');
    assert.equal((await ask(FORM, 'a=123456789')).body, 'none');
    // Longer than what sockets hold: it is answered while most of it is on its way.
    assert.equal((await ask(FORM, `a=${'x'.repeat(8 * 1024 * 1024)}`)).body, 'none');
  });

  test('that is cut off fails, and is none', async () => {
    const read = Promise.withResolvers<unknown>();
    handle = (incoming) => readBytes(incoming, 100).then(read.resolve, read.reject);
    const socket = connect(port, '127.0.0.1');
    socket.end('POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\na=1', () => socket.destroy());
    await assert.rejects(read.promise, { code: 'ECONNRESET' });
  });
});

function asked(headers: Record<string, string>): IncomingMessage {
  return { headers } as unknown as IncomingMessage;
}

test('a form is from here unless the browser says otherwise', () => {
  const origin = 'https://mcp.example.com';
  for (const [headers, expected] of [
    [{}, true],
    [{ origin }, true],
    [{ origin, 'sec-fetch-site': 'same-origin' }, true],
    [{ 'sec-fetch-site': 'none' }, true],
    [{ origin: 'https://attacker.example' }, false],
    [{ origin: 'null' }, false],
    [{ origin: 'https://mcp.example.com.attacker.example' }, false],
    [{ origin: 'http://mcp.example.com' }, false],
    [{ origin, 'sec-fetch-site': 'same-site' }, false],
    [{ origin, 'sec-fetch-site': 'cross-site' }, false],
    [{ 'sec-fetch-site': 'anything' }, false],
  ] as const) {
    assert.equal(isFromHere(asked(headers), origin), expected, JSON.stringify(headers));
  }
});

test('a cookie is found by its whole name, and is none where there are two', () => {
  const of = (cookie: string) => cookieOf(asked({ cookie }), 'verbatim');
  assert.equal(of('verbatim=a'), 'a');
  assert.equal(of('x=1; verbatim=a=b ;y=2'), 'a=b');
  assert.equal(of('verbatim='), '');
  for (const cookie of ['', 'verbatim', 'xverbatim=a', 'verbatim2=a', 'Verbatim=a', '__Host-verbatim=a']) {
    assert.equal(of(cookie), undefined, cookie);
  }
  // A neighbouring host may have set the other one.
  assert.equal(of('verbatim=a; verbatim=b'), undefined);
  assert.equal(cookieOf(asked({}), 'verbatim'), undefined);
});

test('a cookie is this host’s alone, where there is TLS by its very name', async () => {
  const cookie = { name: 'verbatim', value: 'v', seconds: 60 };
  handle = (_request, response) => {
    setCookie(response, 'https://mcp.example.com', cookie);
    setCookie(response, 'http://127.0.0.1:8080', { ...cookie, seconds: 0 });
    response.end();
  };
  assert.deepEqual((await ask({})).headers['set-cookie'], [
    '__Host-verbatim=v; Path=/; Max-Age=60; HttpOnly; SameSite=Lax; Secure',
    'verbatim=v; Path=/; Max-Age=0; HttpOnly; SameSite=Lax',
  ]);
  assert.equal(hostCookieName('https://mcp.example.com', 'x'), '__Host-x');
  assert.equal(hostCookieName('http://localhost:1', 'x'), 'x');
});

test('pages and redirects have their length, and a redirect is a GET that nobody keeps', async () => {
  handle = (_request, response) => sendPage(response, { status: 403, html: 'grüezi', headers: { 'X-Own': 'yes' } });
  const page = await ask({});
  assert.deepEqual(
    [page.status, page.body, page.headers['content-length'], page.headers['x-own']],
    [403, 'grüezi', '7', 'yes'],
  );
  handle = (_request, response) => redirect(response, 'https://mcp.example.com/connect?x=1');
  const { status, headers, body } = await ask({});
  assert.deepEqual(
    [status, headers.location, headers['cache-control'], body],
    [303, 'https://mcp.example.com/connect?x=1', 'no-store', ''],
  );
});
