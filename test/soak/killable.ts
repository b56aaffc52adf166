/**
 * A gateway that dies where it is told to. It loads its code first and starts when it is told, so that a successor stands
 * ready when the one before it dies. It ends with its parent: nothing survives a soak that was broken off.
 */
import { flushCompileCache } from 'node:module';
import { createInterface } from 'node:readline';
import { startGateway } from '../../gateway/gateway.ts';
import { type Order, order } from './death.ts';
import { createPowerLog } from './power.ts';
import { createSteps } from './steps.ts';

const steps = createSteps();
const say = (word: object): void => void process.stdout.write(`${JSON.stringify(word)}\n`);

async function start({ configFile, death, powerLog }: Extract<Order, { start: object }>['start']): Promise<void> {
  if (death !== undefined) steps.order(death);
  const gateway = await startGateway({
    configFile,
    standingOn: steps.standingOn,
    ...(powerLog === undefined ? {} : { fileSystem: createPowerLog(powerLog) }),
  });
  say({ url: gateway.url, key: gateway.verifierKey });
}

const orders = createInterface({ input: process.stdin });
orders.on('line', (line) => {
  const given = order.parse(JSON.parse(line));
  if ('die' in given) steps.order(given.die);
  else void start(given.start);
});
orders.on('close', () => process.kill(process.pid, 'SIGKILL'));
// A process that is killed leaves no compile cache behind.
flushCompileCache();
say({ loaded: true });
