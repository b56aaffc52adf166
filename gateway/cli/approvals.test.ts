/** Commands of approvals and access against a real gateway, through the demo's identity provider. */
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { Writable } from 'node:stream';
import { after, before, test } from 'node:test';
import { promisify } from 'node:util';
import { ANA, createTestApproving } from '../../test/approving.ts';
import { issued } from '../../test/canaries.ts';
import { type LoginWorld, startLoginWorld } from '../../test/login-world.ts';
import { confirmationCode } from '../identity/server/confirmation-code.ts';
import { breakGlass, decideAccess, listAccess, requestAccess, reviewAccess, revokeAccess } from './access.ts';
import { decideApproval, listApprovals, showApproval } from './approvals.ts';
import { approverToken } from './approver-token.ts';
import { CommandError, type Context } from './context.ts';
import { LoginError } from './login-error.ts';
import { createTerminal } from './terminal.ts';

const run = promisify(execFile);
const approving = createTestApproving(() => world.gateway);
let world: LoginWorld;
let gateway = '';
/** Commands keep their tokens to themselves: what is searched for them has to be told here that they are no secret to clients. */
const plain = globalThis.fetch;
globalThis.fetch = async (...given) => {
  const response = await plain(...given);
  if (!String(given[0]).endsWith('/approvals/token')) return response;
  const { access_token: token } = (await response
    .clone()
    .json()
    .catch(() => ({}))) as { access_token?: string };
  if (token !== undefined) issued(token, 'the token of a command');
  return response;
};
before(async () => {
  const access = {
    justInTime: { approvers: ['engineers'], longest: '4h' },
    breakGlass: { groups: ['analysts'], reviewers: ['engineers'], longest: '1h' },
  };
  world = await startLoginWorld({ connections: { orders: { access } } });
  gateway = new URL(world.mcp).origin;
});
after(() => world[Symbol.asyncDispose]());

const ask = (params: unknown = { name: 'refund', arguments: { order: 1017 } }) =>
  approving.ask({ principal: { ...ANA, issuer: world.idp.issuer }, params });

interface TestContext extends Context {
  readonly said: () => string;
  readonly answered: () => string;
}

function contextFor(options: { interactive?: boolean } = {}): TestContext {
  const written = { out: '', err: '' };
  const screen = (name: 'out' | 'err') =>
    Object.assign(
      new Writable({
        write(chunk: Buffer, _encoding, done) {
          written[name] += chunk.toString();
          done();
        },
      }),
      options.interactive === true ? { isTTY: true, columns: 200 } : {},
    );
  return {
    out: createTerminal(screen('out'), { NO_COLOR: '1' }),
    err: createTerminal(screen('err'), { NO_COLOR: '1' }),
    env: {},
    cwd: '/',
    now: Date.now,
    said: () => written.err,
    answered: () => written.out,
  };
}

const as = (user: string) => ({ gateway, as: user, json: true });
const isWrong = (exitCode: 1 | 2, words: RegExp) => (error: unknown) =>
  error instanceof CommandError && error.exitCode === exitCode && words.test(error.message);

test('the real command lists what waits, and nothing for who asked', async () => {
  const { id } = await ask();
  const command = ['gateway/cli/bin.js', 'approvals', '--gateway', gateway, '--json', '--as'];
  const { stdout } = await run(process.execPath, [...command, 'bob']);
  const found = (JSON.parse(stdout) as { id: string; call: { params: unknown } }[]).find((one) => one.id === id);
  assert.deepEqual(found?.call.params, { name: 'refund', arguments: { order: 1017 } });
  const { stdout: none } = await run(process.execPath, [...command, 'ana']);
  assert.deepEqual(JSON.parse(none), []);
});

test('approve: the whole call is shown, and its code typed', async () => {
  const request = await ask();
  const context = contextFor({ interactive: true });
  const done = await decideApproval(context, 'approve', request.id, as('bob'), async (words) => {
    assert.match(words, /Type the code/);
    assert.match(context.said(), /"order": 1017/);
    assert.ok(context.said().includes(request.hash));
    return request.code.toLowerCase();
  });
  assert.equal(done, 0);
  assert.equal((JSON.parse(context.answered()) as { state: string }).state, 'approved');
  assert.equal((await approving.approvals.read(request.id))?.state.state, 'approved');
  await assert.rejects(
    decideApproval(contextFor(), 'approve', request.id, { ...as('bob'), code: request.code }),
    isWrong(1, /Approved/),
  );
});

test('another code, no code, or no terminal to type it: nothing is approved', async () => {
  const request = await ask();
  const approve = (context: Context, more: object, typed = '') =>
    decideApproval(context, 'approve', request.id, { ...as('bob'), ...more }, async () => typed);
  await assert.rejects(approve(contextFor({ interactive: true }), {}, 'AAAA-AAAA'), isWrong(1, /another code/));
  await assert.rejects(approve(contextFor({ interactive: true }), {}, ''), isWrong(1, /another code/));
  await assert.rejects(approve(contextFor(), {}), isWrong(2, /--code/));
  await assert.rejects(approve(contextFor(), { code: (await ask(1)).code }), isWrong(1, /another code/));
  assert.equal((await approving.approvals.read(request.id))?.state.state, 'pending');
});

test('deny says why; who may not is told so', async () => {
  const request = await ask();
  await assert.rejects(decideApproval(contextFor(), 'deny', request.id, as('bob')), isWrong(2, /--reason/));
  await assert.rejects(
    decideApproval(contextFor(), 'deny', request.id, { ...as('ana'), reason: 'x' }),
    isWrong(1, /own request/),
  );
  await assert.rejects(showApproval(contextFor(), request.id, as('carol')), isWrong(1, /nothing here for you/));
  assert.equal(await decideApproval(contextFor(), 'deny', request.id, { ...as('bob'), reason: 'Paid already' }), 0);
  const shown = contextFor();
  await showApproval(shown, request.id, { ...as('ana'), json: false });
  assert.match(shown.answered(), /Denied by bob@example\.com: Paid already/);
  assert.doesNotMatch(shown.answered(), /"order"/);
});

test('a hostile call moves no cursor and hides nothing', async () => {
  const request = await ask({ name: 're\u202efund', arguments: { x: '\u001b[2J\u202e\u200b', y: 'a\nb' } });
  const context = contextFor();
  await showApproval(context, request.id, { ...as('bob'), json: false });
  assert.doesNotMatch(context.answered(), /[\u001b\u202e\u200b]/);
  assert.match(context.answered(), /"x": "\\u001b\[2J\\u202e\\u200b"/);
  const listed = contextFor();
  await listApprovals(listed, { ...as('bob'), json: false });
  assert.doesNotMatch(listed.answered(), /[\u001b\u202e\u200b]/);
});

test('access: asked for, let in, ended', async () => {
  const asked = contextFor();
  await requestAccess(asked, 'orders', { ...as('ana'), reason: 'Ticket 7', for: '30m' });
  const { id, code, duration } = JSON.parse(asked.answered()) as { id: string; code: string; duration: number };
  assert.equal(duration, 1_800_000);
  await assert.rejects(decideAccess(contextFor(), 'approve', id, { ...as('ana'), code }), isWrong(1, /own request/));
  await assert.rejects(
    decideAccess(contextFor(), 'approve', id, { ...as('bob'), code: 'X' }),
    isWrong(1, /another code/),
  );
  const decided = contextFor();
  await decideAccess(decided, 'approve', id, { ...as('bob'), code });
  const { window = '' } = JSON.parse(decided.answered()) as { window?: string };
  await revokeAccess(contextFor(), window, { ...as('ana'), reason: 'Done' });
  assert.equal((await approving.windows.readWindow(window))?.state, 'revoked');
  const listed = contextFor();
  await listAccess(listed, { ...as('bob'), json: false });
  assert.match(listed.answered(), new RegExp(`${window} +window +revoked`));
});

test('glass is broken and reviewed', async () => {
  const opened = contextFor();
  await breakGlass(opened, 'orders', { ...as('ana'), reason: 'Outage', for: '30m' });
  const { id } = JSON.parse(opened.answered()) as { id: string };
  await assert.rejects(reviewAccess(contextFor(), id, { ...as('ana'), words: 'Fine' }), isWrong(1, /own window/));
  await reviewAccess(contextFor(), id, { ...as('bob'), words: 'Read two orders' });
  const window = await approving.windows.readWindow(id);
  assert.ok(typeof window?.review === 'object' && window.review.words === 'Read two orders');
});

test('what is refused: too long, not of a group, a connection without windows, typed wrongly', async () => {
  const enter = (connection: string, user: string, time: string, reason: string | undefined = 'x') =>
    requestAccess(contextFor(), connection, { ...as(user), for: time, ...(reason === '' ? {} : { reason }) });
  await assert.rejects(enter('orders', 'ana', '5h'), isWrong(1, /at most 240 minutes/));
  await assert.rejects(enter('orders', 'carol', '1h'), isWrong(1, /None of your groups/));
  await assert.rejects(enter('fixture', 'ana', '1h'), isWrong(1, /None of your groups/));
  await assert.rejects(enter('orders', 'ana', 'long'), isWrong(2, /--for/));
  await assert.rejects(enter('orders', 'ana', '0s'), isWrong(2, /--for/));
  await assert.rejects(enter('orders', 'ana', '1h', ''), isWrong(2, /--reason/));
  await assert.rejects(enter('../x', 'ana', '1h'), isWrong(2, /name of a connection/));
  await assert.rejects(showApproval(contextFor(), '../x', as('bob')), isWrong(2, /whole id/));
  for (const wrong of ['http://example.com', 'https://a.example/path', 'ftp://a', 'x', 'https://u:p@a.example']) {
    await assert.rejects(listApprovals(contextFor(), { gateway: wrong }), isWrong(2, /--gateway/), wrong);
  }
  await assert.rejects(listApprovals(contextFor(), {}), isWrong(2, /VERBATIM_GATEWAY/));
});

test('the terminal shows the code of the page, and takes no answer of another gateway', async () => {
  const lines: string[] = [];
  let opened: URL | undefined;
  const answer = (change: (back: URL) => void) =>
    approverToken({
      gateway,
      command: 'verbatim approvals list',
      scope: 'read',
      write: (line) => void lines.push(line),
      async openBrowser(url) {
        opened = url;
        const back = new URL(url.searchParams.get('redirect_uri') ?? '');
        back.searchParams.set('state', url.searchParams.get('state') ?? '');
        change(back);
        void fetch(back).then((response) => response.body?.cancel());
      },
    });
  const isCode = (code: string) => (error: unknown) => error instanceof LoginError && error.code === code;
  const iss = `${gateway}/approvals`;
  await assert.rejects(
    answer((back) => back.searchParams.set('code', 'x')),
    isCode('bad_issuer'),
  );
  assert.ok(lines.join('\n').includes(confirmationCode(opened?.searchParams.get('code_challenge') ?? '')));
  await assert.rejects(
    answer((back) => {
      back.searchParams.set('iss', 'https://evil.example/approvals');
      back.searchParams.set('code', 'x');
    }),
    isCode('bad_issuer'),
  );
  await assert.rejects(
    answer((back) => {
      back.searchParams.set('iss', iss);
      back.searchParams.set('error', 'access_denied');
    }),
    isCode('refused'),
  );
  await assert.rejects(
    answer((back) => {
      back.searchParams.set('iss', iss);
      back.searchParams.set('code', issued('no-code-of-this-gateway', 'a code'));
    }),
    isCode('exchange_failed'),
  );
});

test('a gateway that leads elsewhere, or answers what is no token, gets no further', async () => {
  const answers = ['{}', '{"access_token":"short","token_type":"Bearer"}', 'no JSON'];
  const server = createServer((request, response) => {
    const url = new URL(request.url ?? '', 'http://localhost');
    if (url.pathname === '/approvals/token') return void response.end(answers.shift());
    response.writeHead(404).end();
  });
  await new Promise<void>((done) => server.listen(0, '127.0.0.1', done));
  const origin = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  try {
    while (answers.length > 0) {
      const token = approverToken({
        gateway: origin,
        command: 'x',
        scope: 'read',
        write: () => {},
        async openBrowser(url) {
          const back = new URL(url.searchParams.get('redirect_uri') ?? '');
          const all = { state: url.searchParams.get('state') ?? '', iss: `${origin}/approvals`, code: 'c' };
          for (const [name, value] of Object.entries(all)) back.searchParams.set(name, value);
          void fetch(back).then((response) => response.body?.cancel());
        },
      });
      await assert.rejects(token, (error) => error instanceof LoginError && error.code === 'exchange_failed');
    }
  } finally {
    server.close();
    server.closeAllConnections();
  }
});
