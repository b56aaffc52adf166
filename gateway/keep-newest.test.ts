import assert from 'node:assert/strict';
import { test } from 'node:test';
import { keepNewest } from './keep-newest.ts';

test('what was put there longest ago makes room, and putting it again makes it the newest', () => {
  const map = new Map<string, number>();
  for (const [key, value] of Object.entries({ a: 1, b: 2 })) keepNewest(map, key, value, 2);
  keepNewest(map, 'a', 3, 2);
  assert.deepEqual(
    [...map],
    [
      ['b', 2],
      ['a', 3],
    ],
  );
  keepNewest(map, 'c', 4, 2);
  assert.deepEqual(
    [...map],
    [
      ['a', 3],
      ['c', 4],
    ],
  );
});
