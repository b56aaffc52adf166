import assert from 'node:assert/strict';
import { test } from 'node:test';
import { startHonestUpstream } from './honest.ts';
import { readAnswers } from './http-answers.ts';
import { runFuzz } from './run.ts';

test('the short form of npm run soak:fuzz finds nothing', async () => {
  const report = await runFuzz({ requests: 300, answers: 60, seed: 7 }, () => {});
  assert.deepEqual(report.problems, []);
  // Some pass, most are refused in many ways, and answers are broken in many ways too.
  assert.ok(report.forwarded > 5, String(report.forwarded));
  for (const code of ['parse_error', 'invalid_request', 'denied', 'bad_http', 'unauthenticated', 'host_refused']) {
    assert.ok((report.refused[code] ?? 0) > 0, code);
  }
  for (const result of ['complete', 'upstream_broken']) assert.ok((report.results[result] ?? 0) > 0, result);
});

test('an honest upstream says what should not have come', async () => {
  const upstream = await startHonestUpstream();
  const bodies = [
    'x',
    '{"method":"ping","method":"tools/call"}',
    '{"a":{"k":1,"\\u006b":2}}',
    '[{"METHOD":"tools/call","params":{"Name":"forbidden"}}]',
    '{"id":1,"method":"tools/call","params":{"name":"json","arguments":{"name":"x"}}}',
  ];
  for (const body of bodies) {
    await fetch(upstream.url, {
      method: 'POST',
      body,
      headers: { authorization: 'Bearer the-credential-of-the-fuzz-run-0123456789', connection: 'close' },
    });
  }
  await fetch(upstream.url, { method: 'GET', headers: { connection: 'close' } });
  assert.deepEqual(
    upstream.wrong.map((words) => words.split(':')[0]),
    [
      'it is not JSON',
      'a key is there twice',
      'a key is there twice',
      'a forbidden tool is called',
      'another credential came',
    ],
  );
  assert.deepEqual([...upstream.forwarded.values()], [1, 1, 1, 1, 1, 1]);
  await upstream.close();
});

test('answers are read as they came', () => {
  const read = (text: string) =>
    readAnswers(Buffer.from(text), false)?.map(({ status, body, whole }) => [status, body.toString(), whole]);
  const continued = 'HTTP/1.1 100 Continue\r\n\r\n';
  assert.deepEqual(
    read(`${continued}HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nabHTTP/1.1 400 x\r\ncontent-length: 0\r\n\r\n`),
    [
      [200, 'ab', true],
      [400, '', true],
    ],
  );
  const chunked = 'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n';
  assert.deepEqual(read(`${chunked}1\r\na\r\n2;x\r\nbc\r\n0\r\n\r\n`), [[200, 'abc', true]]);
  assert.deepEqual(read(`${chunked}1\r\na\r\n9\r\nbc`), [[200, 'abc', false]]);
  assert.deepEqual(read('HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nab'), [[200, 'ab', false]]);
  assert.deepEqual(read('HTTP/1.1 20'), []);
  assert.equal(read('junk\r\n\r\n'), undefined);
});
