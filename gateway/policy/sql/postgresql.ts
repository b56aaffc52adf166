/**
 * PostgreSQL's own parser, compiled to WebAssembly, and a walk over its whole tree: writes hide in CTEs, under EXPLAIN and
 * in functions.
 */

import type { SqlReading } from '../statement.ts';
import { createFactsDraft, type FactsDraft, unreadable } from './facts.ts';
import { noteCallsByColumn } from './postgresql-columns.ts';
import { POSTGRESQL_FUNCTIONS, POSTGRESQL_OPERATORS } from './postgresql-functions.ts';
import { commandOf, EXPLAIN_OPTIONS, READING_FIELDS, READING_NODES, SAMPLING, strings } from './postgresql-nodes.ts';

export interface PostgresqlParser {
  read(text: string): SqlReading;
  /** An error cut it off inside: its memory is in no known state, and it reads nothing any more. */
  isSpent(): boolean;
}

export async function loadPostgresql(): Promise<PostgresqlParser> {
  const { loadModule, parseSync, SqlError } = await import('libpg-query');
  await loadModule();
  let spent = false;
  return {
    isSpent: () => spent,
    read(text) {
      if (spent) return unreadable('the parser broke on another statement');
      let tree: unknown;
      try {
        tree = parseSync(text);
      } catch (error) {
        if (error instanceof SqlError) return unreadable('PostgreSQL would refuse its syntax');
        spent = true;
        return unreadable('it nests too deep');
      }
      const draft = createFactsDraft();
      try {
        const { stmts = [] } = tree as { stmts?: readonly { stmt?: unknown }[] };
        for (const { stmt } of stmts) walk(stmt, NO_CTES, draft);
        noteCallsByColumn(stmts, draft);
      } catch (error) {
        if (error instanceof RangeError) return unreadable('it nests too deep');
        throw error;
      }
      return draft.finish();
    },
  };
}

type Fields = Readonly<Record<string, unknown>>;
type Ctes = ReadonlySet<string>;
const NO_CTES: Ctes = new Set();

/** `value` is a node under its name (`{ RangeVar: {…} }`), a list of such, or the fields of one. */
function walk(value: unknown, ctes: Ctes, draft: FactsDraft): void {
  if (Array.isArray(value)) {
    for (const one of value) walk(one, ctes, draft);
    return;
  }
  if (typeof value !== 'object' || value === null) return;
  for (const [name, inner] of Object.entries(value)) {
    if (/^[A-Z]/.test(name)) walkNode(name, (inner ?? {}) as Fields, ctes, draft);
    else walkField(name, inner, ctes, draft);
  }
}

function walkNode(name: string, fields: Fields, ctes: Ctes, draft: FactsDraft): void {
  if (!READING_NODES.has(name)) draft.writes(`${name} is not known to only read`);
  if (name.endsWith('Stmt') && name !== 'RawStmt') draft.command(commandOf(name, fields));
  if (name === 'RangeVar' && fields.schemaname === undefined && ctes.has(String(fields.relname))) return;
  noteNode(name, fields, draft);
  walkFields(fields, ctes, draft);
}

/** A field with the fields of a node whose name the tree leaves out. */
function walkField(name: string, value: unknown, ctes: Ctes, draft: FactsDraft): void {
  if (typeof value !== 'object' || value === null) return;
  if (!Array.isArray(value) && !isNamed(value) && !READING_FIELDS.has(name)) {
    draft.writes(`a part (${name}) is not known to only read`);
  }
  if (Array.isArray(value) || isNamed(value)) walk(value, ctes, draft);
  else {
    // A target of INSERT, UPDATE or DELETE is a table, even where a CTE has its name.
    noteTable(value as Fields, draft);
    walkFields(value as Fields, ctes, draft);
  }
}

const isNamed = (value: object): boolean => /^[A-Z]/.test(Object.keys(value)[0] ?? '');

function walkFields(fields: Fields, outer: Ctes, draft: FactsDraft): void {
  const { withClause, ...rest } = fields;
  const ctes = withClause === undefined ? outer : walkCtes(withClause as Fields, outer, draft);
  if (fields.intoClause !== undefined) {
    draft.command('CREATE TABLE');
    draft.writes('SELECT INTO makes a table');
  }
  for (const [name, value] of Object.entries(rest)) {
    // It names aliases again, and locks.
    if (name === 'lockingClause') draft.writes('it locks rows (FOR UPDATE, FOR SHARE)');
    else walkField(name, value, ctes, draft);
  }
}

/** @returns the names that stand for CTEs in the statement behind them. */
function walkCtes({ ctes, recursive }: Fields, outer: Ctes, draft: FactsDraft): Ctes {
  const known = new Set(outer);
  const list = (Array.isArray(ctes) ? ctes : []).map((cte) => (cte as { CommonTableExpr: Fields }).CommonTableExpr);
  if (recursive === true) for (const { ctename } of list) known.add(String(ctename));
  for (const cte of list) {
    // Without RECURSIVE a name inside of its own CTE, or before it, is a table's.
    walkNode('CommonTableExpr', cte, new Set(known), draft);
    known.add(String(cte.ctename));
  }
  return known;
}

function noteNode(name: string, fields: Fields, draft: FactsDraft): void {
  switch (name) {
    case 'RangeVar':
      noteTable(fields, draft);
      return;
    case 'FuncCall':
      noteFunction(strings(fields.funcname), draft);
      return;
    case 'A_Expr':
      noteOperator(strings(fields.name), draft);
      return;
    case 'SubLink':
      noteOperator(strings(fields.operName), draft);
      return;
    case 'SortBy':
      noteOperator(strings(fields.useOp), draft);
      return;
    case 'A_Indirection':
      // `(x).f` calls the function f where x has no such field.
      for (const field of strings(fields.indirection)) noteFunction([field], draft);
      return;
    case 'RangeTableSample':
      if (!SAMPLING.has(strings(fields.method).join('.'))) draft.writes('its sampling method is not known');
      return;
    case 'DefElem':
      if (!EXPLAIN_OPTIONS.has(String(fields.defname)))
        draft.writes('EXPLAIN has an option with which it can run the statement');
      return;
    case 'DropStmt':
    case 'CommentStmt':
      noteObjects(fields, draft);
      return;
    default:
  }
}

function noteTable({ catalogname, schemaname, relname }: Fields, draft: FactsDraft): void {
  if (typeof relname === 'string') draft.table([catalogname, schemaname, relname].filter(Boolean).join('.'));
}

function noteFunction(path: readonly string[], draft: FactsDraft): void {
  const name = (path[0] === 'pg_catalog' ? path.slice(1) : path).join('.');
  if (name === '') return;
  draft.called(name);
  if (!POSTGRESQL_FUNCTIONS.has(name)) draft.writes('it calls a function that is not on the list of harmless ones');
}

function noteOperator(path: readonly string[], draft: FactsDraft): void {
  const name = (path[0] === 'pg_catalog' ? path.slice(1) : path).join('.');
  if (name === '' || POSTGRESQL_OPERATORS.has(name) || WORDS_AS_OPERATORS.has(name)) return;
  draft.writes("it uses an operator that is not PostgreSQL's own");
}

/** How the tree names BETWEEN and IN. */
const WORDS_AS_OPERATORS: ReadonlySet<string> = new Set([
  'BETWEEN',
  'NOT BETWEEN',
  'BETWEEN SYMMETRIC',
  'NOT BETWEEN SYMMETRIC',
]);

/** DROP and COMMENT name tables as lists of texts. */
function noteObjects({ removeType, objtype, objects, object }: Fields, draft: FactsDraft): void {
  if (!/^OBJECT_(TABLE|VIEW|MATVIEW|FOREIGN_TABLE|SEQUENCE|INDEX)$/.test(String(removeType ?? objtype))) return;
  const lists = Array.isArray(objects) ? objects : [object];
  for (const list of lists) {
    const path = strings((list as { List?: { items?: unknown } } | undefined)?.List?.items);
    if (path.length > 0) draft.table(path.join('.'));
  }
}
