import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { test } from 'node:test';

import { requestBody, responseBody } from './call.ts';
import { startChild } from './child.ts';
import { readCpuMicros } from './cpu.ts';
import { measure, quantile } from './measure.ts';
import { startBareTarget, startProgram } from './targets.ts';

const linux = process.platform === 'linux';

test('a call has the size that the comparison names', () => {
  assert.equal(Buffer.byteLength(requestBody(10)), 210);
  assert.equal(Buffer.byteLength(responseBody(25)), 309);
});

test('a quantile is one of the values', () => {
  for (const [values, share, expected] of [
    [[4, 1, 3, 2], 0.25, 2],
    [[10, 9, 1], 0.5, 9],
    [[7], 0.25, 7],
    [[1, 2], 1, 2],
  ] as const) {
    assert.equal(quantile([...values], share), expected);
  }
});

test('the bare proxy is measured in slices', async () => {
  await using stack = new AsyncDisposableStack();
  const upstream = stack.adopt(await startProgram(new URL('./upstream.ts', import.meta.url)), ({ stop }) => stop());
  const bare = stack.adopt(await startBareTarget(upstream.origin), ({ stop }) => stop());

  const [measured, again] = await measure([bare, { ...bare, name: 'again' }], { ms: 150, rounds: 2 });
  assert.deepEqual([measured?.name, measured?.slices, again?.name, again?.slices], ['bare', 2, 'again', 2]);
  assert.ok(measured && measured.rate > 0 && measured.p99 >= measured.p50 && measured.p50 > 0);
  if (linux) assert.ok(measured.cpu !== null && measured.cpu > 0);
});

test('a target that answers anything but the upstream stops the measurement', async () => {
  await using stack = new AsyncDisposableStack();
  const server = createServer((_req, res) => res.end('{}')).listen(0, '127.0.0.1');
  await once(server, 'listening');
  stack.defer(() => {
    server.closeAllConnections();
    server.close();
  });
  const origin = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  const target = { name: 'liar', origin, prefix: '', headers: {}, pid: process.pid, stop: async () => undefined };
  await assert.rejects(measure([target], { ms: 50, rounds: 1 }), /^Error: liar: a call was answered with status 200/);
});

test('CPU time of a child process counts as its parent’s', { skip: !linux }, async () => {
  // The child works for a known time and says so through its parent; both stay, as a process that is gone has no entry.
  const stay = `process.stdin.on('end', () => process.exit()).resume();`;
  const work = `while (process.cpuUsage().user < 3e5); console.log('worked'); ${stay}`;
  const parent = `require('child_process').spawn(process.execPath, ['-e', ${JSON.stringify(work)}], { stdio: 'inherit' });`;
  const child = await startChild(process.execPath, ['-e', `${parent} setInterval(() => undefined, 1e6);`]);
  try {
    assert.equal(await child.line(), 'worked');
    assert.ok((await readCpuMicros(child.pid)) >= 3e5);
  } finally {
    await child.stop();
  }
});
