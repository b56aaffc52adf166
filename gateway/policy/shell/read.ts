/**
 * Reads a shell's statement: which programs it runs, in substitutions and pipes too. The parser (unbash) is tolerant; here
 * everything that it had to guess, and everything behind which another program may hide, is refused.
 *
 * A program given by its path is named twice, `/bin/rm` and `rm`: so a rule that denies `rm` sees it, and a rule that
 * allows `ls` does not take `/tmp/ls` for it. Paths that depend on where the shell is are refused.
 */
import {
  type ArithmeticWord,
  type Command,
  forEachChild,
  type ParameterExpansionPart,
  parse,
  type Redirect,
  type SyntaxNode,
  type Word,
  type WordPart,
} from 'unbash';
import type { ShellReading } from '../statement.ts';
import { BUILTINS, RUNNERS, SHELLS } from './names.ts';

/** Bytes of UTF-8. */
const MAX_SHELL = 64 * 1024;

class Refused extends Error {}

/** Never throws. */
export function readShell(text: string): ShellReading {
  try {
    if (Buffer.byteLength(text) > MAX_SHELL) throw new Refused(`it is longer than ${MAX_SHELL / 1024} KiB`);
    if (!text.isWellFormed()) throw new Refused('it is not well-formed Unicode');
    if (/[\x00-\x08\v\f\r\x0e-\x1f\x7f]/.test(text)) throw new Refused('it holds a control character or a CR');
    const programs = new Set<string>();
    visit(parse(text), programs);
    if (programs.size === 0) throw new Refused('it runs no program');
    return { ok: true, programs: [...programs].sort() };
  } catch (error) {
    if (error instanceof Refused) return { ok: false, words: `The shell statement is not read: ${error.message}.` };
    if (error instanceof RangeError) return { ok: false, words: 'The shell statement is not read: it nests too deep.' };
    return { ok: false, words: 'The shell statement is not read: its parser failed.' };
  }
}

function visit(node: SyntaxNode, programs: Set<string>): void {
  check(node, programs);
  forEachChild(node, (child) => visit(child, programs));
}

function check(node: SyntaxNode, programs: Set<string>): void {
  switch (node.type) {
    case 'Script':
      // Nested scripts have errors of their own.
      if ((node.errors?.length ?? 0) > 0) throw new Refused('its syntax is wrong or not known');
      return;
    case 'Command':
      checkCommand(node, programs);
      return;
    case 'Redirect':
      checkRedirect(node);
      return;
    case 'HereDoc':
      if (node.closing === undefined) throw new Refused('a here-document has no end');
      return;
    case 'FileDescriptorVariable':
      throw new Refused('a redirect sets a variable');
    case 'Function':
      throw new Refused('it defines a function');
    case 'Coproc':
    case 'Select':
      throw new Refused('it uses coproc or select');
    case 'For':
      if (!isHarmlessVariable(node.name.value)) throw new Refused('a loop sets a variable that programs may look at');
      return;
    case 'CommandExpansion':
    case 'ArithmeticCommandExpansion':
    case 'ProcessSubstitution':
      if (node.script === undefined) throw new Refused('a substitution could not be read');
      return;
    case 'ArithmeticExpansion':
      if (node.expression === undefined) throw new Refused('arithmetic could not be read');
      return;
    case 'ArithmeticCommand':
    case 'ArithmeticFor':
      throw new Refused('it computes with variables');
    case 'ArithmeticWord':
      checkNumber(node);
      return;
    case 'ParameterExpansion':
      checkParameter(node);
      return;
    case 'TestCommand':
      // Where /bin/sh is not Bash, `[[ a || reboot ]]` runs reboot, and `[[ a > b ]]` writes b.
      throw new Refused('it uses "[[", which not every shell takes for a test; use "["');
    case 'AnsiCQuoted':
      // Without $'…' a shell ends the text at the quote that is escaped here.
      if (node.text.includes("\\'")) throw new Refused("a quote is escaped inside of $'…'");
      return;
    default:
      if (!PLAIN.has(node.type)) throw new Refused('it has a part that policies do not know');
  }
}

/** Nodes that run nothing themselves; what is inside them is visited. */
const PLAIN: ReadonlySet<SyntaxNode['type']> = new Set<SyntaxNode['type']>([
  'Statement',
  'CompoundList',
  'CaseItem',
  'Elif',
  'Pipeline',
  'Time',
  'Negation',
  'AndOr',
  'Word',
  'Literal',
  'Glob',
  'SingleQuoted',
  'DoubleQuoted',
  'LocaleString',
  'SimpleExpansion',
  'ExtendedGlob',
  'BraceExpansion',
  'Assignment',
  'HereString',
  'FileDescriptor',
  'HereDocDelimiter',
  'HereDocBody',
  'If',
  'While',
  'Subshell',
  'BraceGroup',
  'Case',
  'ArithmeticBinary',
  'ArithmeticUnary',
  'ArithmeticTernary',
  'ArithmeticGroup',
  'Default',
  'Remove',
  'Replace',
  'Slice',
  'CaseModification',
  'Redirected',
]);

function checkCommand({ name, prefix, suffix }: Command, programs: Set<string>): void {
  // `LD_PRELOAD=…`, `PATH=…`, `GIT_SSH_COMMAND=…`: no list of those that matter is whole.
  if (prefix.some(({ type }) => type === 'Assignment')) throw new Refused('it sets a variable');
  if (name === undefined) return;
  const written = literal(name);
  if (written === undefined) throw new Refused('the name of a program is not literal');
  const base = written.startsWith('/') ? baseOf(written) : written;
  if (!/^(?:[A-Za-z0-9_][A-Za-z0-9_.+-]*|\[|:|\.)$/.test(base)) throw new Refused('the name of a program is unusual');
  checkProgram(base.toLowerCase());
  checkArguments(
    base,
    suffix.filter((one) => one.type === 'Word'),
  );
  programs.add(written).add(base);
}

function baseOf(path: string): string {
  const [, ...parts] = path.split('/');
  if (parts.some((part) => part === '' || part === '.' || part === '..')) {
    throw new Refused('the path of a program is not in its shortest form');
  }
  return parts.at(-1) ?? '';
}

function checkProgram(name: string): void {
  if (SHELLS.has(name.replace(/-?[\d.]+$/, '')))
    throw new Refused('it runs a shell, which runs what nobody reads here');
  if (RUNNERS.has(name)) throw new Refused('it runs a program that runs another (env, xargs, sudo and the like)');
  if (BUILTINS.has(name))
    throw new Refused('it uses a builtin that runs text or sets variables (eval, source, export)');
}

function checkArguments(name: string, args: readonly Word[]): void {
  if (name === 'find') {
    if (args.some((arg) => literal(arg) === undefined)) throw new Refused('an argument of find is not literal');
    if (args.some((arg) => /^-(?:exec|ok)/.test(arg.value))) throw new Refused('find runs another program');
    if (args.some((arg) => /^-(?:delete|fprint|fls)/.test(arg.value)))
      throw new Refused('find deletes or writes files');
  }
  if (/^(?:printf|test|\[|wait)$/.test(name) && args.some((arg) => /^-[a-z]*[vRp]/.test(arg.value))) {
    throw new Refused(`${name} takes the name of a variable`);
  }
}

/** A word's text where no part of it depends on anything. */
function literal({ value, parts }: Word): string | undefined {
  return parts === undefined || parts.every(isLiteral) ? value : undefined;
}

function isLiteral(part: WordPart): boolean {
  switch (part.type) {
    case 'Literal':
    case 'SingleQuoted':
    case 'AnsiCQuoted':
      return true;
    case 'DoubleQuoted':
      return part.parts.every(isLiteral);
    default:
      return false;
  }
}

function checkRedirect({ operator, target }: Redirect): void {
  const to = target === undefined ? undefined : literal(target);
  if (to === undefined) throw new Refused('the target of a redirect is not literal');
  const isDescriptor = /^(?:\d|-)$/.test(to);
  if ((operator === '>&' || operator === '<&') && isDescriptor) return;
  if (operator === '<' && !/^\/dev\/+(?:tcp|udp)/.test(to)) return;
  if (operator !== '<' && operator !== '<>' && operator !== '<&' && to === '/dev/null') return;
  throw new Refused('a redirect writes, or opens a connection');
}

const isHarmlessVariable = (name: string): boolean => /^[a-z][a-z0-9_]*$/.test(name) && !name.includes('proxy');

/** A variable's value is computed, too: `a[$(id)]` in it runs `id`. */
function checkNumber({ value }: ArithmeticWord): void {
  if (!/^\d+$/.test(value) && !value.startsWith('$(')) throw new Refused('it computes with variables');
}

function checkParameter({ prefix, index, operation }: ParameterExpansionPart): void {
  if (prefix === '!') throw new Refused('an expansion goes by the name in a variable');
  if (index !== undefined && !/^(?:\d+|[@*])$/.test(literal(index) ?? index.text)) {
    throw new Refused('an index is computed');
  }
  switch (operation?.type) {
    case undefined:
    case 'Remove':
    case 'Replace':
    case 'CaseModification':
      return;
    case 'Default':
      if (operation.operator.endsWith('=')) throw new Refused('an expansion sets a variable');
      return;
    case 'Slice':
      if (!/^ ?-?\d+$/.test(operation.offset.text) || !/^-?\d*$/.test(operation.length?.text ?? '')) {
        throw new Refused('the bounds of a slice are computed');
      }
      return;
    default:
      // `@P` expands a value as a prompt, with its substitutions.
      throw new Refused('an expansion transforms its value');
  }
}
