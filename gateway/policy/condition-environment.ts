/** What conditions can name: variables, functions, and the statements inside arguments. */
import { Environment } from '@marcbachmann/cel-js';
import { RE2JS } from 're2js';
import { OPTIONS } from '../cel/expression.ts';
import { compileSearch } from '../glob.ts';
import { type Dialect, type Question, questionKey, type Reading, type Readings } from './statement.ts';

/** One evaluation: what it asked, and what it may know. */
export interface Asking {
  readonly readings: Readings;
  readonly dialect: Dialect | undefined;
  readonly questions: Question[];
}

export type Environments = ReturnType<typeof createEnvironments>;

/** Fields of pinned arguments, and their CEL types. */
export type ArgumentTypes = Readonly<Record<string, string>>;

/** Questions of one evaluation: a loop over a list asks one each. */
const MOST_QUESTIONS = 16;
/** Characters that a pattern is run over, and pieces that a text is split into. */
const MOST_MATCHED = 256 * 1024;
const MOST_PIECES = 1000;
/** A needle of more characters is looked for in linear time: V8's own search takes the product of both in the worst case. */
const SHORT_NEEDLE = 64;

/**
 * Standard names that the library runs in its own way, and ours in their place, of the same length, so that places in the
 * source stay right: `matches` and `contains` take more than linear time there, `split` as much memory as the text asks
 * for, and `lowerAscii` maps more than ASCII (U+212A becomes `k`).
 */
export const STAND_INS: ReadonlyMap<string, string> = new Map([
  ['matches', 'm_tches'],
  ['contains', 'c_ntains'],
  ['split', 'spl_t'],
  ['lowerAscii', 'l_werAscii'],
  ['upperAscii', 'u_perAscii'],
]);

/** All that a condition may call. What the library knows besides is no part of the policy's language. */
export const FUNCTIONS: ReadonlySet<string> = new Set(
  'has size string int double bool timestamp duration dyn type'.split(' '),
);
export const METHODS: ReadonlySet<string> = new Set(
  (
    'size contains startsWith endsWith matches split lowerAscii upperAscii trim ' +
    'all exists exists_one map filter ' +
    'getFullYear getMonth getDate getDayOfMonth getDayOfWeek getDayOfYear getHours getMinutes getSeconds getMilliseconds ' +
    'readOnly commands tables functions programs'
  ).split(' '),
);

const PRINCIPAL = {
  kind: 'string',
  issuer: 'string',
  subject: 'string',
  email: 'string',
  groups: 'list<string>',
  owner: 'string',
  onBehalfOf: 'string',
  attributes: 'map<string, string>',
  clientId: 'string',
};
const TOOL = { name: 'string', destructive: 'bool', readOnly: 'bool', pinned: 'bool' };

/** Why there is no value, in words without any of a message. */
export class ConditionError extends Error {
  override readonly name = 'ConditionError';
}

/** The library tells types of values by their constructor. */
export class PrincipalFacts {}
export class ToolFacts {}
class SqlReader {}
class ShellReader {}

/** One for a whole policy: environments, the patterns of its conditions, and who is asking just now. */
export function createEnvironments() {
  const patterns = new Map<string, RE2JS>();
  let asking: Asking | undefined;

  function ask(question: Question): Reading | undefined {
    if (asking === undefined) throw new Error('Nothing is being decided.');
    const reading = asking.readings.get(questionKey(question));
    if (reading !== undefined) return reading;
    if (asking.questions.length >= MOST_QUESTIONS) throw new ConditionError('it asks about too many statements');
    asking.questions.push(question);
    return undefined;
  }

  function readSql<T>(text: string, unread: T, of: (facts: { readonly [K in SqlFact]: unknown }) => unknown): T {
    const dialect = asking?.dialect;
    if (dialect === undefined) throw new ConditionError('the connection has no dialect');
    const reading = ask({ kind: 'sql', dialect, text });
    if (reading === undefined) return unread;
    if (!reading.ok) throw new ConditionError(`a statement can not be read: ${reading.words}`);
    if (!('readOnly' in reading)) throw new ConditionError('a statement was read as another thing');
    return of(reading) as T;
  }

  const root = new Environment(OPTIONS)
    .registerType('Principal', { ctor: PrincipalFacts, fields: PRINCIPAL })
    .registerType('Tool', { ctor: ToolFacts, fields: TOOL })
    .registerType('SqlReader', { ctor: SqlReader, fields: {} })
    .registerType('ShellReader', { ctor: ShellReader, fields: {} })
    .registerVariable('principal', 'Principal')
    .registerVariable('tool', 'Tool')
    .registerVariable('connection', 'string')
    .registerVariable('method', 'string')
    .registerVariable('name', 'string')
    .registerVariable('access', 'string')
    .registerVariable('client', 'string')
    .registerVariable('now', 'google.protobuf.Timestamp')
    .registerVariable('params', 'map<string, dyn>')
    .registerConstant('sql', 'SqlReader', new SqlReader())
    .registerConstant('shell', 'ShellReader', new ShellReader())
    .registerFunction('SqlReader.readOnly(string): bool', (_: unknown, text: string) =>
      readSql(text, false, ({ readOnly }) => readOnly),
    )
    .registerFunction('SqlReader.commands(string): list<string>', (_: unknown, text: string) =>
      readSql(text, [], ({ commands }) => commands),
    )
    .registerFunction('SqlReader.tables(string): list<string>', (_: unknown, text: string) =>
      readSql(text, [], ({ tables }) => tables),
    )
    .registerFunction('SqlReader.functions(string): list<string>', (_: unknown, text: string) =>
      readSql(text, [], ({ functions }) => functions),
    )
    .registerFunction('ShellReader.programs(string): list<string>', (_: unknown, text: string) => {
      const reading = ask({ kind: 'shell', text });
      if (reading === undefined) return [];
      if (!reading.ok) throw new ConditionError(`a command can not be read: ${reading.words}`);
      if (!('programs' in reading)) throw new ConditionError('a command was read as another thing');
      return reading.programs;
    })
    .registerFunction('string.m_tches(string): bool', (text: string, pattern: string) => {
      const compiled = patterns.get(pattern);
      if (compiled === undefined || text.length > MOST_MATCHED)
        throw new ConditionError('a text is too long for a pattern');
      return compiled.test(text);
    })
    .registerFunction('string.c_ntains(string): bool', (text: string, needle: string) =>
      needle.length <= SHORT_NEEDLE ? text.includes(needle) : compileSearch(needle)(text, 0, text.length) !== undefined,
    )
    .registerFunction('string.spl_t(string): list<string>', (text: string, separator: string) => {
      if (text.length > MOST_MATCHED || separator.length > SHORT_NEEDLE)
        throw new ConditionError('a text is too long to split');
      const pieces = text.split(separator, MOST_PIECES + 1);
      if (pieces.length > MOST_PIECES) throw new ConditionError('a text has too many pieces');
      return pieces;
    })
    .registerFunction('string.l_werAscii(): string', (text: string) =>
      text.replace(/[A-Z]+/g, (letters) => letters.toLowerCase()),
    )
    .registerFunction('string.u_perAscii(): string', (text: string) =>
      text.replace(/[a-z]+/g, (letters) => letters.toUpperCase()),
    );

  const untyped = root.clone().registerVariable('args', 'map<string, dyn>');

  return {
    /** The language, with arguments that are typed where their schema is pinned. */
    for(types: ArgumentTypes | undefined): Environment {
      if (types === undefined) return untyped;
      return root.clone().registerVariable({ name: 'args', schema: types });
    },

    /** Whether a literal pattern is one that takes linear time; kept for the evaluations. */
    addPattern(source: string): boolean {
      try {
        if (!patterns.has(source)) patterns.set(source, RE2JS.compile(source));
        return true;
      } catch {
        return false;
      }
    },

    /** Evaluation never waits, so one is over before the next begins. */
    during<T>(who: Asking, evaluate: () => T): T {
      asking = who;
      // Whoever sends a message can make all conditions fail: a stack that nobody reads would be most of the time of it.
      const { stackTraceLimit } = Error;
      Error.stackTraceLimit = 0;
      try {
        return evaluate();
      } finally {
        Error.stackTraceLimit = stackTraceLimit;
        asking = undefined;
      }
    },
  };
}

type SqlFact = 'readOnly' | 'commands' | 'tables' | 'functions';
