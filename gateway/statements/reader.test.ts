import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { test } from 'node:test';
import { EXPONENTIAL } from '../policy/sql/bigquery.corpus.ts';
import { type Question, questionKey, type Reading } from '../policy/statement.ts';
import { createStatementReader, type StatementReaderOptions } from './reader.ts';

const sql = (text: string, dialect: 'postgresql' | 'mysql' | 'bigquery' | 'sqlite' = 'bigquery'): Question => ({
  kind: 'sql',
  dialect,
  text,
});

/** A busy machine may take its time where nothing is said of it. */
function open(options: StatementReaderOptions = {}) {
  const reader = createStatementReader({ timeout: 10_000, ...options });
  return {
    async one(question: Question): Promise<Reading> {
      const reading = (await reader.read([question])).get(questionKey(question));
      assert.ok(reading !== undefined);
      return reading;
    },
    read: reader.read,
    close: reader.close,
    [Symbol.asyncDispose]: reader.close,
  };
}

const words = (reading: Reading): string => (reading.ok ? 'it was read' : reading.words);

test('every dialect and the shell, together', async () => {
  await using reader = open();
  const questions: Question[] = [
    sql('select 1 from t', 'postgresql'),
    sql('select 1 from t', 'mysql'),
    sql('select 1 from t', 'bigquery'),
    sql('select 1 from T', 'sqlite'),
    { kind: 'shell', text: 'ls | wc' },
  ];
  const readings = await reader.read(questions);
  const select = { ok: true, commands: ['SELECT'], tables: ['t'], functions: [], readOnly: true };
  assert.deepEqual(
    questions.map((question) => readings.get(questionKey(question))),
    [select, select, select, select, { ok: true, programs: ['ls', 'wc'] }],
  );
});

test('a statement that takes too long is cut off, and those that waited are read', async () => {
  await using reader = open({ timeout: 1000 });
  const [slow, good, again] = await Promise.all([
    reader.one(sql(EXPONENTIAL)),
    reader.one(sql('select 2')),
    reader.one(sql('select pg_sleep(1)', 'postgresql')),
  ]);
  assert.match(words(slow), /longer than 1000 ms/);
  assert.ok(good.ok && again.ok);
  // Known for a while: nobody waits for it twice.
  const before = performance.now();
  assert.deepEqual(await reader.one(sql(EXPONENTIAL)), slow);
  assert.ok(performance.now() - before < 1000);
});

const workerOf = (code: string): URL => new URL(`data:text/javascript,${encodeURIComponent(code)}`);
const LISTENING = "import { parentPort } from 'node:worker_threads';";

test('a parser that a statement broke is replaced, and so is its thread', async () => {
  const entry = workerOf(`${LISTENING} let asked = 0; parentPort.on('message', () => {
    parentPort.postMessage('loaded');
    parentPort.postMessage({ reading: { ok: false, words: String(asked++) }, isSpent: true });
  });`);
  await using reader = open({ entry });
  const readings = await Promise.all([reader.one(sql('select 1')), reader.one(sql('select 2'))]);
  assert.deepEqual(readings.map(words), ['0', '0']);
});

test('a thread that ends, by itself or by an error, is an answer', async () => {
  for (const end of ['process.exit(0)', 'throw new Error()']) {
    const entry = workerOf(`${LISTENING} parentPort.on('message', () => { ${end}; });`);
    await using reader = open({ entry });
    const readings = await Promise.all([reader.one(sql('select 1')), reader.one(sql('select 2'))]);
    for (const reading of readings) assert.match(words(reading), /parser broke/);
  }
});

test('a thread that never starts is an answer, too', async () => {
  await using reader = open({ entry: workerOf('throw new Error()') });
  assert.match(words(await reader.one(sql('select 1'))), /parser broke/);
  await using silent = open({ entry: workerOf(`${LISTENING} parentPort.on('message', () => {});`), startTimeout: 50 });
  assert.match(words(await silent.one(sql('select 1'))), /longer than 50 ms/);
});

test('more than may wait are refused at once; the same question waits once', async () => {
  await using reader = open({ most: 2 });
  const texts = ['select 1', 'select 2', 'select 2', 'select 3', 'select 4'];
  const readings = await Promise.all(texts.map((text) => reader.one(sql(text))));
  assert.deepEqual(
    readings.map((reading) => reading.ok),
    [true, true, true, true, false],
  );
  assert.match(words(readings[4] as Reading), /too many/);
});

test('a text that is too long is not handed over', async () => {
  await using reader = open({ entry: workerOf('throw new Error()') });
  assert.match(words(await reader.one(sql('x'.repeat(65_537)))), /longer than 64 KiB/);
});

test('closed: what waits is answered, and nothing is read any more', async () => {
  const reader = open();
  const waiting = [reader.one(sql('select 1')), reader.one(sql('select 2'))];
  await reader.close();
  for (const reading of await Promise.all(waiting)) assert.match(words(reading), /stopping/);
  assert.match(words(await reader.one(sql('select 3'))), /stopping/);
});

test('it does not keep a process alive that forgot to close it', () => {
  const code = `
    import { createStatementReader } from ${JSON.stringify(new URL('./reader.ts', import.meta.url).href)};
    const readings = await createStatementReader().read([{ kind: 'shell', text: 'ls' }]);
    console.log([...readings.values()][0].ok);`;
  const { status, stdout } = spawnSync(process.execPath, ['--input-type=module', '--eval', code], {
    encoding: 'utf8',
    timeout: 20_000,
  });
  assert.deepEqual([status, stdout], [0, 'true\n']);
});

test('who sends slow statements by the hundred keeps another waiting for one of them', async () => {
  await using reader = open({ timeout: 300 });
  const slow = Array.from({ length: 100 }, (_, index) => sql(`${EXPONENTIAL} -- ${index}`));
  const flood = reader.read(slow, 'mallory');
  // What waits in another's queue is no reason to wait.
  const same = await reader.read([sql('select 1')], 'ana');
  assert.deepEqual(
    [...same.values()].map(({ ok }) => ok),
    [true],
  );
  const before = performance.now();
  const good = await reader.read([sql('select 3')], 'ana');
  assert.deepEqual(
    [...good.values()].map(({ ok }) => ok),
    [true],
  );
  assert.ok(performance.now() - before < 5000, 'she waits for them all');
  await reader.close();
  const refused = [...(await flood).values()].filter((one) => !one.ok && one.words.includes('too many'));
  assert.ok(refused.length >= 30, `${refused.length} are not even queued`);
});
