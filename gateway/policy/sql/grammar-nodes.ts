/** The vocabulary of node-sql-parser's trees, as far as policies know it. Source: the trees of the corpora beside this. */

/** Statements, and the first words with which each begins; '' is WITH or a parenthesis. */
export const STATEMENTS = {
  select: ['SELECT', ''],
  insert: ['INSERT', ''],
  replace: ['REPLACE', ''],
  update: ['UPDATE', ''],
  delete: ['DELETE', ''],
  create: ['CREATE'],
  drop: ['DROP'],
  alter: ['ALTER'],
  truncate: ['TRUNCATE'],
  rename: ['RENAME'],
  use: ['USE'],
  call: ['CALL'],
  set: ['SET'],
  show: ['SHOW'],
  desc: ['DESCRIBE'],
  explain: ['EXPLAIN', 'DESCRIBE'],
  grant: ['GRANT'],
  revoke: ['REVOKE'],
  transaction: ['BEGIN', 'START', 'COMMIT', 'ROLLBACK'],
  lock: ['LOCK'],
  unlock: ['UNLOCK'],
  load_data: ['LOAD'],
  pragma: ['PRAGMA'],
  attach: ['ATTACH'],
} as const;

export const READING_TYPES: ReadonlySet<string> = new Set(
  [
    'select explain desc',
    'column_ref expr expr_list binary_expr unary_expr function aggr_func window_func case when else cast interval extract',
    'number bigint string single_quote_string double_quote_string backticks_quote_string bool boolean null star param origin',
    'default date time datetime timestamp hex_string full_hex_string bit_string natural_string var var_string',
    'convert window rows array struct except unnest dual tables parenthesis asc desc escape regex collate offset',
  ].flatMap((line) => line.split(' ')),
);

export const READING_KEYS: ReadonlySet<string> = new Set(
  [
    'type ast tableList columnList expr args value left right operator name schema table db as column columns from where groupby',
    'having orderby limit distinct options into position locking_read for_update window collate join on using set_op _next',
    '_orderby _limit seperator separator over cond result parentheses parentheses_symbol prefix members keyword symbol target',
    'dataType length scale suffix unit field source escape modifiers recursive stmt catalog surround offset as_struct_val',
    'for_sys_time_as_of qualify subFields property array_path brackets definition expr_list with_offset order_by with',
    'as_window_specification window_specification partitionby window_frame_clause filter nulls operand _parentheses',
  ].flatMap((line) => line.split(' ')),
);
