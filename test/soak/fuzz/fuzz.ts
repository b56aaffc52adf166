import { randomInt } from 'node:crypto';
import { parseArgs } from 'node:util';
import { runFuzz } from './run.ts';

// `npm run soak:fuzz [-- --requests N] [--answers N] [--seed N] [--json]`: hostile requests and hostile answers against a
// gateway process. What is held against what: run.ts.

const { values } = parseArgs({
  options: {
    requests: { type: 'string', default: '100000' },
    answers: { type: 'string', default: '10000' },
    seed: { type: 'string' },
    json: { type: 'boolean', default: false },
  },
});

function wholeNumber(name: string, text: string): number {
  const number = Number(text);
  if (/^\d+$/.test(text) && Number.isSafeInteger(number)) return number;
  console.error(`--${name} must be a whole number.`);
  process.exit(2);
}

const report = await runFuzz(
  {
    requests: wholeNumber('requests', values.requests),
    answers: wholeNumber('answers', values.answers),
    seed: values.seed === undefined ? randomInt(2 ** 31) : wholeNumber('seed', values.seed),
  },
  (line) => console.error(`[${(performance.now() / 1000).toFixed(0)} s] ${line}`),
);
for (const words of report.problems) console.error(`NOT AS IT SHOULD BE: ${words}`);
console.log(values.json ? JSON.stringify(report) : JSON.stringify(report, undefined, 2));
process.exitCode = report.problems.length === 0 ? 0 : 1;
