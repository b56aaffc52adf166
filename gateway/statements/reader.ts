/**
 * Reads statements in a thread of its own: a grammar can take seconds for 200 bytes, and nothing else stops it. What takes
 * too long, breaks its parser or finds too many others waiting is unreadable, and so never allowed.
 */
import { hash } from 'node:crypto';
import { Worker } from 'node:worker_threads';
import { keepNewest } from '../keep-newest.ts';
import { type Question, questionKey, type Reading, type Readings, type Unreadable } from '../policy/statement.ts';
import { STATEMENT_WORKER } from './role.ts';
import type { WorkerMessage } from './worker.ts';

export interface StatementReader {
  /**
   * A reading for every question, soon. Askers take turns, so that one who sends slow statements by the thousand keeps
   * another waiting for one of them. Never rejects.
   */
  read(questions: readonly Question[], asker?: string): Promise<Readings>;
  /** Ends the thread. What waits, and what is asked later, is unreadable. */
  close(): Promise<void>;
}

export interface StatementReaderOptions {
  /** Milliseconds that one statement may take, from when its parser is loaded. */
  readonly timeout?: number;
  /** Milliseconds in which the thread has to start and load a parser. */
  readonly startTimeout?: number;
  /** Questions of one asker that may wait, and of all. */
  readonly most?: number;
  readonly mostOfAll?: number;
  /** What the thread may hold, in MiB. */
  readonly memory?: number;
  /** What the thread runs, for tests. */
  readonly entry?: URL;
}

/** Characters; the readers refuse less. A longer text is not even handed over. */
const MAX_TEXT = 64 * 1024;
const MAX_CACHED = 1024;
/** Longer texts come once. */
const MAX_CACHED_TEXT = 8 * 1024;
/** Milliseconds for which a statement is not tried again that ran out of time, perhaps only because the machine was busy. */
const CUT_FOR = 60_000;

/** The file beside this one; a bundle has one file, which looks at its role. */
const ENTRY = import.meta.url.endsWith('/reader.ts')
  ? new URL('./worker.ts', import.meta.url)
  : new URL(import.meta.url);

interface Waiting {
  readonly key: string;
  readonly asking: string;
  readonly question: Question;
  readonly answer: (reading: Reading) => void;
}

interface Cached {
  readonly reading: Reading;
  /** By `performance.now()`. */
  readonly until: number;
}

export function createStatementReader(options: StatementReaderOptions = {}): StatementReader {
  const { timeout = 500, startTimeout = 10_000, most = 64, mostOfAll = 1024, memory = 256, entry = ENTRY } = options;
  const cache = new Map<string, Cached>();
  const asked = new Map<string, Promise<Reading>>();
  /** By asker, who is next in front. */
  const queues = new Map<string, Waiting[]>();
  let waiting = 0;
  let current: Waiting | undefined;
  let worker: Worker | undefined;
  let timer: NodeJS.Timeout | undefined;
  let closed = false;

  function start(): Worker {
    const started = new Worker(entry, {
      workerData: STATEMENT_WORKER,
      env: {},
      execArgv: [],
      // Kept here and read by nobody: what a parser prints may hold a statement. (To read them would keep the process alive.)
      stdout: true,
      stderr: true,
      resourceLimits: { maxOldGenerationSizeMb: memory, maxYoungGenerationSizeMb: 32, stackSizeMb: 4 },
    });
    const ended = (): void => {
      if (worker === started) fail('its parser broke');
    };
    started.on('message', (message: WorkerMessage) => {
      if (worker === started) hear(message);
    });
    started.on('error', ended);
    started.on('exit', ended);
    // Only a question keeps the process alive, by its timer.
    started.unref();
    return started;
  }

  function hear(message: WorkerMessage): void {
    if (message === 'loaded') limit(timeout);
    else {
      if (message.isSpent) stop();
      finish(message.reading, Number.POSITIVE_INFINITY);
    }
  }

  function limit(milliseconds: number): void {
    clearTimeout(timer);
    const timed = current;
    timer = setTimeout(() => {
      // Where this thread itself was held up, the answer may have come already and wait behind the timer.
      setImmediate(() => {
        if (timed !== undefined && current === timed) fail(`it takes longer than ${milliseconds} ms`);
      });
    }, milliseconds);
  }

  function stop(): void {
    const stopped = worker;
    worker = undefined;
    void stopped?.terminate();
  }

  /** The question that the thread has is answered by its end; those that wait get another thread. */
  function fail(why: string): void {
    stop();
    finish(unread(why), performance.now() + CUT_FOR);
  }

  function finish(reading: Reading, until: number): void {
    clearTimeout(timer);
    const answered = current;
    current = undefined;
    if (answered !== undefined) {
      if (answered.question.text.length <= MAX_CACHED_TEXT)
        keepNewest(cache, answered.key, { reading, until }, MAX_CACHED);
      asked.delete(answered.asking);
      answered.answer(reading);
    }
    next();
  }

  function next(): void {
    if (current !== undefined || closed) return;
    current = take();
    if (current === undefined) return;
    worker ??= start();
    limit(startTimeout);
    worker.postMessage(current.question);
  }

  function take(): Waiting | undefined {
    const [first] = queues;
    if (first === undefined) return undefined;
    const [asker, queue] = first;
    const taken = queue.shift();
    queues.delete(asker);
    // Behind those of all others.
    if (queue.length > 0) queues.set(asker, queue);
    waiting--;
    return taken;
  }

  function ask(question: Question, asker: string): Promise<Reading> | Reading {
    if (question.text.length > MAX_TEXT) return unread(`it is longer than ${MAX_TEXT / 1024} KiB`);
    // Texts are long, and a map keeps its keys.
    const key = hash('sha256', questionKey(question));
    const known = cache.get(key);
    if (known !== undefined && known.until > performance.now()) return known.reading;
    // Another asker's is not waited for: it may stand at the end of a long queue.
    const name = `${key} ${asker}`;
    const pending = asked.get(name);
    if (pending !== undefined) return pending;
    if (closed) return unread('the gateway is stopping');
    const queue = queues.get(asker) ?? [];
    if (queue.length >= most || waiting >= mostOfAll) return unread('too many others are being read; try again');
    const asking = new Promise<Reading>((answer) => {
      queue.push({ key, asking: name, question, answer });
    });
    queues.set(asker, queue);
    waiting++;
    asked.set(name, asking);
    next();
    return asking;
  }

  return {
    async read(questions, asker = '') {
      const readings = questions.map(async (question) => [questionKey(question), await ask(question, asker)] as const);
      return new Map(await Promise.all(readings));
    },
    async close() {
      closed = true;
      clearTimeout(timer);
      const stopped = worker;
      worker = undefined;
      const left = [...(current === undefined ? [] : [current]), ...[...queues.values()].flat()];
      current = undefined;
      queues.clear();
      waiting = 0;
      for (const { answer } of left) answer(unread('the gateway is stopping'));
      asked.clear();
      await stopped?.terminate();
    },
  };
}

function unread(why: string): Unreadable {
  return { ok: false, words: `The statement is not read: ${why}.` };
}
