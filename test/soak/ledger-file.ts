/**
 * A ledger as a file, a line an entry: a million of them must not live in memory. Its writer is not what is killed, so
 * lines may wait in it.
 */
import { closeSync, createReadStream, openSync, writeSync } from 'node:fs';
import { createInterface } from 'node:readline';

export interface LedgerFile {
  note(...fields: (string | number)[]): void;
  close(): void;
}

const BUFFERED = 64 * 1024;

export function createLedgerFile(path: string): LedgerFile {
  const fd = openSync(path, 'wx');
  let waiting = '';
  function flush(): void {
    let bytes = Buffer.from(waiting);
    waiting = '';
    while (bytes.length > 0) bytes = bytes.subarray(writeSync(fd, bytes));
  }
  return {
    note(...fields) {
      waiting += `${fields.join(' ')}\n`;
      if (waiting.length > BUFFERED) flush();
    },
    close() {
      flush();
      closeSync(fd);
    },
  };
}

export async function* readLedgerFile(path: string): AsyncGenerator<string[]> {
  for await (const line of createInterface({ input: createReadStream(path) })) yield line.split(' ');
}
