/**
 * Functions of SQLite that compute or describe. What is absent loads code (`load_extension`), reads and writes files
 * (`readfile`, `writefile`, `edit` of its shell) or was made by the program that opened the file.
 * Source: https://sqlite.org/lang_corefunc.html, lang_datefunc, lang_aggfunc, windowfunctions, lang_mathfunc, json1
 */
export const SQLITE_FUNCTIONS: ReadonlySet<string> = new Set(
  [
    'abs changes char coalesce concat concat_ws format glob hex if ifnull iif instr length like likelihood likely lower ltrim max',
    'min nullif octet_length printf quote random randomblob replace round rtrim sign soundex substr substring',
    'total_changes trim typeof unhex unicode unistr unlikely upper zeroblob last_insert_rowid sqlite_version',
    'date time datetime julianday unixepoch strftime timediff current_date current_time current_timestamp',
    'avg count group_concat string_agg sum total row_number rank dense_rank percent_rank cume_dist ntile lag lead first_value',
    'last_value nth_value median percentile acos acosh asin asinh atan atan2 atanh ceil ceiling cos cosh degrees exp floor ln log',
    'log10 log2 mod pi pow power radians sin sinh sqrt tan tanh trunc',
    'json jsonb json_array jsonb_array json_array_length json_error_position json_extract jsonb_extract json_insert jsonb_insert',
    'json_object jsonb_object json_patch jsonb_patch json_pretty json_remove jsonb_remove json_replace jsonb_replace json_set',
    'jsonb_set json_type json_valid json_quote json_group_array jsonb_group_array json_group_object jsonb_group_object json_each',
    'json_tree jsonb_each jsonb_tree cast exists',
    'pragma_table_info pragma_table_xinfo pragma_table_list pragma_index_list pragma_index_info pragma_foreign_key_list',
  ].flatMap((line) => line.split(' ')),
);

/** Tables of SQLite's shell that are files: a path is a value in their WHERE. */
export const SQLITE_FILES: ReadonlySet<string> = new Set([
  'fsdir',
  'zipfile',
  'sqlite_dbpage',
  'sqlite_dbdata',
  'sqlite_dbptr',
]);
