import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { createLog } from '../gateway/log.ts';
import { createDemoLog } from './log.ts';

test('what became of an edit is told, with every mistake; nothing else is', async (t) => {
  const folder = await mkdtemp(join(tmpdir(), 'verbatim-demo-log-'));
  t.after(() => rm(folder, { recursive: true, force: true }));
  const told: string[] = [];
  const log = createLog(createDemoLog(folder, (lines) => void told.push(lines)));
  log.info({ event: 'checkpoint' }, 'A checkpoint is stored.');
  log.error(
    { event: 'configuration_refused', problems: ['orders.yaml:1:1 a\u001b[2Jb. Fix: c', 'two'] },
    'Not loaded.',
  );
  log.info({ event: 'configuration_loaded' }, 'In force.');
  assert.deepEqual(told, [
    'Edited: not taken, and what was in force before still is.\n  orders.yaml:1:1 a\\u{1b}[2Jb. Fix: c\n  two\n',
    'Edited: what was changed is in force.\n',
  ]);
  await t.waitFor(() => assert.match(readFileSync(join(folder, 'gateway.log'), 'utf8'), /"checkpoint"/));
});
