import { spawn } from 'node:child_process';
import { mkdtemp, readdir, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { text } from 'node:stream/consumers';
import { fileURLToPath } from 'node:url';
import { parse } from 'yaml';
import * as z from 'zod';

export type Requirements = '2025-11-25' | '2026-07-28';

/** One check that the suite made; `status` also knows INFO, WARNING and SKIPPED, which count in no total. */
export interface Check {
  scenario: string;
  id: string;
  name: string;
  status: string;
  message: string;
}

export interface SuiteResult {
  passed: number;
  total: number;
  failures: { scenario: string; check: string; message: string }[];
  /** Every check in the order made, those of extensions too: what two runs are compared by. */
  checks: Check[];
}

const packageFile = fileURLToPath(import.meta.resolve('@modelcontextprotocol/conformance/package.json'));
const packageSchema = z.object({ bin: z.object({ conformance: z.string() }) });
const requirementsSchema = z.object({ not_scored: z.array(z.object({ scenario: z.string(), reason: z.string() })) });
const checksSchema = z.array(
  z.object({ id: z.string(), name: z.string(), status: z.string(), errorMessage: z.string().optional() }),
);

/**
 * Scenarios of optional extensions (today all `tasks-*`, SEP-2663): the suite runs and reports them and no revision
 * requires them. SDK 2.4's server does not implement tasks, so 30 of their checks fail against the fixture, and alike
 * through whatever stands in front of it. They stay out of the totals and in {@link SuiteResult.checks}.
 */
async function readExtensions(requirements: Requirements): Promise<Set<string>> {
  const file = join(dirname(packageFile), 'requirements', `${requirements}.yaml`);
  const { not_scored } = requirementsSchema.parse(parse(await readFile(file, 'utf8')));
  return new Set(not_scored.filter(({ reason }) => reason === 'extension').map(({ scenario }) => scenario));
}

/** Without a command: what `node` is given. */
export async function conformanceCommand(): Promise<string[]> {
  const { bin } = packageSchema.parse(JSON.parse(await readFile(packageFile, 'utf8')));
  return [join(dirname(packageFile), bin.conformance)];
}

async function runCommand(url: string, requirements: Requirements, output: string): Promise<string> {
  const command = [...(await conformanceCommand()), 'server', '--url', url];
  const child = spawn(process.execPath, [...command, '--requirements', requirements, '-o', output], {
    stdio: ['ignore', 'pipe', 'pipe'],
    cwd: output,
    // A gateway that holds an answer back makes the suite wait for ever; it takes a few seconds otherwise.
    timeout: 40_000,
    killSignal: 'SIGKILL',
  });
  const closed = new Promise<void>((resolve, reject) => child.once('error', reject).once('close', () => resolve()));
  const [stdout, stderr] = await Promise.all([text(child.stdout), text(child.stderr), closed]);
  // The exit code says only whether a required check failed; the summary is the sign that the suite came to its end.
  if (!stdout.includes('\n=== SUMMARY ===\n')) throw new Error(`the suite did not finish: ${stderr.slice(0, 500)}`);
  return stdout;
}

/** The scenarios in the order run, with the totals that the suite itself printed. */
function readSummary(stdout: string): { scenario: string; passed: number; failed: number }[] {
  const summary = stdout.slice(stdout.indexOf('\n=== SUMMARY ===\n'));
  return [...summary.matchAll(/^[✓✗] (\S+): (\d+) passed, (\d+) failed$/gmu)].map(([, scenario, passed, failed]) => ({
    scenario: scenario ?? '',
    passed: Number(passed),
    failed: Number(failed),
  }));
}

async function readChecks(output: string, scenario: string): Promise<Check[]> {
  // A folder is `server-<scenario>-<ISO time>`; a scenario that threw has none, or one without checks.
  const name = (await readdir(output)).find(
    (entry) => entry.replace(/-\d{4}-\d\d-\d\dT[\d-]+Z$/, '') === `server-${scenario}`,
  );
  const file = name && (await readFile(join(output, name, 'checks.json'), 'utf8').catch(() => undefined));
  if (!file) return [{ scenario, id: scenario, name: scenario, status: 'FAILURE', message: 'the scenario threw' }];
  return checksSchema
    .parse(JSON.parse(file))
    .map(({ id, name, status, errorMessage }) => ({ scenario, id, name, status, message: errorMessage ?? '' }));
}

const count = (checks: Check[], status: string) => checks.filter((check) => check.status === status).length;

/**
 * Runs the conformance suite of the MCP project against a server, as its own process, and reads its results.
 *
 * @param url the server's MCP endpoint.
 * @param requirements the revision whose requirement set is run, at that revision's wire.
 * @throws Error if the suite did not finish, or if its results differ from its own summary.
 */
export async function runSuite(url: string, requirements: Requirements): Promise<SuiteResult> {
  const output = await mkdtemp(join(tmpdir(), 'verbatim-conformance-'));
  try {
    const extensions = await readExtensions(requirements);
    const summary = readSummary(await runCommand(url, requirements, output));
    const checks: Check[] = [];
    for (const { scenario, passed, failed } of summary) {
      const made = await readChecks(output, scenario);
      if (count(made, 'SUCCESS') !== passed || count(made, 'FAILURE') !== failed) {
        throw new Error(`the suite's files and its summary differ on ${scenario}`);
      }
      checks.push(...made);
    }
    const counted = checks.filter(({ scenario }) => !extensions.has(scenario));
    const failures = counted
      .filter(({ status }) => status === 'FAILURE')
      .map(({ scenario, id, message }) => ({ scenario, check: id, message }));
    const passed = count(counted, 'SUCCESS');
    return { passed, total: passed + failures.length, failures, checks };
  } finally {
    await rm(output, { recursive: true, force: true });
  }
}
