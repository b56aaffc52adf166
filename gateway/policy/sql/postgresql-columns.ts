/**
 * Functions that are called without parentheses. Where `t` has no column `f`, PostgreSQL takes `t.f` for `f(t)`; and `t`
 * is a value, not a row, where it stands for a function in FROM: `select x.pg_read_file from unnest('{/etc/passwd}') x`.
 * Source: https://www.postgresql.org/docs/18/sql-expressions.html#SQL-EXPRESSIONS-FUNCTION-CALLS, its note
 */
import type { FactsDraft } from './facts.ts';
import { strings } from './postgresql-nodes.ts';

/** No columns that anybody needs, of whatever table. */
const CALLED_AS_COLUMN =
  /^(?:pg_|lo_|lowrite|loread|dblink|nextval|setval|set_config|setseed|txid_|ts_stat|ts_rewrite|brin_|gin_|binary_upgrade|currtid)/;

/** Columns of PostgreSQL's own functions, and that of WITH ORDINALITY. */
const COLUMNS: ReadonlySet<string> = new Set(['key', 'value', 'ordinality', 'word', 'ndoc', 'nentry']);

type Fields = Readonly<Record<string, unknown>>;

/** Notes them in a whole tree. */
export function noteCallsByColumn(tree: unknown, draft: FactsDraft): void {
  const references: string[][] = [];
  /** Names that stand for functions in FROM, with the columns that are named there. */
  const functions = new Map<string, Set<string>>();
  visit(tree, (name, fields) => {
    if (name === 'ColumnRef') references.push(strings(fields.fields));
    if (name === 'RangeFunction') noteRange(fields, functions);
  });
  for (const path of references) {
    const [table, column] = path.slice(-2);
    if (path.length < 2 || table === undefined || column === undefined) continue;
    const columns = functions.get(table);
    const isColumn = columns === undefined || columns.has(column) || COLUMNS.has(column) || column === table;
    if (isColumn && !CALLED_AS_COLUMN.test(column)) continue;
    draft.called(column);
    draft.writes('it names a column as one calls a function');
  }
}

function noteRange({ alias, functions, coldeflist }: Fields, ranges: Map<string, Set<string>>): void {
  const { aliasname, colnames } = (alias ?? {}) as Fields;
  const columns = [...strings(colnames), ...definedColumns(coldeflist)];
  // Without an alias a function stands under its own name.
  const names = typeof aliasname === 'string' ? [aliasname] : calledIn(functions);
  for (const name of names) ranges.set(name, new Set([...(ranges.get(name) ?? []), ...columns]));
}

function definedColumns(list: unknown): string[] {
  const columns: string[] = [];
  visit(list, (name, { colname }) => {
    if (name === 'ColumnDef') columns.push(String(colname));
  });
  return columns;
}

function calledIn(functions: unknown): string[] {
  const names: string[] = [];
  visit(functions, (name, { funcname }) => {
    if (name === 'FuncCall') names.push(strings(funcname).at(-1) ?? '');
  });
  return names;
}

function visit(value: unknown, note: (name: string, fields: Fields) => void): void {
  if (Array.isArray(value)) {
    for (const one of value) visit(one, note);
    return;
  }
  if (typeof value !== 'object' || value === null) return;
  for (const [name, inner] of Object.entries(value)) {
    if (/^[A-Z]/.test(name)) note(name, (inner ?? {}) as Fields);
    visit(inner, note);
  }
}
