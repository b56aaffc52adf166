import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { createReflectionGuard } from './reflection.ts';

const SECRET = 'sk-live-4711/abc+def"ghi';

function guarding(...values: string[]) {
  const guard = createReflectionGuard();
  guard.watch(values);
  return guard;
}

test('bytes without the secret pass as they are, whatever the chunks; at most the beginning of one waits', () => {
  fc.assert(
    fc.property(
      fc.array(fc.string({ unit: fc.constantFrom('s', 'k', '-', 'l', 'sk-live-4711/abc+def', '\n') })),
      (texts) => {
        const guard = guarding(`Bearer ${SECRET}`);
        let passed = '';
        let sent = '';
        for (const text of texts) {
          sent += text;
          passed += guard.push(Buffer.from(text)).toString();
          assert.ok(sent.startsWith(passed) && SECRET.startsWith(sent.slice(passed.length)));
        }
        assert.equal(passed + guard.end().toString(), sent);
      },
    ),
  );
});

test('the secret is found in each spelling, cut anywhere, and no byte of it has passed', () => {
  const inBase64 = [0, 1, 2].map((lead) => Buffer.from(`${'x'.repeat(lead)}${SECRET}, and more`).toString('base64'));
  const hex = Buffer.from(SECRET).toString('hex');
  for (const spelling of [SECRET, JSON.stringify(SECRET), encodeURIComponent(SECRET), hex, ...inBase64]) {
    for (let cut = 0; cut <= spelling.length; cut++) {
      const guard = guarding(`Bearer ${SECRET}`);
      let passed = '';
      assert.throws(
        () => {
          passed += guard.push(Buffer.from(`you sent ${spelling.slice(0, cut)}`)).toString();
          passed += guard.push(Buffer.from(`${spelling.slice(cut)}!`)).toString();
        },
        { code: 'upstream_leaked_credential', fate: 'outcome_withheld' },
        `${spelling} at ${cut}`,
      );
      assert.ok(passed.length <= 'you sent '.length + 4, passed);
    }
  }
});

test('headers too; words that are too short to be a secret pass', () => {
  assert.throws(() => guarding(SECRET).checkHeaders(['a', `x ${SECRET}`]), { code: 'upstream_leaked_credential' });
  guarding('Bearer test').checkHeaders(['test']);
  assert.equal(guarding('Basic secret').push(Buffer.from('a secret')).toString(), 'a secret');
});

test('what is watched later counts from then on', () => {
  const guard = guarding('the-first-credential');
  guard.watch(['the-second-credential']);
  assert.throws(() => guard.push(Buffer.from('the-first-credential')));
  assert.throws(() => guard.push(Buffer.from('the-second-credential')));
});
