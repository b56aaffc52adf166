#!/usr/bin/env node
// Plain JavaScript on purpose: this file starts on any Node that npm runs on, and goes on where TypeScript runs.
import { realpathSync } from 'node:fs';
import module from 'node:module';
import { fileURLToPath } from 'node:url';
import { become, COMPILE_CACHE, lockedNode, WANTED, wantedWords } from './locked-node.js';

const locked = lockedNode();
const isLocked = locked !== undefined && realpathSync(locked) === realpathSync(process.execPath);
if (isLocked || (locked === undefined && Number(process.versions.node.split('.')[0]) >= WANTED)) {
  silenceSqlite();
  module.enableCompileCache(COMPILE_CACHE);
  const { run } = await import('./main.ts');
  await run(process.argv.slice(2));
} else if (locked === undefined) {
  console.error(`verbatim: ${wantedWords()}`);
  process.exitCode = 1;
} else {
  become(locked, [fileURLToPath(import.meta.url), ...process.argv.slice(2)]);
}

/** `node:sqlite` works and warns; other warnings stay. */
function silenceSqlite() {
  const emitWarning = process.emitWarning;
  process.emitWarning = (warning, ...rest) => {
    const text = typeof warning === 'string' ? warning : warning.message;
    if (!text.startsWith('SQLite is an experimental feature')) emitWarning.call(process, warning, ...rest);
  };
}
