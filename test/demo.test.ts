/** What a visitor runs: the demo, then the reading commands on what it left; and the commands for one's own server. */
import assert from 'node:assert/strict';
import { type ChildProcess, execFile, spawn } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import { once } from 'node:events';
import { appendFile, mkdir, mkdtemp, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { request as ask, createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { after, before, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { stringify } from 'yaml';
import { startOrders } from '../demo/orders.ts';
import {
  type ApprovalFrame,
  type DataFrame,
  type EndFrame,
  type Frame,
  pieceBytes,
} from '../gateway/recording/frame.ts';
import { assertNoSecrets, secret } from './canaries.ts';
import { noteKeys, placesIn } from './canary-watch.ts';
import { configurationFor } from './gateway-under-test.ts';
import { connectSdk1 } from './official-clients.ts';
import { call, toolCall } from './raw-client.ts';

const BIN = 'gateway/cli/bin.js';
let folder = '';

before(async () => {
  folder = await mkdtemp(join(tmpdir(), 'verbatim-demo-'));
});

after(() => rm(folder, { recursive: true, force: true }));

interface Ran {
  readonly code: number;
  readonly out: string;
  readonly err: string;
}

function verbatim(...args: string[]): Promise<Ran> {
  return new Promise((done) => {
    execFile(process.execPath, [BIN, ...args], { encoding: 'utf8' }, (error, out, err) => {
      done({ code: error === null ? 0 : Number(error.code), out, err });
    });
  });
}

const textOf = (piece: Parameters<typeof pieceBytes>[0]): string => pieceBytes(piece).toString();

/** A card is the same card without its blanks. */
function spellings(value: string): string[] {
  return [...new Set([value, value.replaceAll(' ', '')])];
}

async function firstLine(child: ChildProcess): Promise<Record<string, string>> {
  assert.ok(child.stdout !== null);
  const lines = createInterface({ input: child.stdout });
  const [line] = (await once(lines, 'line')) as [string];
  return JSON.parse(line) as Record<string, string>;
}

test('the demo once: what it tells is in the recording, and every reading command agrees', async () => {
  const data = join(folder, 'once');
  const told = await verbatim('demo', '--once', '--port', '0', '--data-dir', data);
  assert.equal(told.code, 0, told.err);
  assert.equal(told.out.trimEnd().split('\n').length, 17, told.out);
  // In a visitor's own project npx would fetch another package: no client's command may run it.
  const withNpx = told.out.split('\n').filter((line) => line.includes('$(npx'));
  assert.equal(withNpx.length, 1);
  assert.match(withNpx[0] ?? '', /^Scripts +a token, in this folder: export VERBATIM_TOKEN=/);
  // A client needs the address alone.
  assert.match(
    told.out,
    /^Claude +claude mcp add --scope user --transport http orders http:\S+\/orders\/mcp, then \/mcp/m,
  );
  assert.match(told.out, /^Others +http:\S+\/orders\/mcp is all .*; http:\S+\/connect has what to type/m);
  assert.ok(!told.out.includes('Authorization'), told.out);
  const [, people = ''] = /^People +(\S+): take analysts out of ana’s groups/m.exec(told.out) ?? [];
  assert.equal(people, join(data, 'people.yaml'));
  assert.match(await readFile(people, 'utf8'), /name: ana\n/);
  assert.equal(told.err, '');
  const store = `file://${data}/store`;
  const listed = JSON.parse((await verbatim('sessions', '--json', '--store', store)).out) as {
    session: string;
    principal: { email: string };
  }[];
  assert.deepEqual(
    listed.map(({ principal }) => principal.email),
    ['ana@example.com'],
  );
  const session = listed[0]?.session ?? '';
  assert.ok(told.out.includes(session));
  const [{ client }] = listed as unknown as [{ client: object }];
  assert.deepEqual(
    { ...client, address: '' },
    { id: 'verbatim-cli', address: '', name: 'verbatim-demo', version: '1.0.0' },
  );
  const shown = await verbatim('show', session, '--store', store);
  const [, exchanges = '?', messages = '?'] = /^Recorded +(\d+) exchanges with (\d+) messages/m.exec(told.out) ?? [];
  assert.ok(shown.out.includes(`: ${exchanges} exchanges, ${messages} messages,`), told.out);
  for (const method of [
    'initialize',
    'tools/list',
    'tools/call',
    'elicitation/create',
    'notifications/progress',
    'resources/read',
    'prompts/get',
  ]) {
    assert.ok(shown.out.includes(method), `show prints ${method}`);
  }
  assert.match(told.out, /^Denied +DROP TABLE customers, by the rule no-ddl: it never reached the server$/m);
  assert.match(
    told.out,
    /^Approved +\{"order_id":7,.*\} waited for a lead\. dana approved it: Refunded 5\.00 EUR of order 7/m,
  );
  assert.match(
    told.out,
    /^Ana made .*Of its 5 tools the rules showed her 4: query, refund_order, monthly_report, delete_customer$/m,
  );
  assert.match(told.out, /^and got +id \| name \| email .* \| \[email:[0-9a-f]{8}\] \| \[card:[0-9a-f]{8}\] \| /m);
  assert.doesNotMatch(shown.out, /id: \S+data:/, 'what is not JSON keeps its line ends');
  const proof = await verbatim('verify', '--all', '--json', '--store', store);
  assert.equal(proof.code, 0, proof.out);
  const nothing = await verbatim('verify', '--all', '--store', `file://${data}`);
  assert.equal(nothing.code, 1, 'a folder without a ledger proves nothing');
  assert.equal((JSON.parse(proof.out) as { ok: boolean }).ok, true);
});

test('the demo’s policy, from the recording: a denied DROP TABLE, masked customers, a refund made once', async () => {
  const data = join(folder, 'policy');
  const told = await verbatim('demo', '--once', '--port', '0', '--data-dir', data);
  assert.equal(told.code, 0, told.err);
  const store = `file://${data}/store`;
  const frames = (await verbatim('show', 'latest', '--json', '--store', store)).out
    .trimEnd()
    .split('\n')
    .map((line) => JSON.parse(line) as Frame);
  const requests = frames.filter((frame) => frame.type === 'request');
  const endOf = ({ exchange }: { exchange: string }) =>
    frames.find((frame) => frame.type === 'end' && frame.exchange === exchange) as EndFrame;

  const [drop, ...more] = requests.filter(({ body }) => body !== undefined && textOf(body).includes('DROP TABLE'));
  assert.ok(drop !== undefined && more.length === 0);
  const [{ decision } = assert.fail('no message')] = drop.messages;
  assert.deepEqual([decision.effect, decision.rules], ['deny', ['no-ddl']]);
  const { outcome } = endOf(drop);
  assert.deepEqual([outcome.result, outcome.fate], ['denied', 'not_forwarded']);
  const answers = frames.filter((frame) => frame.type === 'data' && frame.exchange === drop.exchange) as DataFrame[];
  assert.deepEqual(
    answers.map(({ from }) => from),
    ['gateway'],
  );
  assert.match(answers.map(textOf).join(''), /no-ddl/);

  // What the server itself would say of every customer: none of it has left, and none of it is stored.
  const orders = await startOrders({ port: 0 });
  const client = await connectSdk1(orders.url, 'none');
  const customers = await client.callTool('query', { sql: 'SELECT email, card FROM customers' });
  await client.close();
  await orders.close();
  const values = customers
    .split('\n')
    .slice(1)
    .flatMap((row) => row.split(' | '));
  assert.equal(values.length, 20);
  for (const value of values)
    for (const one of spellings(value)) secret(one, 'an e-mail address or card of a customer');
  assertNoSecrets(placesIn('the folder of the demo', data));
  for (const value of values) assert.ok(!told.out.includes(value), value);

  const refunds = requests.filter(({ messages }) => messages.some(({ name }) => name === 'refund_order'));
  assert.equal(refunds.length, 1);
  const [refund = assert.fail('no refund')] = refunds;
  assert.equal(endOf(refund).outcome.result, 'complete');
  const states = frames.filter((frame) => frame.type === 'approval' && frame.exchange === refund.exchange);
  assert.deepEqual(
    (states as ApprovalFrame[]).map(({ approval: { state, by } }) => [state, by]),
    [
      ['pending', undefined],
      ['approved', [{ rule: 'refunds-need-a-lead', subject: 'dana' }]],
    ],
  );
  assert.match(told.out, /Refunded 5\.00 EUR of order 7/);

  const golden = await verbatim('policy', 'test', join(data, 'policies'));
  assert.deepEqual([golden.code, golden.out], [0, '10 of 10 decisions are as they should be.\n']);
  const checked = await verbatim(
    'policy',
    'check',
    join(data, 'policies'),
    '--strict',
    '--config',
    join(data, 'verbatim.yaml'),
  );
  assert.equal(checked.code, 0, checked.out);
  const [, why = ''] = /^Why +npx verbatim (.*)$/m.exec(told.out) ?? [];
  const words = [...why.matchAll(/'([^']*)'|(\S+)/g)].map(([, quoted, plain]) => quoted ?? plain ?? '');
  assert.match((await verbatim(...words)).out, /^The rule no-ddl denies this\.$/m);
});

test('edited rules and people: the demo starts all the same and tells what became of it; a mistake stops it in words', async () => {
  const data = join(folder, 'edited');
  const once = () => verbatim('demo', '--once', '--port', '0', '--data-dir', data);
  const rules = join(data, 'policies', 'access', 'orders.yaml');
  const people = join(data, 'people.yaml');
  await mkdir(join(data, 'policies', 'access'), { recursive: true });
  const all = '  - { name: all, principals: any, connections: [orders], methods: ["*"], effect: allow }\n';
  const ceo =
    '  - { name: ceo, principals: any, connections: [orders], tools: [refund_order], effect: approve, approval: { approvers: [ceo] } }\n';
  await writeFile(rules, `rules:\n${all}${ceo}`);
  const first = await once();
  assert.equal(first.code, 0, first.err);
  assert.match(first.out, /^Denied +NOT: your rules let her ask DROP TABLE customers$/m);
  assert.match(first.out, /^Refund +not made \(approval_denied\)\. dana could not approve it: \S/m);

  // As a demo of an older version left it.
  const known = await readFile(people, 'utf8');
  await writeFile(people, known.slice(0, known.indexOf('- name: dana')));
  await writeFile(rules, `rules:\n${all}`);
  const second = await once();
  assert.equal(second.code, 0, second.err);
  const [, line = ''] = /^Refund +not asked for: .* Add this line and start again: (.*)$/m.exec(second.out) ?? [];
  await appendFile(people, `${line}\n`);
  const third = await once();
  assert.match(third.out, /^Refund +NOT approved: your rules let it pass\. Refunded/m);

  await writeFile(rules, 'rules:\n  - name: Not good\n');
  const broken = await once();
  assert.deepEqual([broken.code, broken.out], [1, '']);
  assert.ok(broken.err.includes(`${rules}:2:`), broken.err);
  assert.match(broken.err, /move it away, and the demo writes its own again/);
  await rm(rules);
  await mkdir(rules);
  assert.ok((await once()).err.includes(`${rules} is not a file.`));
  await rm(rules, { recursive: true });
  assert.match((await once()).out, /^Approved /m);
});

test('the demo stays up: its addresses as JSON, login, a call of ours, tail, the same data again', async () => {
  const own = await startOrders({ port: 0 });
  const data = join(folder, 'stays');
  const demo = spawn(
    process.execPath,
    [BIN, 'demo', '--json', '--port', '0', '--data-dir', data, '--upstream', own.url],
    {
      stdio: ['ignore', 'pipe', 'inherit'],
    },
  );
  const exited = once(demo, 'exit');
  try {
    const told = await firstLine(demo);
    assert.deepEqual(Object.keys(told), ['mcp', 'idp', 'store', 'session', 'key', 'yours']);
    const { mcp = '', yours = '', store = '', key = '' } = told;
    const tail = spawn(process.execPath, [BIN, 'tail', '--json', '--store', store], {
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    const tailed = createInterface({ input: tail.stdout })[Symbol.asyncIterator]();
    for (const [url, who, status] of [
      // No rule allows a tool of this name on the sample server.
      [mcp, 'bob', 200],
      // A server wants a session first: its 400 passes as it is.
      [yours, 'carol', 400],
    ] as const) {
      const login = await verbatim('login', url, '--as', who);
      assert.equal(login.code, 0, login.err);
      const token = secret(login.out.trimEnd().split('\n').at(-1) ?? '', `the token of ${who}`);
      const answer = await call(url, { token, body: toolCall(1, `by-${who}`) }).answer;
      assert.equal(answer.status, status);
      assert.equal((await answer.whole()).includes('"code":"denied"'), status === 200);
    }
    // Nobody of carol's groups may call the sample server: she gets no token, and reads why.
    const denied = await verbatim('login', mcp, '--as', 'carol');
    assert.deepEqual([denied.code, denied.out], [1, '']);
    assert.match(denied.err, /None of your groups may open a session on Orders \(sample\)/);
    const seen = new Set<string>();
    while (!seen.has('by-bob') || !seen.has('by-carol')) {
      const { value, done } = await tailed.next();
      assert.equal(done, false);
      const frame = JSON.parse(value ?? '{}') as { messages?: { name?: string }[] };
      for (const message of frame.messages ?? []) seen.add(message.name ?? '');
    }
    const tailExit = once(tail, 'exit');
    tail.kill('SIGINT');
    assert.deepEqual(await tailExit, [0, null]);
    const proof = await verbatim('verify', '--all', '--key', key, '--store', store);
    assert.equal(proof.code, 0, proof.out + proof.err);
    const second = await verbatim('demo', '--once', '--port', '0', '--data-dir', data);
    assert.equal(second.code, 1);
    assert.match(second.err, /in use by another Verbatim process/);
  } finally {
    demo.kill('SIGINT');
    assert.deepEqual(await exited, [0, null]);
    await own.close();
  }
  const again = await verbatim('demo', '--once', '--port', '0', '--data-dir', data);
  assert.equal(again.code, 0, again.err);
  noteKeys(join(data, 'disk', 'keys'));
  assertNoSecrets(placesIn('the folder of the demo', data));
});

test('who is taken out of the group in people.yaml is out within seconds, without a restart; who comes back logs in again', async () => {
  const data = join(folder, 'groups');
  const args = [BIN, 'demo', '--json', '--port', '0', '--data-dir', data];
  const demo = spawn(process.execPath, args, { stdio: ['ignore', 'pipe', 'inherit'] });
  const exited = once(demo, 'exit');
  try {
    const { mcp = '', store = '' } = await firstLine(demo);
    const login = async (): Promise<Ran> => verbatim('login', mcp, '--as', 'ana');
    const token = secret((await login()).out.trimEnd(), 'the token of ana');
    const ask = async (): Promise<{ status: number; error: unknown }> => {
      const answer = await call(mcp, { token, body: toolCall(1, 'monthly_report') }).answer;
      const text = (await answer.whole()).toString();
      return { status: answer.status, error: answer.status === 400 ? undefined : JSON.parse(text).error.data.code };
    };
    // The sample server wants a session first: its 400 passes as it is.
    assert.deepEqual(await ask(), { status: 400, error: undefined });

    const people = join(data, 'people.yaml');
    const before = await readFile(people, 'utf8');
    await writeFile(people, before.replace('- analysts', '- auditors'));
    const left = Date.now();
    let said = await ask();
    // Another command of a visitor's meanwhile is pause enough.
    for (; said.status === 400; said = await ask()) await verbatim('sessions', '--store', store);
    assert.ok(Date.now() - left < 30_000, `${Date.now() - left} ms`);
    assert.ok(['not_in_group', 'session_ended'].includes(String(said.error)), JSON.stringify(said));
    assert.deepEqual(await ask(), { status: 401, error: 'session_ended' });
    assert.equal((await login()).code, 1);

    await writeFile(people, before);
    assert.deepEqual(await ask(), { status: 401, error: 'session_ended' }, 'what has ended stays so');
    const again = await login();
    assert.equal(again.code, 0, again.err);
    secret(again.out.trimEnd(), 'the next token of ana');
  } finally {
    demo.kill('SIGINT');
    assert.deepEqual(await exited, [0, null]);
  }
  assertNoSecrets(placesIn('the folder of the demo', data));
});

test('the demo with a visitor’s stdio server: an official client calls it, the recording has it, nothing is left behind', async () => {
  const data = join(folder, 'stdio');
  const entry = fileURLToPath(import.meta.resolve('@modelcontextprotocol/server-everything/dist/index.js'));
  const command = `"${process.execPath}" "${entry}" stdio`;
  const args = [BIN, 'demo', '--json', '--port', '0', '--data-dir', data, '--stdio', command];
  const demo = spawn(process.execPath, args, { stdio: ['ignore', 'pipe', 'inherit'] });
  const exited = once(demo, 'exit');
  try {
    const { yours = '', store = '' } = await firstLine(demo);
    const login = await verbatim('login', yours, '--as', 'carol');
    const client = await connectSdk1(yours, login.out.trimEnd());
    assert.equal(await client.callTool('echo', { message: 'grüezi 👋' }), 'Echo: grüezi 👋');
    await client.close();
    let shown = '';
    // What is sealed can be read; the demo seals each second.
    while (!shown.includes('Echo: grüezi')) {
      const [newest] = JSON.parse(
        (await verbatim('sessions', '--connection', 'yours', '--json', '--store', store)).out,
      );
      if (newest !== undefined) shown = (await verbatim('show', newest.session, '--full', '--store', store)).out;
    }
  } finally {
    demo.kill('SIGINT');
    assert.deepEqual(await exited, [0, null]);
  }
  const left = await promisify(execFile)('ps', ['-eo', 'args']);
  assert.ok(!left.stdout.includes(data) && !left.stdout.includes(command), 'no process is left');
});

const HOW_TO_CALL_IT =
  /^ +claude mcp add --scope user --transport http yours http:\S+\/yours\/mcp, and for scripts: export YOURS_TOKEN="\$\(npx verbatim login http:\S+\/yours\/mcp --as ana\)"$/m;

test('a visitor’s server that does not answer stops nothing: why is told, and where its log is', async () => {
  const data = join(folder, 'told');
  const command = `"${process.execPath}" -e "console.error('no licence'); process.exit(3)"`;
  const { code, out, err } = await verbatim('demo', '--once', '--port', '0', '--data-dir', data, '--stdio', command);
  assert.equal(code, 0, err);
  assert.match(out, /^Yours +does not answer: .*exit code was 3; it may start later$/m);
  assert.match(out, HOW_TO_CALL_IT);
  assert.doesNotMatch(out, /npm start -- --upstream/, 'one was just given');
  const log = /its log, with what it writes to stderr: (\S+)$/m.exec(out)?.[1] ?? '';
  assert.equal(log, join(data, 'stdio.log'));
  assert.match(await readFile(log, 'utf8'), /no licence/);
  assert.equal((await stat(log)).mode & 0o777, 0o600);
});

test('a visitor’s server that wants a key gets it from a variable, which nothing else holds', async (t) => {
  const key = secret(`key-${randomUUID()}`, 'the key of a visitor’s server');
  const orders = await startOrders({ port: 0 });
  t.after(() => orders.close());
  const keyed = createServer((request, response) => {
    if (request.headers.authorization !== `Bearer ${key}`) return void response.writeHead(401).end();
    const { method = 'GET', headers } = request;
    const on = ask(orders.url, { method, headers: { ...headers, host: new URL(orders.url).host } }, (answer) => {
      response.writeHead(answer.statusCode ?? 502, answer.headers);
      answer.pipe(response);
    });
    request.pipe(on);
  }).listen(0, '127.0.0.1');
  t.after(() => keyed.close());
  await once(keyed, 'listening');
  const url = `http://127.0.0.1:${(keyed.address() as AddressInfo).port}/mcp`;
  const data = join(folder, 'keyed');
  const args = [BIN, 'demo', '--once', '--port', '0', '--data-dir', data, '--upstream', url];
  const env = { ...process.env, VERBATIM_TEST_KEY: key };
  const bearer = ['--bearer', 'env:VERBATIM_TEST_KEY'];
  const { stdout } = await promisify(execFile)(process.execPath, [...args, ...bearer], { encoding: 'utf8', env });
  assert.match(stdout, /^Yours +reached: \S+ \d+\.\d+\.\d+, \d+ tools$/m);
  assert.match(stdout, HOW_TO_CALL_IT);
  assertNoSecrets(placesIn('the folder of the demo', data));
});

test('the demo refuses what it can not run, in words', async () => {
  for (const [args, words] of [
    [['--stdio', 'a | b'], /No shell runs it/],
    [['--stdio', 'no-such-program-anywhere'], /no-such-program-anywhere was not found/],
    [['--stdio', 'a', '--upstream', 'http://127.0.0.1:1/mcp'], /one server of your own/],
    [['--upstream', 'http://127.0.0.1:1/a%20b'], /paths\[0\] is not a plain path\. Begin with/],
    [['--env', 'PATH'], /add --stdio/],
    [['--data-dir', 'package.json'], /there is a file of this name/],
  ] as const) {
    const told = await verbatim('demo', '--once', '--port', '0', '--data-dir', join(folder, 'refused'), ...args);
    assert.notEqual(told.code, 0);
    assert.match(told.err, words);
  }
});

test('connection check: reach, credential, tools; each failure in words', async (t) => {
  const orders = await startOrders({ port: 0 });
  t.after(() => orders.close());
  const file = join(folder, 'check.yaml');
  const write = (connection: Record<string, unknown>, url = orders.url): Promise<void> => {
    const { origin, pathname } = new URL(url);
    const at = { folder, issuer: { url: 'http://127.0.0.1:1' }, port: 8080, origin, pathname };
    return writeFile(file, stringify(configurationFor(at, { connection })));
  };
  const check = async (): Promise<{
    ok: boolean;
    tools?: string[];
    credential?: string;
    problem?: { code: string };
  }> => {
    const ran = await verbatim('connection', 'check', 'fixture', '--config', file, '--json');
    const result = JSON.parse(ran.out) as { ok: boolean };
    assert.equal(ran.code, result.ok ? 0 : 1);
    return result;
  };
  await write({});
  const good = await check();
  assert.deepEqual([good.ok, good.credential], [true, 'none']);
  assert.ok(good.tools?.includes('query'));
  await write({ credential: { bearer: 'env:VERBATIM_TEST_NO_SUCH_VARIABLE' } });
  assert.equal((await check()).problem?.code, 'credential_unavailable');
  await write({}, 'http://127.0.0.1:1/mcp');
  assert.equal((await check()).problem?.code, 'upstream_unreachable');
});
