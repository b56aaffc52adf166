/**
 * The thread in which parsers run: reader.ts can end it in the middle of a statement. It has one question at a time, says
 * `loaded` when the time of that question begins, and then its reading.
 */
import { type MessagePort, parentPort } from 'node:worker_threads';
import { readShell } from '../policy/shell/read.ts';
import { loadSqlReader, type SqlReader } from '../policy/sql/read.ts';
import type { Dialect, Question, Reading } from '../policy/statement.ts';
import { isStatementWorker } from './role.ts';

export type WorkerMessage = 'loaded' | { readonly reading: Reading; readonly isSpent: boolean };

function serve(port: MessagePort): void {
  const readers = new Map<Dialect, SqlReader>();
  const say = (message: WorkerMessage): void => port.postMessage(message);

  async function answer(question: Question): Promise<void> {
    if (question.kind === 'shell') {
      say('loaded');
      say({ reading: readShell(question.text), isSpent: false });
      return;
    }
    const reader = readers.get(question.dialect) ?? (await loadSqlReader(question.dialect));
    readers.set(question.dialect, reader);
    say('loaded');
    say({ reading: reader.read(question.text), isSpent: reader.isSpent() });
  }

  // It would pile up: reader.ts does not read what is printed here.
  for (const stream of [process.stdout, process.stderr]) stream.write = () => true;
  // An error ends the thread; whoever asked takes that for an answer.
  port.on('message', (question: Question) => void answer(question));
}

if (isStatementWorker() && parentPort !== null) serve(parentPort);
