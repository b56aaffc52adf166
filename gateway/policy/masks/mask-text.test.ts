import assert from 'node:assert/strict';
import { test } from 'node:test';
import { answers, shown } from './fixture.ts';
import { maskText } from './mask-text.ts';
import { MaskError } from './masked.ts';

for (const [before, after] of [
  ['nothing', 'nothing'],
  ['', ''],
  ['\ufeffé😀 a@b, <note>\n"😀"</note> c@d', '\ufeffé😀 [email], [note] [email]'],
  ['{"m":"a\\u0040b"}', '{"m":"[email]"}'],
  ['{"m":"a@b",}', '{"m":"[email]",}'],
] as const) {
  test(JSON.stringify(before), () => {
    const bytes = Buffer.from(before);
    assert.equal(shown(bytes, maskText(bytes, answers)), after);
  });
}

test('what is not UTF-8 may not pass', () => {
  assert.throws(() => maskText(Buffer.from([0x61, 0xff]), answers), MaskError);
});

test('what the hook refuses may not pass', () => {
  assert.throws(() => maskText(Buffer.from('a'), { ...answers, refuse: () => 'No.' }), MaskError);
});
