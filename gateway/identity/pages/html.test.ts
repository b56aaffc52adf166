import assert from 'node:assert/strict';
import { test } from 'node:test';
import { escapeHtml, exact, html, lines, markupOf, outside } from './html.ts';

test('text in a template is escaped, markup of a template is not, and nothing shows nothing', () => {
  const inner = html`<b title="${`"'`}">${'<script>alert(1)</script>'}</b>`;
  assert.equal(
    markupOf(html`<p>${inner}${undefined}${false}${3}${['a', html`<i>b</i>`]}</p>`),
    '<p><b title="&quot;&#39;">&lt;script&gt;alert(1)&lt;/script&gt;</b>3a<i>b</i></p>',
  );
});

test('parsed JSON can not pass for markup', () => {
  const forged = JSON.parse('["<img>", {"MARKUP":"<img>","Symbol(markup)":"<img>"}]') as string[];
  assert.equal(markupOf(forged[0]), '&lt;img&gt;');
  assert.throws(() => markupOf(forged[1]));
});

const unseen: readonly [string, string][] = [
  ['a\u202eb', 'a\\u{202e}b'],
  ['a\u2066b\u2069', 'a\\u{2066}b\\u{2069}'],
  ['a\u200bb\ufeff', 'a\\u{200b}b\\u{feff}'],
  ['a\u0000\u001b[31m\u007f', 'a\\u{0}\\u{1b}[31m\\u{7f}'],
  ['a\ud800b', 'a\\u{d800}b'],
  ['a\u2028b\nc', 'a\\u{2028}b\\u{a}c'],
  ['a\u115fb\u3164', 'a\\u{115f}b\\u{3164}'],
  // A joiner between letters, and tags without the flag that they belong to.
  ['a\u200db\u{e0041}', 'a\\u{200d}b\\u{e0041}'],
];
for (const [text, shown] of unseen) {
  test(`what would not be seen is written out: ${shown}`, () => assert.equal(escapeHtml(text), shown));
}

test('emoji stay whole', () => {
  for (const emoji of ['👩‍💻', '❤️', '🏴󠁧󠁢󠁥󠁮󠁧󠁿', '🇨🇭', '👍🏽']) assert.equal(escapeHtml(emoji), emoji);
});

test('lines keep their ends, exact values keep every character', () => {
  assert.equal(markupOf(lines('{\n  "a": "\u202e"\n}')), '{\n  &quot;a&quot;: &quot;\\u{202e}&quot;\n}');
  assert.equal(markupOf(exact('a&b="\u202e"')), 'a&amp;b=&quot;\u202e&quot;');
});

test('a text of 10,000 characters shows its beginning and says so; no character is cut in two', () => {
  const shown = markupOf(outside('👍'.repeat(10_000)));
  assert.ok(shown.startsWith(`<bdi>${'👍'.repeat(120)}…</bdi>`));
  assert.match(shown, /9,880 more characters/);
});
