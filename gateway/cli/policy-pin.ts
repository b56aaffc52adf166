/**
 * `verbatim policy pin`: writes what a connection's server lists now into `policies/tools/<connection>.json`, to be read as
 * a commit's difference; with `--check`, says what has changed since.
 */
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { isAbsolute, join, relative } from 'node:path';
import { z } from 'zod';
import type { Config } from '../config.ts';
import { comparePins, type ListedTool, type PinComparison, type Pins, readPins, writePins } from '../policy/pins.ts';
import { chosenFile } from './chosen-configuration.ts';
import { chosenConnection, chosenGroups, reachServer, type Session } from './connection-reach.ts';
import { CommandError, type Context } from './context.ts';
import { escapeForTerminal } from './terminal.ts';

export interface PolicyPinOptions {
  readonly config?: string;
  readonly out?: string;
  readonly group?: string;
  readonly check?: boolean;
}

export async function runPolicyPin(context: Context, name: string, options: PolicyPinOptions): Promise<number> {
  const chosen = chosenFile(context, options.config, 'Which gateway? Give the --config FILE that has the connection.');
  const { config, connection } = chosenConnection(chosen, name);
  const groups = chosenGroups(connection, options.group);
  let listed: readonly ListedTool[] = [];
  let written = '';
  const { problem } = await reachServer(
    { connection, google: config.google, groups, as: 'verbatim-policy-pin', step: 'listing its tools' },
    async (session) => {
      listed = await listAll(session);
      written = writePins(name, listed);
      // The file is for a repository, where the credential must not be.
      if (session.withheld(written) !== written) throw new TypeError("The list holds the connection's credential.");
    },
  );
  if (problem !== undefined) {
    throw new CommandError(1, `${name}: failed at ${problem.step}. ${problem.words} (${problem.code})`);
  }
  const file = join(folderOf(context, config, options.out), `${name}.json`);
  const before = pinsIn(file, name);
  const compared = comparePins(before.pins, listed);
  const same = before.text === written;
  await say(context, name, listed.length, compared);
  const shown = relative(context.cwd, file);
  return options.check === true
    ? checked(context, before, isUnchanged(compared), shown)
    : pinned(context, { file, shown, written, same });
}

const MOST_PAGES = 200;
const MOST_TOOLS = 10_000;

const page = z.looseObject({
  tools: z.array(z.custom<ListedTool>((tool) => typeof tool === 'object' && tool !== null && !Array.isArray(tool))),
  nextCursor: z.string().optional(),
});

/** All pages, each tool with all of its members: the client's own list knows only those of the specification. */
async function listAll({ client }: Session): Promise<readonly ListedTool[]> {
  const tools: ListedTool[] = [];
  const seen = new Set<string>();
  for (let cursor: string | undefined; ; ) {
    const answer = await client.request(
      { method: 'tools/list', ...(cursor === undefined ? {} : { params: { cursor } }) },
      page,
    );
    tools.push(...answer.tools);
    cursor = answer.nextCursor;
    if (cursor === undefined) return tools;
    if (seen.has(cursor)) throw new TypeError('Its list comes back to a page that was there already.');
    seen.add(cursor);
    if (seen.size >= MOST_PAGES || tools.length > MOST_TOOLS) throw new TypeError('Its list has no end.');
  }
}

/** Beside the rules of the configuration; where it has none, where they are most often. */
function folderOf({ cwd }: Context, { policies }: Config, out: string | undefined): string {
  const folder = out ?? (policies === 'allow-all' ? 'policies/tools' : join(policies, 'tools'));
  return isAbsolute(folder) ? folder : join(cwd, folder);
}

interface Before {
  readonly pins: Pins;
  /** Absent: there is no such file. */
  readonly text?: string;
  /** Why the file that is there can not be used. */
  readonly mistake?: string;
}

function pinsIn(file: string, connection: string): Before {
  const none: Pins = { connection, tools: [], byName: new Map() };
  let text: string;
  try {
    text = readFileSync(file, 'utf8');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return { pins: none };
    throw error;
  }
  const read = readPins({ path: file, text });
  if (read.ok) return { pins: read.pins, text };
  const [first] = read.problems;
  return { pins: none, text, mistake: `${first?.path.join('.') || 'the file'} ${first?.problem}` };
}

function isUnchanged({ changed, added, missing }: PinComparison): boolean {
  return changed.length + added.length + missing.length === 0;
}

async function say({ out }: Context, name: string, count: number, compared: PinComparison): Promise<void> {
  const { changed, added, missing } = compared;
  const counts = `${added.length} added, ${changed.length} changed, ${missing.length} removed`;
  const lines = [
    `connection  ${name}`,
    `tools       ${count}: ${counts}`,
    ...added.map((one) => `added       ${one}`),
    ...changed.map((one) => `changed     ${one.name} (${one.what.join(', ')})`),
    ...missing.map((one) => `removed     ${one}`),
  ];
  for (const line of lines) await out.write(`${escapeForTerminal(line)}\n`);
}

async function checked({ out }: Context, before: Before, unchanged: boolean, shown: string): Promise<number> {
  const words =
    before.text === undefined
      ? `${shown} does not exist: nothing is pinned. Write it with the same command without --check.`
      : before.mistake !== undefined
        ? `${shown} can not be used: ${before.mistake}. Write it anew with the same command without --check.`
        : `Not as pinned in ${shown}. If the changes are wanted, run the same command without --check, and commit.`;
  const good = unchanged && before.text !== undefined && before.mistake === undefined;
  await out.write(
    good
      ? `${out.paint('green', escapeForTerminal(`Good: as pinned in ${shown}.`))}\n`
      : `${out.paint('red', escapeForTerminal(words))}\n`,
  );
  return good ? 0 : 1;
}

async function pinned(
  { out }: Context,
  { file, shown, written, same }: { file: string; shown: string; written: string; same: boolean },
): Promise<number> {
  if (same) {
    await out.write(`${out.paint('green', escapeForTerminal(`Nothing to do: ${shown} says so already.`))}\n`);
    return 0;
  }
  mkdirSync(join(file, '..'), { recursive: true });
  writeFileSync(file, written);
  const next = [
    `written     ${shown}`,
    `Next: read every description as an instruction to a model (git diff ${shown}), then commit the file.`,
    'With `changedTools: refuse` on the connection, tools that are not as pinned can be neither seen nor called.',
  ];
  for (const line of next) await out.write(`${escapeForTerminal(line)}\n`);
  return 0;
}
