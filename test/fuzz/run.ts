import { randomInt } from 'node:crypto';
import { parseArgs } from 'node:util';
import { fuzz, PROPERTIES } from './fuzz.ts';

// `npm run fuzz [-- --runs N] [--seed N] [--only PROPERTY] [--json]`: random input against the parsers and masks.

const { values } = parseArgs({
  options: {
    runs: { type: 'string', default: '1000000' },
    seed: { type: 'string' },
    only: { type: 'string' },
    json: { type: 'boolean', default: false },
  },
});

function wholeNumber(name: string, text: string): number {
  const number = Number(text);
  if (/^-?\d+$/.test(text) && Number.isSafeInteger(number)) return number;
  console.error(`--${name} must be a whole number.`);
  process.exit(2);
}

const runs = wholeNumber('runs', values.runs);
const seed = values.seed === undefined ? randomInt(2 ** 31) : wholeNumber('seed', values.seed);
if (runs < 1) {
  console.error('--runs must be at least 1.');
  process.exit(2);
}
if (values.only !== undefined && !Object.hasOwn(PROPERTIES, values.only)) {
  console.error(`--only must be one of: ${Object.keys(PROPERTIES).join('; ')}.`);
  process.exit(2);
}

let said = performance.now();
const report = fuzz({ runs, seed, only: values.only }, (line) => {
  if (performance.now() - said < 2_000) return;
  said = performance.now();
  console.error(line);
});
for (const failure of report.failures) {
  console.error(
    `${failure.property} fails: --only '${failure.property}' --seed ${failure.seed} --runs ${failure.runs}`,
  );
  console.error(failure.report);
}
if (values.json) console.log(JSON.stringify(report));
else {
  for (const { name, runs, seconds } of report.properties) console.log(`${name}: ${runs} runs in ${seconds} s`);
  const outcome = report.failures.length === 0 ? 'nothing found' : `${report.failures.length} properties fail`;
  console.log(`${report.runs} runs in ${report.seconds} s, seed ${report.seed}: ${outcome}`);
}
process.exitCode = report.failures.length === 0 ? 0 : 1;
