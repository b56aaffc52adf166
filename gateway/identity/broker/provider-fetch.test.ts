import assert from 'node:assert/strict';
import { test } from 'node:test';
import { LoginRefused } from './identity-provider.ts';
import { createProviderFetch } from './provider-fetch.ts';

const GET = { method: 'GET', headers: {} } as const;

test('addresses that a provider names lead neither here nor to http', async () => {
  const asked: string[] = [];
  const fetch = async (url: string): Promise<Response> => {
    asked.push(url);
    return new Response('{}');
  };
  const remote = createProviderFetch({ home: 'https://idp.example.com/tenant', fetch });
  await remote('https://keys.example.net/jwks', GET);
  const bad = ['https://127.0.0.1/token', 'https://localhost:8080/', 'https://[::1]/', 'http://idp.example.com/token'];
  for (const url of [...bad, 'ftp://idp.example.com/', 'nonsense']) {
    const refused = (error: unknown) => error instanceof LoginRefused && error.code === 'provider_unavailable';
    await assert.rejects(remote(url, GET), refused, url);
  }
  assert.deepEqual(asked, ['https://keys.example.net/jwks']);
  await createProviderFetch({ home: 'http://127.0.0.1:4000', fetch })('http://127.0.0.1:4001/token', GET);
  assert.equal(asked.length, 2);
});
