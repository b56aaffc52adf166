/** How a thread knows what it is for: in a bundle every thread begins in the same file. */
import { isMainThread, workerData } from 'node:worker_threads';

export const STATEMENT_WORKER = { role: 'statements' };

export function isStatementWorker(): boolean {
  return !isMainThread && (workerData as { role?: unknown } | null)?.role === STATEMENT_WORKER.role;
}
