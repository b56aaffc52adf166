/** `verbatim gateway`: runs until SIGINT or SIGTERM, then stops in order; a second signal ends it at once. */

import { ConfigurationError, startGateway } from '../gateway.ts';
import { problemWords } from '../yaml-file.ts';
import { CommandError } from './context.ts';
import { escapeForTerminal } from './terminal.ts';

export async function runGateway(options: { config: string; json?: boolean }): Promise<void> {
  const gateway = await startGateway({ configFile: options.config }).catch((error: unknown) => {
    if (!(error instanceof ConfigurationError)) throw error;
    const lines = error.problems.map((one) => problemWords(options.config, one));
    throw new CommandError(
      1,
      escapeForTerminal(['The gateway was not started.', ...lines].join('\n'), { keepNewlines: true }),
    );
  });
  if (options.json === true) {
    const { url, metricsUrl, ledger, verifierKey } = gateway;
    process.stdout.write(`${JSON.stringify({ url, metrics: metricsUrl, ledger, key: verifierKey })}\n`);
  }
  process.on('SIGHUP', () => void gateway.reload().catch(() => {}));
  await stopSignal();
  await gateway.close();
  if (options.json === true) process.stdout.write(`${JSON.stringify({ stopped: true })}\n`);
}

/** Resolves on the first SIGINT or SIGTERM; the second ends the process, since somebody is in a hurry. */
export function stopSignal(): Promise<void> {
  return new Promise((done) => {
    let asked = false;
    const onSignal = (): void => {
      if (asked) process.exit(1);
      asked = true;
      done();
    };
    process.on('SIGINT', onSignal);
    process.on('SIGTERM', onSignal);
  });
}
