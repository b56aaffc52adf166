import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { z } from 'zod';

const MAIN = fileURLToPath(new URL('main.ts', import.meta.url));

test('as a process of its own it is told what to do, fails and counts by its control address, and ends with its starter', async () => {
  const options = {
    buckets: { kept: { retentionSeconds: 60, locked: true } },
    anonymous: ['roles/storage.objectAdmin'],
  };
  const child = spawn(
    process.execPath,
    [MAIN, '--bucket', 'plain', '--options', JSON.stringify(options), '--until-stdin-ends'],
    { stdio: ['pipe', 'pipe', 'inherit'] },
  );
  const ended = once(child, 'exit');
  const [line] = await once(createInterface(child.stdout), 'line');
  const { url } = z.object({ url: z.string() }).parse(JSON.parse(String(line)));
  const control = (path: string, init?: RequestInit) => fetch(`${url}/_control/${path}`, init);

  const put = (name: string) =>
    fetch(`${url}/upload/storage/v1/b/kept/o?uploadType=media&name=${name}`, { method: 'POST', body: 'abc' });
  assert.equal((await put('a')).status, 200);
  assert.equal((await fetch(`${url}/storage/v1/b/kept/o/a`, { method: 'DELETE' })).status, 403);
  assert.equal((await fetch(`${url}/storage/v1/b/plain/o/a`)).status, 404);
  assert.equal((await fetch(`${url}/storage/v1/b/plain`)).status, 401);

  const plan = { fault: 'return-503', operation: 'objects.insert', prefix: 'b', times: 1 };
  assert.equal((await control('faults', { method: 'POST', body: JSON.stringify(plan) })).status, 201);
  for (const bad of ['{', '{"fault":"no-such"}', '{"fault":"return-503","more":1}']) {
    assert.equal((await control('faults', { method: 'POST', body: bad })).status, 400, bad);
  }
  assert.equal((await put('b')).status, 503);
  assert.equal((await put('b')).status, 200);
  assert.deepEqual(await (await control('faults')).json(), [{ plan, hits: 1 }]);
  assert.equal((await control('faults', { method: 'DELETE' })).status, 204);
  assert.deepEqual(await (await control('faults')).json(), []);
  const calls = z.record(z.string(), z.number()).parse(await (await control('calls')).json());
  assert.equal(calls['objects.insert'], 3);
  const objects = z.array(z.looseObject({ name: z.string(), size: z.number() }));
  const listed = objects.parse(await (await control('objects/kept')).json());
  assert.deepEqual(
    listed.map(({ name, size }) => [name, size]),
    [
      ['a', 3],
      ['b', 3],
    ],
  );
  assert.equal((await control('objects/none')).status, 404);

  child.stdin.end();
  assert.deepEqual(await ended, [0, null]);
});
