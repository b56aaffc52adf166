/** A corpus of bypasses against a real gateway: nothing dangerous reaches the server, each is refused and recorded. */
import assert from 'node:assert/strict';
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { CASES, type Case, NOTHING } from './bypass-corpus.ts';
import { type GatewayUnderTest, startGatewayInFrontOf } from './gateway-under-test.ts';
import { answerOf, ask, type RawUpstream, requestOf, startRawUpstream } from './raw-socket.ts';
import { exchangesOf, systemRefusals } from './recorded.ts';

const RULES = `
rules:
  - name: read-only-sql
    principals: { groups: [analysts] }
    connections: [pg, my, bq, lite, old]
    tools: [query]
    condition: sql.readOnly(args.sql)
    effect: allow
  - name: nested
    principals: { groups: [analysts] }
    connections: [lite]
    tools: [nested]
    condition: sql.readOnly(args.q.sql)
    effect: allow
  - name: some-programs
    principals: { groups: [analysts] }
    connections: [sh]
    tools: [run]
    condition: shell.programs(args.command).all(one, one in ["ls", "cat", "grep"])
    effect: allow
  - name: some-prompts
    principals: { groups: [analysts] }
    connections: ["*"]
    prompts: [greet]
    effect: allow
  - name: notes
    principals: { groups: [analysts] }
    connections: ["*"]
    resources: ["notes://*"]
    effect: allow
  - name: no-private-notes
    principals: any
    connections: ["*"]
    resources: ["notes://private/*"]
    effect: deny
  - name: no-drop
    principals: any
    connections: ["*"]
    tools: ["*drop*"]
    effect: deny
`;
const DIALECTS = { pg: 'postgresql', my: 'mysql', bq: 'bigquery', lite: 'sqlite' };

/** What does damage, however it is written. Knows nothing of the gateway. */
const DANGER = /victims|drop_all|drop%5fall/;

function isDangerous(bytes: Buffer): boolean {
  return [
    bytes.toString('utf8'),
    bytes.toString('utf16le'),
    Buffer.from(bytes)
      .subarray(0, bytes.length & ~1)
      .swap16()
      .toString('utf16le'),
  ]
    .map((text) =>
      text
        .replaceAll(/\\u([0-9a-fA-F]{4})/g, (_, code: string) => String.fromCharCode(Number.parseInt(code, 16)))
        .normalize('NFKC')
        .replaceAll('\u043e', 'o')
        .replaceAll(/[\p{Cf}\0]/gu, '')
        .toLowerCase(),
    )
    .some((text) => DANGER.test(text));
}

describe('bypasses', () => {
  let gateway: GatewayUnderTest;
  let upstream: RawUpstream;
  let folder = '';
  const tokens = new Map<string, string>();
  before(async () => {
    folder = await mkdtemp(join(tmpdir(), 'verbatim-bypass-'));
    const policies = join(folder, 'policies');
    await mkdir(join(policies, 'access'), { recursive: true });
    await writeFile(join(policies, 'access', 'rules.yaml'), RULES);
    upstream = await startRawUpstream((_, socket) => {
      socket.write(
        answerOf('200 OK', { 'content-type': 'application/json' }, '{"jsonrpc":"2.0","id":1,"result":{"ok":true}}'),
      );
    });
    const connections = Object.fromEntries([
      ...Object.entries(DIALECTS).map(([name, dialect]) => [name, { dialect }]),
      ['sh', {}],
      ['old', { dialect: 'sqlite', sse: { path: '/sse', messages: '/messages' } }],
    ]);
    gateway = await startGatewayInFrontOf(upstream.url, { config: { policies }, connections });
    for (const name of Object.keys(connections)) tokens.set(name, await gateway.tokenFor({}, name));
  });
  after(async () => {
    await gateway.close();
    await upstream.close();
    await rm(folder, { recursive: true, force: true });
  });

  function bytesOf({ connection, body, method, query = '', headers = [], type, framing }: Case): Buffer {
    const target = query.startsWith('@') ? `/${connection}/${query.slice(1)}` : `/${connection}/mcp${query}`;
    const head = requestOf({
      target,
      token: tokens.get(connection) ?? '',
      headers: [...headers, 'Connection: close'],
      framing: framing ?? [`Content-Length: ${body.length}`],
      ...(method === undefined ? {} : { method }),
      ...(type === undefined ? {} : { type }),
    });
    return Buffer.concat([Buffer.from(head, 'latin1'), body]);
  }

  test('there are enough, each once, and each would do damage', () => {
    assert.ok(CASES.length >= 250, String(CASES.length));
    const harmless = CASES.filter(({ group, body, query = '', headers = [] }) => {
      return group !== NOTHING && !isDangerous(Buffer.concat([body, Buffer.from(query + headers.join(''))]));
    });
    assert.deepEqual(
      harmless.map(({ name }) => name),
      [],
    );
    assert.equal(new Set(CASES.map(({ group, name }) => `${group}: ${name}`)).size, CASES.length);
  });

  test('what is allowed passes', async () => {
    const call = (name: string, input: object) => ({ method: 'tools/call', params: { name, arguments: input } });
    const good: readonly (readonly [string, object])[] = [
      ...Object.keys(DIALECTS).map(
        (connection) => [connection, call('query', { sql: 'SELECT name FROM customers' })] as const,
      ),
      ['lite', call('nested', { q: { sql: 'SELECT 1' } })],
      ['sh', call('run', { command: 'ls -la | grep x' })],
      ['lite', { method: 'prompts/get', params: { name: 'greet' } }],
      ['lite', { method: 'resources/read', params: { uri: 'notes://public/1%20a?b=c%26#d' } }],
    ];
    for (const [connection, message] of good) {
      const body = JSON.stringify({ jsonrpc: '2.0', id: 1, ...message });
      const { body: said } = await ask(
        gateway.port,
        requestOf({ target: `/${connection}/mcp`, token: tokens.get(connection) ?? '', body }),
      );
      assert.ok(said.includes('"ok":true'), `${connection}: ${said}`);
    }
    assert.equal(upstream.requests().length, good.length);
  });

  for (const group of new Set(CASES.map((one) => one.group))) {
    test(group, async () => {
      const wrong: string[] = [];
      for (const one of CASES.filter((each) => each.group === group)) {
        const before = upstream.requests().length;
        const answer = await ask(gateway.port, bytesOf(one)).catch((error: unknown) => ({
          body: String(error),
          status: 0,
        }));
        const code = /"code":"([a-z_]+)"/.exec(answer.body)?.[1] ?? String(answer.status);
        const reached = upstream.requests().slice(before);
        if (reached.length > 0)
          wrong.push(
            `REACHED: ${one.name}${reached.some((each) => isDangerous(Buffer.from(each, 'latin1'))) ? ' (dangerous)' : ''}`,
          );
        else if (code !== one.code) wrong.push(`${one.name}: ${code}, not ${one.code}`);
      }
      assert.deepEqual(wrong, []);
    });
  }

  test('each is in a recording with its code', async () => {
    const refused = (await exchangesOf(gateway)).flatMap(({ request }) => request?.refused ?? []);
    const expected = CASES.filter(({ isUnread }) => isUnread !== true).map(({ code }) => code);
    assert.deepEqual(countOf(refused), countOf(expected));
    const events = await systemRefusals(gateway);
    for (const { code, isUnread } of CASES)
      if (isUnread === true && code !== '400') assert.ok(events.includes(code), code);
  });
});

function countOf(codes: readonly string[]): Record<string, number> {
  const counts: Record<string, number> = {};
  for (const code of codes.toSorted()) counts[code] = (counts[code] ?? 0) + 1;
  return counts;
}
