/**
 * `verbatim connection check`: reaches a connection's MCP server the way the gateway would, and lists its tools.
 */
import type { Config, ConnectionConfig } from '../config.ts';
import { chosenFile } from './chosen-configuration.ts';
import { chosenConnection, chosenGroups, pathOf, type Reached, reachServer } from './connection-reach.ts';
import type { Context } from './context.ts';
import { escapeForTerminal } from './terminal.ts';

interface Checked extends Reached {
  readonly connection: string;
  readonly upstream: string;
  readonly ok: boolean;
  readonly tools?: readonly string[];
}

export async function runConnectionCheck(
  context: Context,
  name: string,
  options: { config?: string; json?: boolean; group?: string },
): Promise<number> {
  const file = chosenFile(context, options.config, 'Which gateway? Give the --config FILE that has the connection.');
  const { config, connection } = chosenConnection(file, name);
  const checked = await check(connection, config.google, chosenGroups(connection, options.group));
  const { out } = context;
  if (options.json === true) {
    await out.write(`${JSON.stringify(checked, null, 2)}\n`);
    return checked.ok ? 0 : 1;
  }
  const { problem } = checked;
  const lines = [
    `connection  ${name}`,
    `upstream    ${checked.upstream}${pathOf(connection)}`,
    ...(checked.credential === undefined ? [] : [`credential  ${checked.credential}`]),
    ...(checked.server === undefined ? [] : [`server      ${checked.server}`]),
    ...(checked.tools === undefined ? [] : [`tools       ${checked.tools.length}: ${checked.tools.join(', ')}`]),
  ];
  for (const line of lines) await out.write(`${escapeForTerminal(line)}\n`);
  const end =
    problem === undefined
      ? out.paint('green', 'Good: reached, credential accepted, tools listed.')
      : out.paint('red', escapeForTerminal(`Failed at: ${problem.step}. ${problem.words} (${problem.code})`));
  await out.write(`${end}\n`);
  return checked.ok ? 0 : 1;
}

async function check(
  connection: ConnectionConfig,
  google: Config['google'],
  groups: readonly string[],
): Promise<Checked> {
  let tools: string[] | undefined;
  const as = 'verbatim-connection-check';
  const { problem, ...reached } = await reachServer(
    { connection, google, groups, as, step: 'listing its tools' },
    async ({ client, withheld }) => {
      tools = (await client.listTools()).tools.map((tool) => withheld(tool.name));
    },
  );
  return {
    connection: connection.name,
    upstream: connection.upstream.url,
    ok: problem === undefined,
    ...reached,
    ...(tools === undefined ? {} : { tools }),
    ...(problem === undefined ? {} : { problem }),
  };
}
