/** Rules and masks under load: what is large, many or slow costs its sender, and nobody else. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { EXPONENTIAL } from '../gateway/policy/sql/bigquery.corpus.ts';
import { type Policed, startPoliced } from './policed.ts';
import { openRaw, type RawSocket, requestOf } from './raw-socket.ts';

const RULES = `
rules:
  - name: read-sql
    principals: any
    connections: [fixture]
    tools: [query]
    condition: sql.readOnly(args.sql)
    effect: allow
  - name: masked
    principals: any
    connections: [fixture]
    tools: [masked, "t-*"]
    effect: allow
    masks: [email, card, iban, ssn, phone, ip, secret, jwt, privateKey]
`;
const EMAIL = 'maya.okonkwo@example.com';

describe('rules and masks under load', () => {
  test('one principal’s slow statements by the hundred keep another’s call waiting for one of them', async () => {
    await using stack = new AsyncDisposableStack();
    const policed = await open(stack);
    const other = await policed.gateway.tokenFor({ sub: 'other', email: 'other@example.org' });
    const call = (sql: string) => ({ name: 'query', arguments: { sql } });
    // Loads the parser.
    assert.equal((await policed.send('tools/call', call('SELECT 0'), { token: other })).code, undefined);
    const sockets: RawSocket[] = [];
    for (let index = 0; index < 70; index += 1) {
      const raw = await openRaw(policed.gateway.port);
      const params = call(`${EXPONENTIAL} -- ${index}`);
      raw.send(
        requestOf({
          token: policed.gateway.token,
          body: JSON.stringify({ jsonrpc: '2.0', id: 1, method: 'tools/call', params }),
        }),
      );
      sockets.push(raw);
    }
    const before = performance.now();
    assert.equal((await policed.send('tools/call', call('SELECT 1'), { token: other })).code, undefined);
    // For all of them it would be half a minute.
    assert.ok(performance.now() - before < 10_000, `${performance.now() - before} ms`);
    for (const { socket } of sockets) socket.destroy();
  });

  test('ten megabytes where a mask applies: refused by a limit, or masked in time, while others go on', async () => {
    await using stack = new AsyncDisposableStack();
    const policed = await open(stack, { limits: { eventBytes: '16MiB' } });
    const row = { id: 4711, email: EMAIL, note: 'the quick brown fox jumps over the lazy dog '.repeat(20) };
    const rows = Array.from({ length: 10_000 }, () => row);
    policed.answer(() => ({ structuredContent: { rows } }));
    const before = performance.now();
    const { body } = await policed.send('tools/call', { name: 'masked' });
    assert.ok(body.length > 9_000_000, String(body.length));
    assert.ok(!body.includes('maya'));
    assert.equal(body.match(/\[email:[0-9a-f]{8}\]/g)?.length, 10_000);
    assert.ok(performance.now() - before < 15_000, `${performance.now() - before} ms`);
  });

  test('of what is larger than an event may be nothing passes', async () => {
    await using stack = new AsyncDisposableStack();
    const policed = await open(stack, { limits: { eventBytes: '1MiB' } });
    policed.answer(() => ({ text: `${EMAIL} `.repeat(100_000) }));
    const reply = await policed.send('tools/call', { name: 'masked' });
    assert.equal(reply.code, 'response_too_large');
    assert.ok(!reply.body.includes('maya'));
  });

  test('thousands of tools in a list', async () => {
    await using stack = new AsyncDisposableStack();
    const policed = await open(stack);
    const tools = Array.from({ length: 20_000 }, (_, index) => ({
      name: `${index % 2 === 0 ? 't' : 'u'}-${index}`,
      description: `Does ${index}. Ask ${EMAIL}.`,
      inputSchema: { type: 'object' },
    }));
    policed.answer(() => ({ tools }));
    const before = performance.now();
    const { said, body } = await policed.send('tools/list');
    assert.equal((said.result as { tools: unknown[] }).tools.length, 10_000);
    assert.ok(!body.includes('maya') && !body.includes('"u-'));
    assert.ok(performance.now() - before < 15_000, `${performance.now() - before} ms`);
  });
});

async function open(stack: AsyncDisposableStack, connection: Record<string, unknown> = {}): Promise<Policed> {
  return stack.adopt(await startPoliced(RULES, { connection: { dialect: 'bigquery', ...connection } }), (one) =>
    one.close(),
  );
}
