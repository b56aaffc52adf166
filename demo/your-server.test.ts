import assert from 'node:assert/strict';
import { test } from 'node:test';
import { CommandError } from '../gateway/cli/context.ts';
import { readYours, type YourOptions } from './your-server.ts';

const MCP = 'http://127.0.0.1:9000/mcp';
const at = { port: 0, gateway: 'http://127.0.0.1:1', log: '/nowhere' };

test('none, an address, an address with a key', async () => {
  assert.equal(readYours({}), undefined);
  const plain = await readYours({ upstream: MCP })?.(at);
  assert.deepEqual([plain?.url.href, plain?.settings], [MCP, {}]);
  const keyed = await readYours({ upstream: MCP, bearer: 'env:PATH' })?.(at);
  assert.deepEqual(keyed?.settings, { credential: { bearer: 'env:PATH' } });
});

test('what can not be meant is refused with what to write, and without what may be secret', async (t) => {
  const wrong: [string, YourOptions, RegExp][] = [
    ['two servers', { upstream: MCP, stdio: 'node' }, /one server of your own/],
    ['variables for none', { env: ['PATH'] }, /add --stdio/],
    ['variables for an address', { env: ['PATH'], upstream: MCP }, /add --stdio/],
    ['a key for none', { bearer: 'env:PATH' }, /add --upstream/],
    ['a key for a stdio server', { bearer: 'env:PATH', stdio: 'node' }, /add --upstream/],
    ['a key itself', { upstream: MCP, bearer: 'hunter2' }, /a reference to a key/],
    ['a key that is not set', { upstream: MCP, bearer: 'env:VERBATIM_TEST_UNSET' }, /is not set here/],
    ['no address', { upstream: 'hunter2' }, /takes the address/],
    ['another scheme', { upstream: 'ftp://a/mcp' }, /takes the address/],
    ['no path', { upstream: 'http://127.0.0.1:9000' }, /its path is missing/],
    ['a query', { upstream: `${MCP}?key=hunter2` }, /without query, user or password/],
    ['an empty query', { upstream: `${MCP}?` }, /without query, user or password/],
    ['a user', { upstream: 'http://hunter2@a/mcp' }, /without query, user or password/],
    ['a password', { upstream: 'http://:hunter2@a/mcp' }, /without query, user or password/],
    [
      'no program',
      { stdio: 'nope-cmd x' },
      /^--stdio: nope-cmd was not found in PATH\. Install it, or give its absolute path\.$/,
    ],
    ['a shell', { stdio: 'a | b' }, /^--stdio: No shell runs it/],
    ['a value with --env', { stdio: 'node', env: ['KEY=hunter2'] }, /without its value/],
    ['an unset variable', { stdio: 'node', env: ['VERBATIM_TEST_UNSET'] }, /is not set here/],
  ];
  for (const [name, options, words] of wrong) {
    await t.test(name, () =>
      assert.throws(
        () => readYours(options),
        (error) =>
          error instanceof CommandError &&
          error.exitCode === 2 &&
          words.test(error.message) &&
          !error.message.includes('hunter2'),
      ),
    );
  }
});
