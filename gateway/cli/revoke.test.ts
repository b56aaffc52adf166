import assert from 'node:assert/strict';
import { mkdtemp, readdir, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { PassThrough } from 'node:stream';
import { test } from 'node:test';
import { pathToFileURL } from 'node:url';
import { stringify } from 'yaml';
import { createContext } from './context.ts';
import { type RevokeOptions, runRevoke } from './revoke.ts';

const CORP = 'https://idp.example.com';
const WHY = { reason: 'leaked', actor: 'carol' };

/** The command in a folder of its own, with what it printed. */
async function place(stack: AsyncDisposableStack, config: Record<string, unknown> = {}) {
  const folder = stack.adopt(await mkdtemp(join(tmpdir(), 'verbatim-revoke-cli-')), (path) =>
    rm(path, { recursive: true, force: true }),
  );
  const file = join(folder, 'gateway.yaml');
  const configuration = {
    listen: { host: '127.0.0.1', port: 8080 },
    publicUrl: 'http://127.0.0.1:8080',
    data: './data',
    stores: { recordings: pathToFileURL(join(folder, 'store')).href },
    policies: 'allow-all',
    issuers: { corp: { issuer: CORP } },
    connections: { orders: { upstream: { url: 'https://o.internal' }, groups: ['g'], credential: { none: true } } },
    ...config,
  };
  await writeFile(file, stringify(configuration));
  return {
    /** Whether anything is in its stores. */
    written: async () => (await readdir(folder)).some((name) => name.startsWith('store')),
    async run(options: RevokeOptions, session?: string) {
      const printed: string[] = [];
      const screen = Object.assign(new PassThrough(), { isTTY: false });
      screen.on('data', (chunk) => printed.push(String(chunk)));
      const context = createContext({ stdout: screen, stderr: screen, env: {}, cwd: () => folder });
      const code = await runRevoke(context, session, { config: file, ...options });
      return { code, text: printed.join('') };
    },
  };
}

test('block, list, lift: by an issuer’s name, by a beginning of the id, by the principal', async () => {
  await using stack = new AsyncDisposableStack();
  const { run } = await place(stack);
  const made = await run({ principal: 'Ana@example.com', issuer: 'corp', ...WHY });
  assert.match(made.text, /^blocked +Ana@example\.com of https:\/\/idp\.example\.com$/m);
  const id = /^id +(\S+)$/m.exec(made.text)?.[1] ?? '';
  assert.ok(made.text.includes(`npx verbatim revoke --lift ${id} --reason "…" --config `));
  const [listed, another] = JSON.parse((await run({ list: true, json: true })).text);
  assert.deepEqual([listed.id, listed.principal, listed.issuer, listed.actor], [id, 'Ana@example.com', CORP, 'carol']);
  assert.equal(another, undefined);
  assert.match((await run({ list: true })).text, new RegExp(`^${id}  Ana@example.com of .*leaked$`, 'm'));
  assert.equal((await run({ lift: id.slice(0, 13), ...WHY })).code, 0);
  assert.equal((await run({ list: true })).text, 'Nobody is blocked.\n');

  await run({ principal: 'ana@example.com', ...WHY });
  await run({ principal: 'ana@example.com', issuer: CORP, ...WHY });
  await run({ principal: 'bob', ...WHY });
  const lifted = JSON.parse((await run({ lift: true, principal: 'ANA@example.com', json: true, ...WHY })).text);
  assert.equal(lifted.ids.length, 2);
  const left = JSON.parse((await run({ list: true, json: true })).text);
  assert.deepEqual(
    left.map(({ principal }: { principal: string }) => principal),
    ['bob'],
  );
});

test('people who log in at the gateway are of an issuer that is not under issuers', async () => {
  await using stack = new AsyncDisposableStack();
  const login = { providers: { corp: { oidc: { issuer: CORP, clientId: 'c', clientSecret: 'env:S' } } } };
  const { run } = await place(stack, { issuers: {}, login });
  assert.equal((await run({ principal: 'ana', issuer: 'https://people.example.com', ...WHY })).code, 0);
});

const SESSION = '01a20455-9c40-7000-8000-000000000001';
const WRONG: readonly (readonly [string, RevokeOptions, string | undefined, number])[] = [
  ['nothing', WHY, undefined, 2],
  ['no reason', { principal: 'ana' }, undefined, 2],
  ['no principal in it', { principal: ' ', ...WHY }, undefined, 2],
  ['an issuer that is mistyped', { principal: 'ana', issuer: 'crop', ...WHY }, undefined, 2],
  ['an issuer that is not there', { principal: 'ana', issuer: `${CORP}/`, ...WHY }, undefined, 2],
  ['a name of Object.prototype', { principal: 'ana', issuer: 'constructor', ...WHY }, undefined, 2],
  ['a session and a principal', { principal: 'ana', ...WHY }, SESSION, 2],
  ['a beginning of a session', WHY, 'latest', 2],
  ['a session and a lift', { lift: true, ...WHY }, SESSION, 2],
  ['a list of one', { list: true, principal: 'ana' }, undefined, 2],
  ['a lift of nothing', { lift: true, ...WHY }, undefined, 2],
  ['a lift of an id and a principal', { lift: SESSION, principal: 'ana', ...WHY }, undefined, 2],
  ['an actor that was not seen', { principal: 'ana', reason: 'x', actor: 'os:root' }, undefined, 2],
  ['an id that is not there', { lift: 'ffffffff', ...WHY }, undefined, 1],
  ['a principal that is not blocked', { lift: true, principal: 'ana', ...WHY }, undefined, 1],
];
for (const [what, options, session, exitCode] of WRONG) {
  test(`${what}: exit code ${exitCode}, and nothing is written`, async () => {
    await using stack = new AsyncDisposableStack();
    const { run, written } = await place(stack);
    await assert.rejects(run(options, session), { exitCode });
    assert.equal(await written(), false);
  });
}
