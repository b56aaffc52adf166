/**
 * MySQL, BigQuery and SQLite by the grammars of node-sql-parser. They are not the servers' own: they accept too much, say
 * too little, and drop parts of what they accept. So the tree has to consist of known parts alone, and what the tokens say
 * counts as well.
 */
import type { Dialect, SqlReading } from '../statement.ts';
import { BIGQUERY_FUNCTIONS } from './bigquery-functions.ts';
import { createFactsDraft, type FactsDraft, unreadable } from './facts.ts';
import { READING_KEYS, READING_TYPES, STATEMENTS } from './grammar-nodes.ts';
import { MYSQL_FUNCTIONS } from './mysql-functions.ts';
import { fold, type Token } from './scan.ts';
import { SQLITE_FILES, SQLITE_FUNCTIONS } from './sqlite-functions.ts';
import { callsIn, commandIn, statementsOf, writesByWord } from './tokens.ts';

type GrammarDialect = Exclude<Dialect, 'postgresql'>;

export interface GrammarParser {
  /** `tokens`: of the same text, from scan.ts. */
  read(text: string, tokens: readonly Token[]): SqlReading;
}

interface Terms {
  readonly dialect: GrammarDialect;
  readonly functions: ReadonlySet<string>;
  /** Reserved words that stand before a parenthesis as a function's name does. */
  readonly operators: ReadonlySet<string>;
  /** The server takes names of tables that differ in case for the same. */
  readonly foldsTables: boolean;
}

const OPERATORS: ReadonlySet<string> = new Set(['exists', 'not', 'any', 'all', 'some']);

const TERMS: Readonly<Record<GrammarDialect, Terms>> = {
  mysql: { dialect: 'mysql', functions: MYSQL_FUNCTIONS, operators: OPERATORS, foldsTables: false },
  bigquery: { dialect: 'bigquery', functions: BIGQUERY_FUNCTIONS, operators: OPERATORS, foldsTables: false },
  sqlite: { dialect: 'sqlite', functions: SQLITE_FUNCTIONS, operators: new Set(['exists', 'not']), foldsTables: true },
};

export async function loadGrammar(dialect: GrammarDialect): Promise<GrammarParser> {
  const { Parser } = await load(dialect);
  const parser = new Parser();
  const terms = TERMS[dialect];
  return {
    read(text, tokens) {
      let parsed: Parsed;
      try {
        parsed = parser.parse(text, { database: dialect }) as unknown as Parsed;
      } catch (error) {
        return unreadable(error instanceof RangeError ? 'it nests too deep' : 'its parser does not know its syntax');
      }
      try {
        return readTree(parsed, tokens, terms);
      } catch (error) {
        if (error instanceof RangeError) return unreadable('it nests too deep');
        throw error;
      }
    },
  };
}

/** A build a dialect; each is loaded where it is first asked for. */
async function load(dialect: GrammarDialect) {
  switch (dialect) {
    case 'mysql':
      return (await import('node-sql-parser/build/mysql.js')).default;
    case 'bigquery':
      return (await import('node-sql-parser/build/bigquery.js')).default;
    case 'sqlite':
      return (await import('node-sql-parser/build/sqlite.js')).default;
  }
}

type Node = Readonly<Record<string, unknown>>;
interface Parsed {
  readonly tableList?: unknown;
  readonly ast?: unknown;
}

interface Walked {
  readonly draft: FactsDraft;
  readonly terms: Terms;
  /** Names of all CTEs, in whatever scope. */
  readonly ctes: Set<string>;
}

function readTree(parsed: Parsed, tokens: readonly Token[], terms: Terms): SqlReading {
  const nodes = (Array.isArray(parsed.ast) ? parsed.ast : [parsed.ast]).filter(
    (node) => node !== null && node !== undefined,
  );
  const statements = statementsOf(tokens);
  // A grammar that reads fewer statements than there are took one for a comment.
  if (nodes.length !== statements.length) return unreadable('its parser finds another number of statements');
  const walked: Walked = { draft: createFactsDraft(), terms, ctes: new Set() };
  for (const [at, node] of nodes.entries()) {
    if (!readStatement(node as Node, statements[at] ?? [], walked)) {
      return unreadable('its parser takes it for something else than it begins with');
    }
  }
  noteTokens(tokens, walked);
  noteTableList(parsed.tableList, walked);
  return walked.draft.finish();
}

/** @returns whether the first word is one that a statement of that sort begins with. */
function readStatement(node: Node, statement: readonly Token[], { draft, ...rest }: Walked): boolean {
  const type = String(node.type);
  const begins = Object.hasOwn(STATEMENTS, type) ? STATEMENTS[type as keyof typeof STATEMENTS] : undefined;
  const command = commandIn(statement);
  const [first = ''] = command?.split(' ') ?? [];
  if (begins === undefined || !(begins as readonly string[]).includes(first)) return false;
  if (command !== undefined) draft.command(command);
  if (!isHarmlessShow(statement)) walk(node, NO_CTES, { draft, ...rest });
  return true;
}

/** Those alone that name nothing and take no condition; others show what a rule about tables would keep. */
function isHarmlessShow(statement: readonly Token[]): boolean {
  const [show, what, ...more] = statement.map(({ kind, text }) => (kind === 'word' ? fold(text) : ''));
  return show === 'show' && more.length === 0 && (what === 'tables' || what === 'databases' || what === 'schemas');
}

function noteTokens(tokens: readonly Token[], { draft, terms, ctes }: Walked): void {
  if (writesByWord(tokens)) draft.writes('it holds a word of statements that write');
  for (const name of callsIn(tokens, ctes)) noteFunction(name, draft, terms);
}

/** The grammar's own list, in case that a table stands where the walk did not see it. */
function noteTableList(list: unknown, { draft, terms, ctes }: Walked): void {
  for (const entry of Array.isArray(list) ? list : []) {
    const [, db = 'null', ...table] = String(entry).split('::');
    const name = table.join('::');
    if (name === 'null' || name === '' || ctes.has(name)) continue;
    draft.table(foldTable(db === 'null' ? name : `${db}.${name}`, terms));
  }
}

const foldTable = (name: string, { foldsTables }: Terms): string => (foldsTables ? fold(name) : name);

function noteFunction(name: string, draft: FactsDraft, { functions }: Terms): void {
  draft.called(name);
  if (!functions.has(name)) draft.writes('it calls a function that is not on the list of harmless ones');
}

/** Lists of names that are gathered elsewhere, and quotes. */
const NO_PARTS: ReadonlySet<string> = new Set(['tableList', 'columnList', 'surround']);

type Ctes = ReadonlySet<string>;
const NO_CTES: Ctes = new Set();

function walk(value: unknown, outer: Ctes, walked: Walked): void {
  if (Array.isArray(value)) {
    for (const one of value) walk(one, outer, walked);
    return;
  }
  if (typeof value !== 'object' || value === null) return;
  const node = value as Node;
  noteType(node, walked);
  const { with: ctes, ...rest } = node;
  const known = Array.isArray(ctes) ? walkCtes(ctes, outer, walked) : outer;
  noteTable(node, known, walked);
  for (const [key, inner] of Object.entries(rest)) {
    if (NO_PARTS.has(key)) continue;
    if (!READING_KEYS.has(key)) walked.draft.writes('its tree has a part that is not known to only read');
    if (isClause(key, inner)) walked.draft.writes('it has an INTO, or locks rows');
    walk(inner, known, walked);
  }
}

/** `into: { position: null }` says that there is none. */
function isClause(key: string, value: unknown): boolean {
  if (key === 'locking_read' || key === 'for_update') return value !== null && value !== undefined;
  if (key !== 'into' || typeof value !== 'object' || value === null) return false;
  return Object.values(value).some((one) => one !== null);
}

/** @returns the names that stand for CTEs in the statement behind them. */
function walkCtes(list: readonly unknown[], outer: Ctes, walked: Walked): Ctes {
  const known = new Set(outer);
  const recursive = list.some((cte) => (cte as Node).recursive === true);
  for (const cte of list as readonly Node[]) {
    const name = (cte.name as { value?: unknown } | undefined)?.value ?? cte.name;
    const folded = foldTable(String(name), walked.terms);
    walked.ctes.add(folded).add(String(name));
    // Without RECURSIVE a name inside of its own CTE, or before it, is a table's.
    if (recursive) known.add(folded);
    walk(cte, new Set(known), walked);
    known.add(folded);
  }
  return known;
}

function noteType(node: Node, { draft, terms }: Walked): void {
  const { type } = node;
  if (typeof type !== 'string') return;
  if (!READING_TYPES.has(type.toLowerCase())) draft.writes('it has a part that is not known to only read');
  if (/^(select|insert|update|delete|merge)$/.test(type)) draft.command(type.toUpperCase());
  if (type === 'function' && !isOperator(node.name, terms)) noteFunction(functionName(node.name), draft, terms);
  if (type === 'aggr_func' || type === 'window_func') noteFunction(fold(String(node.name)), draft, terms);
}

/** `EXISTS (…)`, `= ANY (…)` and `NOT (…)` come as functions. A function whose name is quoted so is among the tokens. */
function isOperator(name: unknown, { operators }: Terms): boolean {
  return operators.has(functionName(name));
}

/** A name is text, or a path of names with a schema. */
function functionName(name: unknown): string {
  if (typeof name === 'string') return fold(name);
  const { schema, name: path } = (name ?? {}) as {
    schema?: { value?: unknown } | null;
    name?: readonly { value?: unknown }[];
  };
  const parts = [...(schema ? [schema] : []), ...(Array.isArray(path) ? path : [])];
  return fold(parts.map(({ value }) => String(value)).join('.'));
}

function noteTable(node: Node, ctes: Ctes, { draft, terms }: Walked): void {
  if (typeof node.table !== 'string' || node.type === 'column_ref' || node.type === 'star') return;
  const parts = (node.catalog ? [node.catalog, node.schema, node.table] : [node.db, node.table]).filter(Boolean);
  const name = foldTable(parts.join('.'), terms);
  if (parts.length === 1 && ctes.has(name)) return;
  draft.table(name);
  if (terms.dialect === 'sqlite' && SQLITE_FILES.has(fold(node.table))) draft.writes('it names a table that is a file');
}
