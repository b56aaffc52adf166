import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { answers, detection, requests, shown, tagger } from './fixture.ts';
import { type MaskOptions, maskJson } from './mask-json.ts';
import { MaskError } from './masked.ts';

function mask(text: string, options: Partial<MaskOptions> = {}): string {
  const bytes = Buffer.from(text);
  return shown(bytes, maskJson(bytes, { ...answers, ...options }));
}

const refuses = (bytes: string | Buffer, options: Partial<MaskOptions> = {}) =>
  assert.throws(() => maskJson(Buffer.from(bytes), { ...answers, ...options }), MaskError);

describe('what is looked into, in answers', () => {
  const table: readonly (readonly [string, string])[] = [
    [
      '{"result":{"content":[{"type":"text","text":"to a@b"}]}}',
      '{"result":{"content":[{"type":"text","text":"to [email]"}]}}',
    ],
    [
      '{"result":{"structuredContent":{"id":"a@b","type":["a@b"]}}}',
      '{"result":{"structuredContent":{"id":"[email]","type":["[email]"]}}}',
    ],
    [
      '{"result":{"structuredContent":{"a@b":{"taskId":"a@b"}}}}',
      '{"result":{"structuredContent":{"[email]":{"taskId":"[email]"}}}}',
    ],
    [
      '{"result":{"contents":[{"uri":"x:a@b","mimeType":"t/a@b","text":"a@b"}]}}',
      '{"result":{"contents":[{"uri":"x:[email]","mimeType":"t/a@b","text":"[email]"}]}}',
    ],
    [
      '{"error":{"code":1,"message":"no a@b","data":{"who":"a@b"}}}',
      '{"error":{"code":1,"message":"no [email]","data":{"who":"[email]"}}}',
    ],
    ['{"error":"a@b"}', '{"error":"[email]"}'],
    [
      '{"method":"notifications/progress","params":{"progressToken":"a@b","message":"a@b"}}',
      '{"method":"notifications/progress","params":{"progressToken":"a@b","message":"[email]"}}',
    ],
    [
      '{"method":"notifications/message","params":{"level":"info","data":["a@b"]}}',
      '{"method":"notifications/message","params":{"level":"info","data":["[email]"]}}',
    ],
    ['{"params":{"name":"a@b","uri":"a@b"}}', '{"params":{"name":"[email]","uri":"[email]"}}'],
    [
      '{"params":{"messages":[{"role":"user","content":{"type":"text","text":"a@b"}}],"systemPrompt":"a@b"}}',
      '{"params":{"messages":[{"role":"user","content":{"type":"text","text":"[email]"}}],"systemPrompt":"[email]"}}',
    ],
    [
      '{"params":{"elicitationId":"a@b","message":"a@b","requestedSchema":{"title":"a@b"}}}',
      '{"params":{"elicitationId":"a@b","message":"[email]","requestedSchema":{"title":"[email]"}}}',
    ],
    [
      '{"result":{"_meta":{"progressToken":"a@b","x":"a@b","io.modelcontextprotocol/related-task":{"taskId":"a@b"},"io.modelcontextprotocol/x":"a@b"}}}',
      '{"result":{"_meta":{"progressToken":"a@b","x":"[email]","io.modelcontextprotocol/related-task":{"taskId":"a@b"},"io.modelcontextprotocol/x":"[email]"}}}',
    ],
    [
      '{"result":{"requestState":"a@b","inputRequests":{"one":{"method":"a@b","params":{"elicitationId":"a@b","message":"a@b"}}}}}',
      '{"result":{"requestState":"a@b","inputRequests":{"one":{"method":"a@b","params":{"elicitationId":"a@b","message":"[email]"}}}}}',
    ],
    [
      '{"result":{"task":{"taskId":"a@b","statusMessage":"a@b"},"tasks":[{"taskId":"a@b","error":{"message":"a@b"}}]}}',
      '{"result":{"task":{"taskId":"a@b","statusMessage":"[email]"},"tasks":[{"taskId":"a@b","error":{"message":"[email]"}}]}}',
    ],
    [
      '{"error":{"data":{"elicitations":[{"elicitationId":"a@b","message":"a@b"}]}}}',
      '{"error":{"data":{"elicitations":[{"elicitationId":"a@b","message":"[email]"}]}}}',
    ],
    [
      '{"result":{"content":[{"type":"resource","resource":{"uri":"a@b","text":"a@b","_meta":{"a@b":1}}}]}}',
      '{"result":{"content":[{"type":"resource","resource":{"uri":"[email]","text":"[email]","_meta":{"[email]":1}}}]}}',
    ],
    [
      '{"jsonrpc":"a@b","id":"a@b","method":"a@b","other":"a@b","result":{"resultType":"a@b","nextCursor":"a@b","protocolVersion":"a@b"}}',
      '{"jsonrpc":"a@b","id":"a@b","method":"a@b","other":"[email]","result":{"resultType":"a@b","nextCursor":"a@b","protocolVersion":"a@b"}}',
    ],
    [
      '[{"id":"a@b","result":"a@b"},{"id":"a@b","error":{"message":"a@b"}}]',
      '[{"id":"a@b","result":"[email]"},{"id":"a@b","error":{"message":"[email]"}}]',
    ],
    ['"a@b"', '"[email]"'],
    // What is not what the specification puts there is content.
    [
      '{"id":["a@b"],"result":{"requestState":{"x":"a@b"},"nextCursor":["a@b"]}}',
      '{"id":["[email]"],"result":{"requestState":{"x":"[email]"},"nextCursor":["[email]"]}}',
    ],
    ['[["a@b",{"id":"a@b"}]]', '[["[email]",{"id":"a@b"}]]'],
  ];
  for (const [before, after] of table) test(before.slice(0, 100), () => assert.equal(mask(before), after));
});

describe('what is looked into, in what clients send', () => {
  const table: readonly (readonly [string, string])[] = [
    [
      '{"method":"tools/call","params":{"name":"a@b","arguments":{"name":"a@b","id":"a@b","a@b":1},"_meta":{"x":"a@b"}}}',
      '{"method":"tools/call","params":{"name":"a@b","arguments":{"name":"[email]","id":"[email]","[email]":1},"_meta":{"x":"[email]"}}}',
    ],
    [
      '{"params":{"uri":"a@b","cursor":"a@b","taskId":"a@b","requestState":"a@b","requestId":"a@b","reason":"a@b"}}',
      '{"params":{"uri":"a@b","cursor":"a@b","taskId":"a@b","requestState":"a@b","requestId":"a@b","reason":"[email]"}}',
    ],
    [
      '{"params":{"ref":{"type":"ref/resource","uri":"a@b"},"argument":{"name":"x","value":"a@b"}}}',
      '{"params":{"ref":{"type":"ref/resource","uri":"a@b"},"argument":{"name":"x","value":"[email]"}}}',
    ],
    [
      '{"params":{"notifications":{"taskIds":["a@b",["a@b"]],"resourceSubscriptions":["a@b"]}}}',
      '{"params":{"notifications":{"taskIds":["a@b",["[email]"]],"resourceSubscriptions":["a@b"]}}}',
    ],
    [
      '{"params":{"inputResponses":{"one":{"action":"accept","content":{"mail":"a@b"}}}}}',
      '{"params":{"inputResponses":{"one":{"action":"accept","content":{"mail":"[email]"}}}}}',
    ],
    [
      '{"id":1,"result":{"action":"accept","content":{"mail":"a@b"}}}',
      '{"id":1,"result":{"action":"accept","content":{"mail":"[email]"}}}',
    ],
    [
      '{"id":1,"result":{"role":"assistant","content":{"type":"text","text":"a@b"}}}',
      '{"id":1,"result":{"role":"assistant","content":{"type":"text","text":"[email]"}}}',
    ],
    ['{"id":1,"error":{"code":1,"message":"a@b"}}', '{"id":1,"error":{"code":1,"message":"[email]"}}'],
    [
      '{"params":{"protocolVersion":"a@b","clientInfo":{"name":"a@b"},"name":["a@b"]}}',
      '{"params":{"protocolVersion":"a@b","clientInfo":{"name":"[email]"},"name":["[email]"]}}',
    ],
  ];
  for (const [before, after] of table) {
    test(before.slice(0, 100), () => assert.equal(mask(before, requests), after));
  }
});

describe('a value is found however it is written', () => {
  const table: readonly (readonly [string, string])[] = [
    ['{"result":"a\\u0040b \\ud83d\\ude00"}', '{"result":"[email] \\ud83d\\ude00"}'],
    ['{"result":"\\u0061\\u0040\\u0062"}', '{"result":"[email]"}'],
    ['{"result":"é😀 é😀@x \\n\\"\\/ 😀a@b"}', '{"result":"é😀 [email] \\n\\"\\/ [email]"}'],
    ['{"result":"<note>\\/\\"\\\\\\t😀\\ud83d\\ude00 a@b<\\/note>"}', '{"result":"[note]"}'],
    ['{"result":{"a\\u0040b":1}}', '{"result":{"[email]":1}}'],
    ['{"\\u0069d":"a@b","\\u0072esult":"a@b"}', '{"\\u0069d":"a@b","\\u0072esult":"[email]"}'],
    // Loose JSON, where readers differ in what they take.
    ['{"result":"a@b","result":"c@d"}', '{"result":"[email]","result":"[email]"}'],
    ['{"result":"\\ud800 a@b \\udc00"}', '{"result":"\\ud800 [email] \\udc00"}'],
    ['\ufeff{"result":["a@b",9007199254740993,1e999]}', '\ufeff{"result":["[email]",9007199254740993,1e999]}'],
    [' { "result" :\n[ "a@b" , "c" ] }\t', ' { "result" :\n[ "[email]" , "c" ] }\t'],
  ];
  for (const [before, after] of table) test(before, () => assert.equal(mask(before), after));
});

describe('JSON in a text', () => {
  const wrapped = (inner: string) => JSON.stringify({ result: { content: [{ type: 'text', text: inner }] } });
  const inner = (text: string): string => JSON.parse(mask(wrapped(text))).result.content[0].text;
  test('its own escapes are read, and the result is JSON still', () => {
    assert.equal(inner('{"mail":"a\\u0040b","n":[1,"\\"c@d\\""]}'), '{"mail":"[email]","n":[1,"\\"[email]\\""]}');
    assert.equal(inner(' [{"a@b":"é😀 a@b"}]\n'), ' [{"[email]":"é😀 [email]"}]\n');
  });
  test('and JSON in that, four levels deep; below it is text', () => {
    let text = '{"m":"a\\u0040b"}';
    for (let level = 1; level <= 4; level++) {
      let read = inner(text);
      for (let i = 1; i < level; i++) read = JSON.parse(read).m;
      assert.deepEqual(JSON.parse(read), { m: '[email]' });
      text = JSON.stringify({ m: text });
    }
    assert.equal(inner(text), text);
  });
  test('a number gives way to a string as a whole', () => {
    assert.equal(inner('{"ssn":123456789,"n":123456789}'), '{"ssn":"[ssn]","n":123456789}');
  });
  test('what only looks like JSON is text', () => {
    assert.equal(inner('{"a@b":1,}'), '{"[email]":1,}');
    assert.equal(inner('[a@b] and'), '[[email]] and');
  });
  test('a lone surrogate inside is no obstacle', () => {
    assert.equal(inner('["\ud800 a\\u0040b","\\ud800 c@d"]'), '["\ud800 [email]","\\ud800 [email]"]');
  });
});

test('a short value is read with its key, since only there it says what it is', () => {
  assert.equal(
    mask('{"result":{"structuredContent":{"ssn":"123456789","id":"123456789","list":{"ssn":["123456789"]}}}}'),
    '{"result":{"structuredContent":{"ssn":"[ssn]","id":"123456789","list":{"ssn":["[ssn]"]}}}}',
  );
  // After the inner object ends, the outer key is the nearest again.
  assert.equal(mask('{"result":{"ssn":[{"x":1},"123456789"]}}'), '{"result":{"ssn":[{"x":1},"[ssn]"]}}');
  assert.equal(
    mask('{"result":"{\\"ssn\\":[{\\"x\\":1},\\"123456789\\"]}"}'),
    '{"result":"{\\"ssn\\":[{\\"x\\":1},\\"[ssn]\\"]}"}',
  );
});

describe('binary content', () => {
  const image = (extra: string) => `{"result":{"content":[{"type":"image",${extra}}]}}`;
  const PNG = Buffer.from('[masked image/png]').toString('base64');
  const UNKNOWN = Buffer.from('[masked binary]').toString('base64');
  const base64 = 'QUJD';
  const masks = { replaceBlobs: ['image/*'] };
  const cases: readonly (readonly [string, string, string, Partial<MaskOptions>])[] = [
    [
      'passes',
      image(`"data":"${base64}","mimeType":"image/png"`),
      image(`"data":"${base64}","mimeType":"image/png"`),
      {},
    ],
    [
      'is replaced, type before',
      image(`"mimeType":"image/png","data":"${base64}"`),
      image(`"mimeType":"image/png","data":"${PNG}"`),
      masks,
    ],
    [
      'is replaced, type behind',
      image(`"data":"${base64}","mimeType":"image/png"`),
      image(`"data":"${PNG}","mimeType":"image/png"`),
      masks,
    ],
    [
      'is replaced whatever the case and parameters',
      image(`"data":"${base64}","mimeType":"IMAGE/png; q=1"`),
      image(`"data":"${PNG}","mimeType":"IMAGE/png; q=1"`),
      masks,
    ],
    [
      'is not replaced where its type is not on the list',
      image(`"data":"${base64}","mimeType":"image/png"`),
      image(`"data":"${base64}","mimeType":"image/png"`),
      { replaceBlobs: ['audio/*', 'image/jpeg'] },
    ],
    [
      'is replaced without a type',
      image(`"data":"${base64}"`),
      image(`"data":"${UNKNOWN}"`),
      { replaceBlobs: ['audio/x'] },
    ],
    [
      'is replaced with a type that is none',
      image(`"data":"${base64}","mimeType":"a@b"`),
      image(`"data":"${UNKNOWN}","mimeType":"a@b"`),
      { replaceBlobs: ['audio/x'] },
    ],
    [
      'is replaced if one of two types says so',
      image(`"mimeType":"image/png","data":"${base64}","mimeType":"audio/x"`),
      image(`"mimeType":"image/png","data":"${PNG}","mimeType":"audio/x"`),
      masks,
    ],
    [
      'is replaced if the other of two types says so',
      image(`"mimeType":"audio/x","data":"${base64}","mimeType":"image/png"`),
      image(`"mimeType":"audio/x","data":"${PNG}","mimeType":"image/png"`),
      masks,
    ],
    [
      'is replaced in all places',
      image(`"mimeType":"image/png","data":"${base64}","d\\u0061ta":"x"`),
      image(`"mimeType":"image/png","data":"${PNG}","d\\u0061ta":"${PNG}"`),
      masks,
    ],
    ['is not searched', image('"data":"ssn: 123456789"').replace('ssn: ', 'QUJD'), image('"data":"QUJD123456789"'), {}],
    ['that is not base64 is searched', image('"data":"a@b"'), image('"data":"[email]"'), {}],
    [
      'that is not base64 is replaced all the same',
      image('"mimeType":"image/png","data":"a@b"'),
      image(`"mimeType":"image/png","data":"${PNG}"`),
      masks,
    ],
    [
      'of a resource',
      `{"result":{"contents":[{"uri":"x","blob":"${base64}","mimeType":"image/png"}]}}`,
      `{"result":{"contents":[{"uri":"x","blob":"${PNG}","mimeType":"image/png"}]}}`,
      masks,
    ],
    [
      'of an embedded resource',
      `{"result":{"content":[{"type":"resource","resource":{"blob":"${base64}","mimeType":"image/png"}}]}}`,
      `{"result":{"content":[{"type":"resource","resource":{"blob":"${PNG}","mimeType":"image/png"}}]}}`,
      masks,
    ],
    [
      'of a prompt',
      `{"result":{"messages":[{"content":{"type":"audio","data":"${base64}","mimeType":"image/png"}}]}}`,
      `{"result":{"messages":[{"content":{"type":"audio","data":"${PNG}","mimeType":"image/png"}}]}}`,
      masks,
    ],
    [
      'data of a text block is text',
      '{"result":{"content":[{"type":"text","data":"a@b","mimeType":"image/png"}]}}',
      '{"result":{"content":[{"type":"text","data":"[email]","mimeType":"image/png"}]}}',
      masks,
    ],
    [
      'data of a tool is text',
      '{"result":{"structuredContent":{"type":"image","data":"a@b","blob":"a@b","mimeType":"a@b"}}}',
      '{"result":{"structuredContent":{"type":"image","data":"[email]","blob":"[email]","mimeType":"[email]"}}}',
      {},
    ],
  ];
  for (const [name, before, after, options] of cases) {
    test(name, () => assert.equal(mask(before, options), after));
  }
  test('with two types of block the data is searched', () => {
    const loose: Partial<MaskOptions> = {
      detection: { find: (text) => (text === 'QUJD' ? [{ start: 0, end: 4, detector: 'email' }] : []) },
    };
    assert.equal(mask(image('"data":"QUJD"'), loose), image('"data":"QUJD"'));
    assert.equal(mask(image('"data":"QUJD","type":"text"'), loose), image('"data":"[email]","type":"text"'));
  });
  test('its span has the whole content, and the witness of it', () => {
    const before = Buffer.from(image(`"data":"${base64}","mimeType":"image/png"`));
    const { bytes, spans } = maskJson(before, { ...answers, ...masks });
    const [span] = spans;
    assert.ok(span !== undefined && spans.length === 1);
    assert.equal(bytes.toString('utf8', span.at, span.at + span.length), PNG);
    assert.deepEqual([span.detector, span.hmac], ['blob', tagger.tag('blob', base64).hmac]);
  });
});

describe('what may not pass', () => {
  test('what is not JSON, or not UTF-8', () => {
    for (const text of ['', '{', '{"result":"a@b",}', 'a@b', '{"result":1}{"result":1}']) refuses(text);
    refuses(Buffer.from([0x22, 0xff, 0x22]));
    refuses(Buffer.from([0x22, 0xed, 0xa0, 0x80, 0x22]));
  });
  test('what the hook refuses, in strings, keys and JSON inside, with its key', () => {
    const seen: string[] = [];
    const refuse = (text: string, key: string | undefined) => {
      seen.push(`${key}=${text}`);
      return key === 'cvv' && text === '123' ? 'It holds a card code.' : undefined;
    };
    mask('{"id":"i","result":{"a":["b"],"c":"[\\"d\\"]"}}', { refuse });
    assert.deepEqual(seen, ['id=i', 'undefined=a', 'a=b', 'undefined=c', 'c=["d"]', 'c=d']);
    refuses('{"result":{"cvv":"123"}}', { refuse });
    refuses('{"result":{"x":"{\\"cvv\\":\\"123\\"}"}}', { refuse });
    assert.throws(() => maskJson(Buffer.from('{"result":{"cvv":"123"}}'), { ...answers, refuse }), {
      message: 'It holds a card code.',
    });
  });
  test('numbers that are refused, save those of the protocol', () => {
    const refuseNumbers = (text: string) => (text === '4111111111111111' ? 'A card.' : undefined);
    refuses('{"result":{"structuredContent":[4111111111111111]}}', { refuseNumbers });
    refuses('{"params":{"arguments":{"n":4111111111111111}}}', { ...requests, refuseNumbers });
    refuses('{"result":{"content":[{"type":"text","text":"[4111111111111111]"}]}}', { refuseNumbers });
    const passing = '{"id":4111111111111111,"result":{"n":411111111111111}}';
    assert.equal(mask(passing, { refuseNumbers }), passing);
  });
  test('what a detector finds outside the text', () => {
    refuses('{"result":"abc"}', { detection: { find: () => [{ start: 2, end: 9, detector: 'x' }] } });
  });
});

test('findings that overlap are one, and none cuts a character in half', () => {
  const find = (found: readonly [number, number][]) => ({
    detection: {
      find: (text: string) => (text.length === 7 ? found.map(([start, end]) => ({ start, end, detector: 'x' })) : []),
    },
  });
  const text = '{"result":"ab😀cde"}';
  assert.equal(
    mask(
      text,
      find([
        [3, 5],
        [1, 3],
      ]),
    ),
    '{"result":"a[x]de"}',
  );
  assert.equal(
    mask(
      text,
      find([
        [4, 6],
        [0, 5],
      ]),
    ),
    '{"result":"[x]e"}',
  );
  assert.equal(mask('{"result":"ab\\ud83d\\ude00cde"}', find([[3, 5]])), '{"result":"ab[x]de"}');
  assert.equal(mask('{"result":"ab\\ud83d\\ude00cde"}', find([[1, 3]])), '{"result":"a[x]cde"}');
});

test('what one key was found to hold says nothing of another, nor of its value', () => {
  assert.equal(
    mask('{"result":{"k":"a@b","x":{"k":"k","a@b":"k","k":1,"a@b":2}}}'),
    '{"result":{"k":"[email]","x":{"k":"k","[email]":"k","k":1,"[email]":2}}}',
  );
  const long = `${'k'.repeat(200)}a@b`;
  assert.equal(mask(`{"result":{"${long}":1,"${long}":1}}`), '{"result":{"[email]":1,"[email]":1}}');
});

test('spans are in order, and say where each tag stands', () => {
  const bytes = Buffer.from(
    '{"result":{"é":["a@b","x c@d"],"content":[{"type":"text","text":"{\\"m\\":\\"a@b\\"}"}]}}',
  );
  const { bytes: after, spans } = maskJson(bytes, answers);
  assert.deepEqual(
    spans.map(({ at, length }) => after.toString('utf8', at, at + length)),
    ['a@b', 'c@d', 'a@b'].map((value) => tagger.tag('email', value).tag),
  );
  assert.deepEqual(
    spans.map(({ hmac }) => hmac),
    ['a@b', 'c@d', 'a@b'].map((value) => tagger.tag('email', value).hmac),
  );
});

test('the very same buffer comes back where nothing is found', () => {
  const bytes = Buffer.from('{"result":{"content":[{"type":"text","text":"nothing"}]}}');
  assert.equal(maskJson(bytes, answers).bytes, bytes);
  assert.equal(detection.find('nothing').length, 0);
});

test('deep nesting and many values take their time and no stack', () => {
  const deep = `{"result":${'['.repeat(4000)}"a@b"${']'.repeat(4000)}}`;
  assert.ok(mask(deep).includes('"[email]"'));
  refuses(`${'['.repeat(5000)}${']'.repeat(5000)}`);
  const many = `{"result":[${'"a@b c@d",'.repeat(20_000)}1]}`;
  assert.equal(maskJson(Buffer.from(many), answers).spans.length, 40_000);
  const one = `{"result":"${'a@b '.repeat(100_000)}"}`;
  assert.equal(maskJson(Buffer.from(one), answers).spans.length, 100_000);
  refuses(one.replace('a@b', 'a@b a@b'));
  refuses(`{"result":[${'"a@b",'.repeat(100_001)}1]}`);
});
