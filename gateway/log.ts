/** Logs as Cloud Logging reads them: one JSON object a line, `severity`, `message`, `time`. Never a token, never a body. */
import { type DestinationStream, type Logger, pino } from 'pino';

export type Log = Logger;

const SEVERITY: Record<string, string> = {
  trace: 'DEBUG',
  debug: 'DEBUG',
  info: 'INFO',
  warn: 'WARNING',
  error: 'ERROR',
  fatal: 'CRITICAL',
};

export function createLog(destination?: DestinationStream, level = 'info'): Log {
  return pino(
    {
      level,
      base: { service: 'verbatim' },
      messageKey: 'message',
      timestamp: () => `,"time":"${new Date().toISOString()}"`,
      formatters: { level: (label) => ({ severity: SEVERITY[label] ?? 'DEFAULT' }) },
      // A belt over braces: nothing logs headers, and if something ever does, these don't come out.
      redact: ['*.authorization', '*.cookie', 'authorization', 'cookie', 'headers', '*.headers', 'token', '*.token'],
    },
    destination ?? pino.destination({ fd: 2, sync: true }),
  );
}
