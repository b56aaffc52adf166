/** JSON-RPC as a client or a server might say it, and what is nearly JSON-RPC. */
import fc from 'fast-check';
import { createWhim, nearlyJson, spoilt, values, whims, written } from '../../fuzz/generate.ts';

/** The tool that no rule lets pass. */
export const FORBIDDEN = 'forbidden';
const METHODS = [
  ...['tools/call', 'tools/call', 'tools/call', 'tools/list', 'initialize', 'notifications/initialized', 'ping'],
  ...['resources/read', 'prompts/get', 'completion/complete', 'logging/setLevel', 'server/discover', 'tasks/get'],
  ...[
    'subscriptions/listen',
    'notifications/cancelled',
    'sampling/createMessage',
    'x/y',
    '',
    'TOOLS/CALL',
    'tools/call ',
  ],
];
const VERSIONS = ['2026-07-28', '2025-11-25', '2025-06-18', '2025-03-26', '2024-11-05', '', '1'];

const ids = fc.oneof(fc.nat(1000), fc.string({ maxLength: 4 }), fc.constantFrom(null, 1.5, -0, 2 ** 53, true, 1e300));
const toolNames = fc.oneof(
  { weight: 4, arbitrary: fc.constantFrom('json', 'json', FORBIDDEN, 'Forbidden', `${FORBIDDEN} `, '') },
  { weight: 1, arbitrary: values },
);
const params = fc.oneof(
  { weight: 4, arbitrary: fc.record({ name: toolNames, arguments: values }, { requiredKeys: ['name'] }) },
  {
    weight: 2,
    arbitrary: fc.tuple(toolNames, values, fc.constantFrom(...VERSIONS)).map(([name, input, version]) => ({
      name,
      arguments: input,
      _meta: {
        'io.modelcontextprotocol/protocolVersion': version,
        'io.modelcontextprotocol/clientCapabilities': {},
      },
    })),
  },
  { weight: 1, arbitrary: values },
);

/** The members in any order, some of them missing, some besides. */
const shuffled = (members: fc.Arbitrary<[string, unknown][]>): fc.Arbitrary<unknown> =>
  fc
    .tuple(members, fc.nat(), fc.nat(9), fc.constantFrom('METHOD', 'params ', 'result', 'error', 'x', '__proto__'))
    .map(([all, turn, whim, name]) => {
      const at = turn % all.length;
      const turned = [...all.slice(at), ...all.slice(0, at)];
      if (whim === 0) turned.pop();
      if (whim === 1) turned.push([name, 'tools/call']);
      return Object.fromEntries(turned);
    });

export const requests: fc.Arbitrary<unknown> = shuffled(
  fc
    .tuple(fc.constantFrom('2.0', '2.0', '2.0', '2.0', '1.0', 2), ids, fc.constantFrom(...METHODS), params)
    .map(([version, id, method, given]) => [
      ['jsonrpc', version],
      ['id', id],
      ['method', method],
      ['params', given],
    ]),
);

const texts = fc.tuple(requests, whims).map(([message, numbers]) => written(message, createWhim(numbers)));
const batches = fc.array(texts, { maxLength: 4 }).map((all) => `[${all.join(',')}]`);
/** A key twice: what one reader takes, another does not. */
const doubled = fc
  .tuple(fc.constantFrom('method', 'name', 'params', 'id', 'jsonrpc'), fc.boolean())
  .map(([key, last]) => {
    const other = key === 'name' || key === 'method' ? '"ping"' : '{}';
    const call = `{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"${FORBIDDEN}"}}`;
    const written = key === 'name' ? 'na\\u006de' : key;
    return last
      ? call.replace(/}(}?)$/, (_, outer: string) => `,"${written}":${other}}${outer}`)
      : call.replace(`"${key}"`, `"${written}":${other},"${key}"`);
  });

export const bodies: fc.Arbitrary<Buffer> = fc.oneof(
  { weight: 8, arbitrary: texts.map((text) => Buffer.from(text)) },
  { weight: 3, arbitrary: spoilt(texts).map((text) => Buffer.from(text)) },
  { weight: 2, arbitrary: nearlyJson.map((text) => Buffer.from(text)) },
  { weight: 2, arbitrary: batches.map((text) => Buffer.from(text)) },
  { weight: 1, arbitrary: doubled.map((text) => Buffer.from(text)) },
  { weight: 1, arbitrary: fc.uint8Array({ maxLength: 60 }).map((bytes) => Buffer.from(bytes)) },
  { weight: 1, arbitrary: texts.map((text) => Buffer.from(text, 'utf16le')) },
  { weight: 1, arbitrary: fc.constant(Buffer.alloc(0)) },
);
