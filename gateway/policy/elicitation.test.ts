import assert from 'node:assert/strict';
import { test } from 'node:test';
import { elicitationHostsIn, mayElicit } from './elicitation.ts';

const create = (params: unknown): unknown => ({ jsonrpc: '2.0', id: 1, method: 'elicitation/create', params });
const url = (address: unknown): unknown => ({ mode: 'url', elicitationId: 'e', url: address, message: 'Pay' });
const input = (params: unknown): unknown => ({ inputRequests: { k: { method: 'elicitation/create', params } } });

test('elicitations are found in every place of both eras', () => {
  const asked = url('https://pay.example.com/x?y#z');
  const other = { inputRequests: { k: { method: 'sampling/createMessage', params: asked } } };
  for (const [name, message, expected] of [
    ['a request', create(asked), ['pay.example.com']],
    ['a form', create({ mode: 'form', message: 'Name?', requestedSchema: {} }), []],
    ['no mode: a form', create({ message: 'Name?' }), []],
    ['a result', { id: 1, result: { resultType: 'input_required', ...(input(asked) as object) } }, ['pay.example.com']],
    ['a task in a result', { id: 1, result: { task: input(asked) } }, ['pay.example.com']],
    ['a notice of a task', { method: 'notifications/tasks', params: input(asked) }, ['pay.example.com']],
    ['sampling', { id: 1, result: other }, []],
    [
      'an error',
      { id: 1, error: { code: -32042, data: { elicitations: [asked, url('https://b.example')] } } },
      ['pay.example.com', 'b.example'],
    ],
    ['an error of another code', { id: 1, error: { code: 1, data: { elicitations: [asked] } } }, ['pay.example.com']],
    ['it is complete', { method: 'notifications/elicitation/complete', params: { elicitationId: 'e' } }, []],
    ['an answer of a tool', { id: 1, result: { content: [asked], structuredContent: { mode: 'url', url: 'x' } } }, []],
    ['a call', { id: 1, method: 'tools/call', params: { arguments: asked } }, []],
    ['twice one host', { id: 1, error: { data: { elicitations: [asked, asked] } } }, ['pay.example.com']],
    ['no message', null, []],
    ['text', 'https://pay.example.com', []],
  ] as const) {
    assert.deepEqual(elicitationHostsIn(message), expected, name);
  }
});

test('an address is https, on the default port, and reads one way only', () => {
  for (const [address, expected] of [
    ['https://pay.example.com', ['pay.example.com']],
    ['HTTPS://PAY.example.com:443/a?b=@c', ['pay.example.com']],
    ['https://pay.example.com?u=https://x', ['pay.example.com']],
    ['https://bücher.example/', ['xn--bcher-kva.example']],
    ['https://xn--bcher-kva.example/', ['xn--bcher-kva.example']],
    // Full-width letters are letters to a browser.
    ['https://ｐａｙ.example.com/', ['pay.example.com']],
    // The first letter is Cyrillic.
    ['https://раy.example.com/', ['xn--y-7sb1c.example.com']],
    ['https://pay.example.com./', ['pay.example.com.']],
    ['https://10.0.0.1/', ['10.0.0.1']],
    ['http://pay.example.com/', 'unreadable'],
    ['https://pay.example.com:8443/', 'unreadable'],
    ['https://pay.example.com:0443/', 'unreadable'],
    ['https://pay.example.com@evil.example/', 'unreadable'],
    ['https://evil.example\\@pay.example.com/', 'unreadable'],
    ['https://evil.example\\.pay.example.com/', 'unreadable'],
    ['https://pay.example.com\t.evil.example/', 'unreadable'],
    ['https://pay.example\n.com/', 'unreadable'],
    [' https://pay.example.com/', 'unreadable'],
    ['https:///pay.example.com/', 'unreadable'],
    ['https:/pay.example.com/', 'unreadable'],
    ['https:pay.example.com', 'unreadable'],
    ['//pay.example.com/', 'unreadable'],
    ['https://pay%2eexample.com/', 'unreadable'],
    ['https://[::1]/', 'unreadable'],
    ['https://0x0a000001/', 'unreadable'],
    ['https://', 'unreadable'],
    ['javascript:alert(1)//https://pay.example.com', 'unreadable'],
    ['data:text/html,x', 'unreadable'],
    ['', 'unreadable'],
    [7, 'unreadable'],
    [['https://pay.example.com'], 'unreadable'],
    [null, 'unreadable'],
  ] as const) {
    const found = elicitationHostsIn(create(url(address)));
    // A browser, asked where it would go, must say the same.
    if (Array.isArray(found)) assert.deepEqual(found, [new URL(String(address)).hostname], String(address));
    assert.deepEqual(found, expected, JSON.stringify(address));
  }
});

test('a mode that hides an address does not help, nor a key that only looks like one', () => {
  const address = 'https://evil.example/';
  for (const message of [
    create({ mode: 'url' }),
    create({ mode: 'URL', elicitationId: 'e' }),
    create({ mode: 7 }),
    create({ mode: 'url', url: 'https://pay.example.com/', URL: address }),
    create({ Mode: 'url', Url: address }),
    { id: 1, Method: 'elicitation/create', params: url(address) },
    { id: 1, result: { InputRequests: { k: { method: 'elicitation/create', params: url(address) } } } },
    { id: 1, result: { inputRequests: { k: { METHOD: 'elicitation/create', params: url(address) } } } },
    { id: 1, Error: { code: -32042, data: { elicitations: [url(address)] } } },
    { id: 1, error: { code: -32042, Data: { elicitations: [url(address)] } } },
    { id: 1, error: { code: -32042, data: { ELICITATIONS: [url(address)] } } },
    { id: 1, error: { code: -32042, data: { elicitations: [url('https://pay.example.com'), url('x')] } } },
  ]) {
    assert.equal(elicitationHostsIn(message), 'unreadable', JSON.stringify(message));
    assert.deepEqual(mayElicit(message, ['pay.example.com']), {}, JSON.stringify(message));
  }
  for (const mode of [undefined, 'form', 'other']) {
    assert.deepEqual(elicitationHostsIn(create({ mode, url: address })), ['evil.example']);
  }
});

test('a host is on the list, to the letter', () => {
  const hosts = ['pay.example.com', 'xn--bcher-kva.example'];
  for (const [address, expected] of [
    ['https://pay.example.com/', true],
    ['https://Bücher.example/', true],
    ['https://www.pay.example.com/', { host: 'www.pay.example.com' }],
    ['https://example.com/', { host: 'example.com' }],
    ['https://pay.example.com./', { host: 'pay.example.com.' }],
    ['https://pay.example.com.evil.example/', { host: 'pay.example.com.evil.example' }],
    ['http://pay.example.com/', {}],
  ] as const) {
    assert.deepEqual(mayElicit(create(url(address)), hosts), expected, address);
  }
  const both = { id: 1, error: { data: { elicitations: [url('https://pay.example.com'), url('https://b.example')] } } };
  assert.deepEqual(mayElicit(both, hosts), { host: 'b.example' });
  assert.equal(mayElicit({ id: 1, result: {} }, []), true);
});
