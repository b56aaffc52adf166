import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import {
  allowsBatch,
  checkHeaders,
  checkParams,
  claimsVersion,
  decodeHeaderValue,
  type Era,
  eraOf,
  MODERN,
  VERSION_KEY,
} from './eras.ts';
import type { ClientMessage } from './message.ts';
import { nameOf } from './methods.ts';

function message(
  method: string,
  params?: Record<string, unknown>,
  kind: ClientMessage['kind'] = 'request',
): ClientMessage {
  const name = nameOf(method, params);
  return {
    kind,
    ...(kind === 'request' ? { id: 0 } : {}),
    method,
    ...(name ? { name } : {}),
    ...(params ? { params } : {}),
  };
}
const claiming = (version: unknown, rest: Record<string, unknown> = {}) => ({
  ...rest,
  _meta: { [VERSION_KEY]: version },
});
const call = message('tools/call', claiming(MODERN, { name: 'query' }));

describe('eraOf', () => {
  const table: readonly (readonly [string | undefined, Record<string, unknown> | undefined, Era])[] = [
    [undefined, undefined, 'legacy'],
    ['2024-11-05', undefined, 'legacy'],
    ['2025-03-26', {}, 'legacy'],
    ['2025-11-25', { _meta: {} }, 'legacy'],
    ['2026-07-27', {}, 'legacy'],
    [MODERN, {}, 'modern'],
    [' 2026-07-28\t', {}, 'modern'],
    ['2027-01-01', {}, 'modern'],
    ['v999.0.0', {}, 'modern'],
    ['DRAFT-2026-v1', {}, 'modern'],
    [undefined, claiming(MODERN), 'modern'],
    ['2025-11-25', claiming(MODERN), 'modern'],
    [MODERN, claiming('2025-11-25'), 'legacy'],
    [undefined, claiming('2025-11-25'), 'legacy'],
    [undefined, claiming(20260728), 'modern'],
    [undefined, { _meta: MODERN }, 'legacy'],
    [undefined, JSON.parse(`{"__proto__":{"_meta":{"${VERSION_KEY}":"${MODERN}"}}}`), 'legacy'],
  ];
  for (const [header, params, era] of table) {
    test(`${header} ${JSON.stringify(params)}: ${era}`, () => assert.equal(eraOf(header, [message('x', params)]), era));
  }
  test('one modern element makes the body modern', () => {
    assert.equal(eraOf(undefined, [message('x'), message('y', claiming('2025-03-26')), call]), 'modern');
  });
  test('a request without messages (GET, DELETE) goes by its header', () => {
    assert.equal(eraOf(undefined, []), 'legacy');
    assert.equal(eraOf(MODERN, []), 'modern');
  });
});

test('batches: absent header or 2025-03-26 only', () => {
  assert.deepEqual(
    [undefined, '2025-03-26', ' 2025-03-26 ', '2024-11-05', '2025-06-18', MODERN, '', '2025-03-26, 2025-03-26'].map(
      allowsBatch,
    ),
    [true, true, true, false, false, false, false, false],
  );
});

test('claimsVersion looks at the key, not at its value', () => {
  assert.ok(claimsVersion(claiming(null)));
  assert.ok(!claimsVersion({ _meta: {} }));
  assert.ok(!claimsVersion({ [VERSION_KEY]: MODERN }));
});

describe('checkHeaders', () => {
  type Row = readonly [string, Parameters<typeof checkHeaders>[0], ClientMessage, string | undefined];
  const modern = { protocolVersion: MODERN, mcpMethod: 'tools/call', mcpName: 'query' };
  const read = message('resources/read', claiming(MODERN, { uri: 'file:///ä' }));
  const task = message('tasks/get', claiming(MODERN, { taskId: 't' }));
  const list = message('tools/list', claiming(MODERN));
  const legacyCall = message('tools/call', { name: 'query' });
  const table: readonly Row[] = [
    ['all there', modern, call, undefined],
    [
      'white space around values',
      { protocolVersion: ` ${MODERN}`, mcpMethod: 'tools/call\t', mcpName: '  query  ' },
      call,
      undefined,
    ],
    ['no version', { mcpMethod: 'tools/call', mcpName: 'query' }, call, 'header_mismatch'],
    ['legacy version over a modern body', { ...modern, protocolVersion: '2025-11-25' }, call, 'header_mismatch'],
    [
      'modern version over a legacy claim',
      modern,
      message('tools/call', claiming('2025-11-25', { name: 'query' })),
      'header_mismatch',
    ],
    ['claim that is no string', modern, message('tools/call', claiming(1, { name: 'query' })), 'header_mismatch'],
    ['v999.0.0 over 2026-07-28', { ...modern, protocolVersion: 'v999.0.0' }, call, 'header_mismatch'],
    ['body without metadata: the server says -32602', modern, legacyCall, undefined],
    [
      'unknown version in both: the server says -32022',
      { ...modern, protocolVersion: 'v999.0.0' },
      message('tools/call', claiming('v999.0.0', { name: 'query' })),
      undefined,
    ],
    ['no method', { protocolVersion: MODERN, mcpName: 'query' }, call, 'header_mismatch'],
    ['other method', { ...modern, mcpMethod: 'tools/list' }, call, 'header_mismatch'],
    ['method in capitals', { ...modern, mcpMethod: 'TOOLS/CALL' }, call, 'header_mismatch'],
    ['encoded method', { ...modern, mcpMethod: '=?base64?dG9vbHMvY2FsbA==?=' }, call, 'header_mismatch'],
    ['empty method', { ...modern, mcpMethod: '' }, call, 'header_mismatch'],
    ['no name', { protocolVersion: MODERN, mcpMethod: 'tools/call' }, call, 'header_mismatch'],
    ['other name', { ...modern, mcpName: 'refund' }, call, 'header_mismatch'],
    ['two names', { ...modern, mcpName: 'query, refund' }, call, 'header_mismatch'],
    ['encoded name', { ...modern, mcpName: '=?base64?cXVlcnk=?=' }, call, undefined],
    ['wrongly encoded name', { ...modern, mcpName: '=?base64?cXVlcnk?=' }, call, 'header_mismatch'],
    [
      'encoded uri',
      { ...modern, mcpMethod: 'resources/read', mcpName: '=?base64?ZmlsZTovLy/DpA==?=' },
      read,
      undefined,
    ],
    ['raw uri', { ...modern, mcpMethod: 'resources/read', mcpName: 'file:///ä' }, read, 'header_mismatch'],
    ['no uri', { protocolVersion: MODERN, mcpMethod: 'resources/read' }, read, 'header_mismatch'],
    ['task', { ...modern, mcpMethod: 'tasks/get', mcpName: 't' }, task, undefined],
    ['no task', { protocolVersion: MODERN, mcpMethod: 'tasks/get' }, task, 'header_mismatch'],
    ['nothing to name', { protocolVersion: MODERN, mcpMethod: 'tools/list' }, list, undefined],
    ['a name where the body has none', { ...modern, mcpMethod: 'tools/list' }, list, 'header_mismatch'],
    [
      'body without its name: the server says -32602',
      { protocolVersion: MODERN, mcpMethod: 'tools/call' },
      message('tools/call', claiming(MODERN)),
      undefined,
    ],
    [
      'modern notification needs no method',
      { protocolVersion: MODERN },
      message('notifications/x', claiming(MODERN), 'notification'),
      undefined,
    ],
    [
      'but what it has must agree',
      { protocolVersion: MODERN, mcpMethod: 'ping' },
      message('notifications/x', claiming(MODERN), 'notification'),
      'header_mismatch',
    ],
    ['legacy without headers', {}, legacyCall, undefined],
    ['legacy with its version', { protocolVersion: '2025-06-18' }, legacyCall, undefined],
    ['legacy with true headers', { mcpMethod: 'tools/call', mcpName: 'query' }, legacyCall, undefined],
    ['legacy with another method', { mcpMethod: 'ping' }, legacyCall, 'header_mismatch'],
    ['legacy with another name', { mcpName: 'refund' }, legacyCall, 'header_mismatch'],
    ['legacy response with a method', { mcpMethod: 'ping' }, { kind: 'response', id: 1 }, 'header_mismatch'],
    ['unknown old version', { protocolVersion: '2025-01-01' }, legacyCall, undefined],
    ['two versions', { protocolVersion: '2025-06-18, 2025-06-18' }, legacyCall, 'unsupported_version'],
    ['empty version', { protocolVersion: '' }, legacyCall, 'unsupported_version'],
    ['long version', { protocolVersion: '2'.repeat(65) }, legacyCall, 'unsupported_version'],
    ['version with bytes that no header has', { protocolVersion: '2025-06-18\u0000' }, legacyCall, 'header_mismatch'],
    ['version in full-width digits', { protocolVersion: '２０２５' }, legacyCall, 'header_mismatch'],
  ];
  for (const [name, headers, body, code] of table) {
    test(name, () => assert.equal(checkHeaders(headers, [body], eraOf(headers.protocolVersion, [body]))?.code, code));
  }
  test('every element of a batch must agree', () => {
    const pings = [message('ping'), message('ping')];
    assert.equal(checkHeaders({ mcpMethod: 'ping' }, pings, 'legacy'), undefined);
    assert.equal(
      checkHeaders({ mcpMethod: 'ping' }, [...pings, message('tools/list')], 'legacy')?.code,
      'header_mismatch',
    );
  });
  test('words repeat neither header nor body', () => {
    const words = checkHeaders({ ...modern, mcpName: 'hunter2' }, [call], 'modern')?.words ?? '';
    assert.doesNotMatch(words, /hunter2|query/);
  });
});

describe('decodeHeaderValue', () => {
  const table: readonly (readonly [string, string | undefined])[] = [
    ['us-west1', 'us-west1'],
    ['=?base64?SGVsbG8sIOS4lueVjA==?=', 'Hello, 世界'],
    ['=?base64?IHBhZGRlZCA=?=', ' padded '],
    ['=?base64?bGluZTEKbGluZTI=?=', 'line1\nline2'],
    ['=?base64?PT9iYXNlNjQ/bGl0ZXJhbD89?=', '=?base64?literal?='],
    ['=?base64??=', ''],
    ['=?BASE64?cQ==?=', '=?BASE64?cQ==?='],
    ['=?base64?cQ==', '=?base64?cQ=='],
    ['=?base64?=', undefined],
    ['=?base64?cQ?=', undefined],
    ['=?base64?cR==?=', undefined],
    ['=?base64?c Q==?=', undefined],
    ['=?base64?c-_=?=', undefined],
    ['=?base64?/w==?=', undefined],
    ['name\u0000', undefined],
    ['é', undefined],
  ];
  for (const [value, decoded] of table) {
    test(JSON.stringify(value), () => assert.equal(decodeHeaderValue(value), decoded));
  }
  test('every name can be carried, and only one encoding of it is read', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'binary' }), (name) => {
        const encoded = `=?base64?${Buffer.from(name, 'utf8').toString('base64')}?=`;
        assert.equal(decodeHeaderValue(encoded), name);
      }),
      { numRuns: 300 },
    );
  });
});

test('headers of arguments say what some argument says', () => {
  const call = {
    params: { name: 'x', arguments: { region: 'eu', n: 7, deep: [{ on: true, text: 'ü' }], none: null } },
  };
  const base64 = `=?base64?${Buffer.from('ü').toString('base64')}?=`;
  for (const value of ['eu', ' eu ', '7', '7.0', 'true', base64]) assert.equal(checkParams([value], [call]), undefined);
  for (const value of ['us', '8', 'x', 'region', 'false', 'null', '', '=?base64?!?=']) {
    assert.equal(checkParams([value], [call])?.code, 'header_mismatch', value);
  }
  assert.equal(checkParams(['eu'], [{}])?.code, 'header_mismatch');
  assert.equal(checkParams([], [{}]), undefined);
});
