import assert from 'node:assert/strict';
import { mkdtemp, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, beforeEach, mock, test } from 'node:test';
import { parse, stringify } from 'yaml';
import { builtInPeople, peopleInFile } from './people.ts';
import { DEMO_USERS } from './users.ts';

let folder = '';
let said: string[] = [];
before(async () => {
  folder = await mkdtemp(join(tmpdir(), 'verbatim-people-'));
  mock.method(process.stderr, 'write', (text: string) => said.push(text) > 0);
});
beforeEach(() => {
  said = [];
});
after(async () => {
  mock.restoreAll();
  await rm(folder, { recursive: true });
});

const [ANA] = DEMO_USERS;
const names = (people: { all(): readonly { name: string }[] }): string[] => people.all().map(({ name }) => name);

test('those in the program are found by their names, and nobody else', () => {
  assert.deepEqual(names(builtInPeople), ['ana', 'bob', 'carol', 'dana']);
  assert.equal(builtInPeople.find('ana')?.email, 'ana@example.com');
  for (const name of ['mallory', '', null, undefined, 'constructor']) assert.equal(builtInPeople.find(name), undefined);
});

test('the file is made where there is none, says what it is for, and is read back as it was', async () => {
  const path = join(folder, 'made.yaml');
  const people = await peopleInFile(path);
  assert.deepEqual(people.all(), DEMO_USERS);
  assert.equal((await stat(path)).mode & 0o777, 0o600);
  const text = await readFile(path, 'utf8');
  assert.match(text, /^# .*\n# take `analysts` out of ana’s groups/);
  assert.deepEqual(parse(text), DEMO_USERS);
});

test('one that is there stays as it is; an edit counts at once', async () => {
  const path = join(folder, 'edited.yaml');
  await writeFile(path, `# mine\n${stringify([{ ...ANA, groups: ['engineers', 'analysts'] }])}`);
  const people = await peopleInFile(path);
  assert.match(await readFile(path, 'utf8'), /^# mine\n/);
  assert.deepEqual(names(people), ['ana']);
  assert.deepEqual(people.find('ana')?.groups, ['engineers', 'analysts']);
  assert.equal(people.find('bob'), undefined);

  await writeFile(
    path,
    stringify([
      { ...ANA, groups: [] },
      { ...ANA, name: 'dan-2', email: 'dan@example.com' },
    ]),
  );
  assert.deepEqual(people.find('ana')?.groups, []);
  assert.equal(people.find('dan-2')?.email, 'dan@example.com');
  await writeFile(path, '[]');
  assert.deepEqual(people.all(), []);
  assert.deepEqual(said, []);
});

for (const [what, text] of [
  ['no list', 'ana: {}'],
  ['no YAML', '- ]'],
  ['a key that nobody knows', stringify([{ ...ANA, admin: true }])],
  ['a name that could be a page’s', stringify([{ ...ANA, name: '"><script>' }])],
  ['no e-mail address', stringify([{ ...ANA, email: 'ana' }])],
  ['one group instead of a list', stringify([{ ...ANA, groups: 'analysts' }])],
  ['a group of two lines', stringify([{ ...ANA, groups: ['a\nb'] }])],
  ['groups left out', stringify([{ ...ANA, groups: undefined }])],
  ['an empty file', ''],
] as const) {
  test(`with ${what}, nobody is known until it is mended, and why is said`, async () => {
    const path = join(folder, 'broken.yaml');
    await writeFile(path, stringify(DEMO_USERS));
    const people = await peopleInFile(path);
    assert.equal(people.find('ana')?.name, 'ana');
    await writeFile(path, text);
    assert.equal(people.find('ana'), undefined);
    assert.deepEqual(people.all(), []);
    assert.equal(said.length, 2);
    assert.ok(said[0]?.startsWith(`${path} can not be read, so nobody is known: `), said[0]);
    await writeFile(path, stringify(DEMO_USERS));
    assert.equal(people.find('ana')?.name, 'ana');
  });
}

test('a file that is taken away knows nobody', async () => {
  const path = join(folder, 'gone.yaml');
  const people = await peopleInFile(path);
  await rm(path);
  assert.equal(people.find('ana'), undefined);
  assert.match(said.join(''), /ENOENT/);
});

test('where there can be none, it says so instead of going on with nobody', async () => {
  await assert.rejects(peopleInFile(join(folder, 'no', 'such', 'people.yaml')), { code: 'ENOENT' });
});
