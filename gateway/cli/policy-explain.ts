/** `verbatim policy explain`: one message, each rule's part in it, and which effect won. */
import { readFileSync, statSync } from 'node:fs';
import { parseStrictJson } from '../mcp/json.ts';
import { readMessages } from '../mcp/message.ts';
import { ownMember } from '../mcp/methods.ts';
import type { PolicyInput } from '../policy/decision.ts';
import { type ExplainedRule, type Explanation, explain } from '../policy/explain.ts';
import { messageOf, parsePrincipal } from '../policy/golden.ts';
import type { Dialect } from '../policy/statement.ts';
import { MAX_FILE } from '../yaml-file.ts';
import { loadChosen } from './chosen-configuration.ts';
import { CommandError, type Context } from './context.ts';
import { openGoodPolicy } from './policy-folder.ts';
import { decideWhole, type PolicyParts } from './policy-parts.ts';
import { escapeForTerminal } from './terminal.ts';

export interface PolicyExplainOptions {
  readonly message: string;
  readonly principal: string;
  readonly connection: string;
  readonly from?: 'client' | 'upstream';
  readonly access?: PolicyInput['access'];
  readonly dialect?: Dialect;
  readonly config?: string;
  readonly json?: boolean;
}

export async function runPolicyExplain(
  context: Context,
  folder: string,
  options: PolicyExplainOptions,
  parts: PolicyParts,
): Promise<number> {
  const { set } = openGoodPolicy(folder, parts.compilePattern);
  const input = inputOf(context, options);
  const configured = options.config === undefined ? undefined : loadChosen(options.config).connections;
  const dialect = options.dialect ?? configured?.[options.connection]?.dialect;
  const explanation = await decideWhole((readings) => explain(set, input, readings, dialect), parts.read);
  if (options.json === true) {
    await context.out.write(`${JSON.stringify({ folder, digest: set.digest, ...explanation }, null, 2)}\n`);
  } else {
    for (const line of linesOf(context, folder, explanation)) await context.out.write(`${line}\n`);
  }
  return 0;
}

function inputOf(context: Context, options: PolicyExplainOptions): PolicyInput {
  const principal = parsePrincipal(jsonOf(options.principal, '--principal'));
  if (principal === undefined) {
    throw new CommandError(2, '--principal is none. Write for example {"kind":"human","groups":["analysts"]}.');
  }
  const given = jsonOf(options.message, '--message');
  // A message may be given whole, as a client sends it, or without what JSON-RPC adds.
  const whole = ownMember(given, 'jsonrpc') === undefined ? { jsonrpc: '2.0', id: 1, ...(given as object) } : given;
  const read = readMessages(whole, { batch: false });
  if (!read.ok) throw new CommandError(2, `--message is none: ${read.words}`);
  const [message] = read.messages;
  if (message === undefined) throw new CommandError(2, '--message is none.');
  return {
    principal,
    connection: options.connection,
    access: options.access ?? 'standing',
    from: options.from ?? 'client',
    message: messageOf(message),
    now: context.now(),
  };
}

/** JSON itself, a file of it, or `-` for what is piped in. */
function jsonOf(given: string, option: string): unknown {
  const bytes = given.trimStart().startsWith('{') ? Buffer.from(given) : bytesOf(given, option);
  const json = parseStrictJson(bytes);
  if (!json.ok) throw new CommandError(2, `${option} is no strict JSON: ${json.words}`);
  return json.value;
}

function bytesOf(file: string, option: string): Buffer {
  try {
    if (file !== '-' && statSync(file).size > MAX_FILE) throw new CommandError(2, `${option}: the file is too large.`);
    return readFileSync(file === '-' ? 0 : file);
  } catch (cause) {
    if (cause instanceof CommandError) throw cause;
    throw new CommandError(2, `${option}: the file can not be read.`, { cause });
  }
}

function linesOf(context: Context, folder: string, { decision, rules }: Explanation): string[] {
  const { paint } = context.out;
  const width = Math.max(0, ...rules.map(({ rule }) => rule.length));
  const told = rules.map((one) => {
    const style = one.outcome === 'matched' ? 'bold' : one.outcome === 'error' ? 'red' : 'dim';
    const shadow = one.mode === 'shadow' ? ' (shadow)' : '';
    const text = `${one.rule.padEnd(width)}  ${one.effect.padEnd(7)}  ${wordsOf(one)}${shadow}`;
    return `${paint(style, escapeForTerminal(text))}  ${paint('dim', escapeForTerminal(`${folder}/${one.file}:${one.line}`))}`;
  });
  const { effect, words, shadow } = decision;
  const would =
    shadow === undefined ? [] : [`Rules in shadow mode would say ${shadow.effect}: ${shadow.rules.join(', ')}.`];
  return [...told, '', paint('bold', effect), escapeForTerminal(words), ...would.map((one) => escapeForTerminal(one))];
}

function wordsOf(one: ExplainedRule): string {
  switch (one.outcome) {
    case 'matched':
      return 'matched';
    case 'error':
      return `denies: ${one.error}${one.clause === undefined ? '' : ` in ${one.clause}`}`;
    case 'principals':
      return `not for this principal: ${one.key}`;
    case 'connection':
      return 'not for this connection';
    case 'method':
      return 'not for this method';
    case 'name':
      return 'not for this name';
    case 'condition':
      return `not true: ${one.clause}`;
  }
}
