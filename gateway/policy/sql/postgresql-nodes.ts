/** The vocabulary of PostgreSQL's parse tree, as far as policies know it. Source: parsenodes.h and primnodes.h of 18. */

/** Nodes of which a statement that only reads is made. */
export const READING_NODES: ReadonlySet<string> = new Set(
  [
    'SelectStmt ExplainStmt VariableShowStmt RawStmt',
    'ResTarget ColumnRef A_Star A_Const A_Expr A_ArrayExpr A_Indices A_Indirection BoolExpr NullTest BooleanTest CaseExpr',
    'CaseWhen CoalesceExpr MinMaxExpr SubLink FuncCall NamedArgExpr TypeCast TypeName CollateClause ParamRef RowExpr List',
    'String Integer Float Boolean BitString SQLValueFunction GroupingFunc GroupingSet SortBy WindowDef CommonTableExpr DefElem',
    'RangeVar RangeSubselect RangeFunction RangeTableSample RangeTableFunc RangeTableFuncCol JoinExpr ColumnDef Alias XmlExpr',
    'XmlSerialize JsonFuncExpr JsonObjectConstructor JsonArrayConstructor JsonArrayQueryConstructor JsonObjectAgg JsonArrayAgg',
    'JsonAggConstructor JsonKeyValue JsonValueExpr JsonFormat JsonReturning JsonIsPredicate JsonParseExpr JsonScalarExpr',
    'JsonSerializeExpr JsonOutput JsonTable JsonTableColumn JsonTablePathSpec JsonBehavior JsonArgument',
  ].flatMap((line) => line.split(' ')),
);

/** Fields that hold a node without its name: what they hold is a part of reading, too. */
export const READING_FIELDS: ReadonlySet<string> = new Set(
  [
    'stmt larg rarg withClause typeName alias join_using_alias over search_clause cycle_clause ival fval boolval sval bsval',
    'func agg constructor context_item value expr format output returning on_empty on_error pathspec plan wrapper',
  ].flatMap((line) => line.split(' ')),
);

/** Options of EXPLAIN with which nothing is run. */
export const EXPLAIN_OPTIONS: ReadonlySet<string> = new Set(
  'verbose costs settings generic_plan format summary memory buffers'.split(' '),
);

export const SAMPLING: ReadonlySet<string> = new Set(['bernoulli', 'system']);

/** Where the name of the node says it otherwise than SQL does. */
const COMMANDS: Readonly<Record<string, string>> = {
  VariableShowStmt: 'SHOW',
  VariableSetStmt: 'SET',
  CreateStmt: 'CREATE TABLE',
  CreateForeignTableStmt: 'CREATE FOREIGN TABLE',
  ViewStmt: 'CREATE VIEW',
  IndexStmt: 'CREATE INDEX',
  RuleStmt: 'CREATE RULE',
  CreateTrigStmt: 'CREATE TRIGGER',
  CreateEventTrigStmt: 'CREATE EVENT TRIGGER',
  CreateSeqStmt: 'CREATE SEQUENCE',
  AlterSeqStmt: 'ALTER SEQUENCE',
  CreatedbStmt: 'CREATE DATABASE',
  DropdbStmt: 'DROP DATABASE',
  AlterDatabaseStmt: 'ALTER DATABASE',
  CreatePLangStmt: 'CREATE LANGUAGE',
  CreateDomainStmt: 'CREATE DOMAIN',
  CreateEnumStmt: 'CREATE TYPE',
  CreateRangeStmt: 'CREATE TYPE',
  CompositeTypeStmt: 'CREATE TYPE',
  CreateFdwStmt: 'CREATE FOREIGN DATA WRAPPER',
  CreateOpClassStmt: 'CREATE OPERATOR CLASS',
  CreateOpFamilyStmt: 'CREATE OPERATOR FAMILY',
  CreateStatsStmt: 'CREATE STATISTICS',
  CreateAmStmt: 'CREATE ACCESS METHOD',
  DropTableSpaceStmt: 'DROP TABLESPACE',
  CreateTableSpaceStmt: 'CREATE TABLESPACE',
  DropOwnedStmt: 'DROP OWNED',
  ReassignOwnedStmt: 'REASSIGN OWNED',
  ConstraintsSetStmt: 'SET CONSTRAINTS',
  CheckPointStmt: 'CHECKPOINT',
  DeclareCursorStmt: 'DECLARE',
  ClosePortalStmt: 'CLOSE',
  RefreshMatViewStmt: 'REFRESH MATERIALIZED VIEW',
  SecLabelStmt: 'SECURITY LABEL',
  ImportForeignSchemaStmt: 'IMPORT FOREIGN SCHEMA',
};

/** `DROP TABLE` of a DropStmt: what it is about stands in a field. */
export function commandOf(node: string, fields: Readonly<Record<string, unknown>>): string {
  const sort = (field: string): string => sortOf(fields[field]);
  switch (node) {
    case 'DropStmt':
      return `DROP ${sort('removeType')}`;
    case 'AlterTableStmt':
      return `ALTER ${sort('objtype')}`;
    case 'RenameStmt':
      return `ALTER ${sort(isPart(fields.renameType) ? 'relationType' : 'renameType')}`;
    case 'AlterOwnerStmt':
    case 'AlterObjectSchemaStmt':
    case 'AlterObjectDependsStmt':
      return `ALTER ${sort('objectType')}`;
    case 'CreateTableAsStmt':
      return `CREATE ${sort('objtype')}`;
    case 'DefineStmt':
      return `CREATE ${sort('kind')}`;
    case 'CreateFunctionStmt':
      return fields.is_procedure === true ? 'CREATE PROCEDURE' : 'CREATE FUNCTION';
    case 'GrantStmt':
    case 'GrantRoleStmt':
      return fields.is_grant === true ? 'GRANT' : 'REVOKE';
    case 'VacuumStmt':
      return fields.is_vacuumcmd === true ? 'VACUUM' : 'ANALYZE';
    case 'TransactionStmt':
      return String(fields.kind).replace('TRANS_STMT_', '').replaceAll('_', ' ');
    default:
      return COMMANDS[node] ?? spaced(node.replace(/Stmt$/, ''));
  }
}

const isPart = (sort: unknown): boolean => /^OBJECT_(COLUMN|TABCONSTRAINT|ATTRIBUTE|DOMCONSTRAINT)$/.test(String(sort));
const sortOf = (sort: unknown): string =>
  String(sort).replace('OBJECT_', '').replace('MATVIEW', 'MATERIALIZED VIEW').replaceAll('_', ' ');
const spaced = (name: string): string => name.replace(/(?<=[a-z])(?=[A-Z])/g, ' ').toUpperCase();

/** The texts of a list of names; stars and indices are left out. */
export function strings(list: unknown): string[] {
  if (!Array.isArray(list)) return [];
  return list.flatMap((one) => {
    const text = (one as { String?: { sval?: unknown } } | null)?.String;
    return text === undefined ? [] : [String(text.sval ?? '')];
  });
}
