/** `verbatim policy explain`: one message, each rule's part in it, and which effect won. */
import { readFileSync, statSync } from 'node:fs';
import { parseStrictJson } from '../mcp/json.ts';
import { readMessages } from '../mcp/message.ts';
import { ownMember } from '../mcp/methods.ts';
import type { Decision, PolicyInput } from '../policy/decision.ts';
import { type ExplainedRule, type Explanation, explain } from '../policy/explain.ts';
import { messageOf, PRINCIPAL_KEYS, parsePrincipal } from '../policy/golden.ts';
import type { Dialect } from '../policy/statement.ts';
import { MAX_FILE } from '../yaml-file.ts';
import { loadChosen } from './chosen-configuration.ts';
import { CommandError, type Context } from './context.ts';
import { folderOf, openGoodPolicy } from './policy-folder.ts';
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
  given: string | undefined,
  options: PolicyExplainOptions,
  parts: PolicyParts,
): Promise<number> {
  const folder = folderOf(given, options.config);
  const { set } = openGoodPolicy(folder, parts.compilePattern);
  const input = inputOf(context, options);
  const dialect = options.dialect ?? configuredDialect(options);
  const explanation = await decideWhole((readings) => explain(set, input, readings, dialect), parts.read);
  if (options.json === true) {
    await context.out.write(`${JSON.stringify({ folder, digest: set.digest, ...explanation }, null, 2)}\n`);
  } else {
    for (const line of linesOf(context, folder, explanation)) await context.out.write(`${line}\n`);
  }
  return 0;
}

function configuredDialect({ config, connection }: PolicyExplainOptions): Dialect | undefined {
  if (config === undefined) return undefined;
  const { connections } = loadChosen(config);
  const found = Object.hasOwn(connections, connection) ? connections[connection] : undefined;
  if (found !== undefined) return found.dialect;
  const known = Object.keys(connections).join(', ');
  throw new CommandError(2, `${config} has no connection "${connection}". It has: ${known}.`);
}

function inputOf(context: Context, options: PolicyExplainOptions): PolicyInput {
  const principal = parsePrincipal(jsonOf(options.principal, '--principal'));
  if (principal === undefined) {
    const words = `--principal is not one that a rule could match: kind is human or agent, groups a list; no other keys but ${PRINCIPAL_KEYS.join(', ')}.`;
    throw new CommandError(2, `${words} Write for example {"kind":"human","groups":["analysts"]}.`);
  }
  const given = jsonOf(options.message, '--message');
  // A message may be given whole, as a client sends it, or without what JSON-RPC adds.
  const whole = ownMember(given, 'jsonrpc') === undefined ? { jsonrpc: '2.0', id: 1, ...(given as object) } : given;
  const read = readMessages(whole, { batch: false });
  if (!read.ok) throw new CommandError(2, `--message is no message: ${read.words}`);
  const [message] = read.messages;
  if (message === undefined) throw new CommandError(2, '--message is no message.');
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
    throw new CommandError(2, `${option} is neither JSON that begins with { nor a file that can be read.`, { cause });
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
  const consequences = [...consequencesOf(decision), ...would].map((one) => escapeForTerminal(one));
  return [...told, '', paint('bold', effect), escapeForTerminal(words), ...consequences];
}

/** What else the rules that let a message pass make of it. */
function consequencesOf(decision: Decision): string[] {
  const { effect, approvals, masks, maskRequests, replaceBlobs, limits, screens } = decision;
  if (effect === 'deny') return [];
  const names = (detectors: Decision['masks']) => detectors.map(({ name }) => name).join(', ');
  return [
    ...approvals.map(({ rule, approvers }) => `Waits for one of ${approvers.join(', ')} (${rule}).`),
    ...(maskRequests.length === 0 ? [] : [`Masked in the request: ${names(maskRequests)}.`]),
    ...(masks.length === 0 ? [] : [`Masked in the answer: ${names(masks)}.`]),
    ...(replaceBlobs.length === 0 ? [] : [`Replaced in the answer: ${replaceBlobs.join(', ')}.`]),
    ...(limits.length === 0 ? [] : [`Limited by ${limits.map(({ rule }) => rule).join(', ')}.`]),
    ...(screens.length === 0 ? [] : [`Screened by ${screens.map(({ rule }) => rule).join(', ')}.`]),
  ];
}

function wordsOf(one: ExplainedRule): string {
  switch (one.outcome) {
    case 'matched':
      return 'matched';
    case 'error':
      return `denies, since ${one.clause} can not be decided: ${meaningOf(one.error)}`;
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

/** The codes of most mistakes are CEL's own. */
function meaningOf(error: string): string {
  if (error.startsWith('no_such_key')) return `${error} (what it asks for is not in the message: test it with has(…))`;
  if (error === 'the connection has no dialect') return `${error} (give --dialect, or --config)`;
  return error;
}
