import assert from 'node:assert/strict';
import { test } from 'node:test';
import { splitCommand } from './command-line.ts';

test('words, quotes and backslashes as in a shell, without one', () => {
  for (const [text, words] of [
    ['npx -y server', ['npx', '-y', 'server']],
    ['  a\tb \n', ['a', 'b']],
    [`node "my server.js" --name 'Ana''s'`, ['node', 'my server.js', '--name', 'Anas']],
    ['a\\ b "c\\"d" "e\\n" \'f\\g\'', ['a b', 'c"d', 'e\\n', 'f\\g']],
    ['a "" b', ['a', '', 'b']],
    ['--x="a b"c', ['--x=a bc']],
    ['echo $HOME ~ *', ['echo', '$HOME', '~', '*']],
    ['"|" \';\'', ['|', ';']],
  ] as const) {
    assert.deepEqual(splitCommand(text), words, text);
  }
});

test('what only a shell could do, or is not whole, is refused in words', () => {
  for (const text of ['a | b', 'a && b', 'a; b', 'a > f', 'a `b`', 'a $(b)', 'a "b', "a 'b", 'a \\', '', '  ']) {
    assert.throws(() => splitCommand(text), /shell|quote|empty/, text);
  }
});
