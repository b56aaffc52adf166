/**
 * Functions of PostgreSQL 18 that read, compute or describe, and leave nothing behind. What is absent writes (`lo_import`,
 * `setval`), reads files (`pg_read_file`), runs a text as SQL (`query_to_xml`, `ts_stat`, `dblink`), changes the session
 * (`set_config`), holds it (`pg_sleep`, advisory locks) or was made by somebody else.
 * Source: https://www.postgresql.org/docs/18/functions.html
 */
export const POSTGRESQL_FUNCTIONS: ReadonlySet<string> = new Set(
  [
    // Mathematics
    'abs cbrt ceil ceiling degrees div erf erfc exp factorial floor gcd lcm ln log log10 min_scale mod pi power radians',
    'round scale sign sqrt trim_scale trunc width_bucket random random_normal acos asin atan atan2 cos cot sin tan',
    'acosd asind atand cosd sind tand sinh cosh tanh asinh acosh atanh gamma lgamma',
    // Text and bytes
    'ascii bit_length btrim casefold char_length character_length chr concat concat_ws convert convert_from convert_to crc32',
    'crc32c decode encode format get_bit get_byte initcap is_normalized left length lower lpad ltrim md5 normalize octet_length',
    'overlay parse_ident position quote_ident quote_literal quote_nullable regexp_count regexp_instr regexp_like regexp_match',
    'regexp_matches regexp_replace regexp_split_to_array regexp_split_to_table regexp_substr repeat replace reverse right',
    'rpad rtrim set_bit set_byte sha224 sha256 sha384 sha512 split_part starts_with string_to_array string_to_table strpos',
    'substr substring to_ascii to_bin to_hex to_oct translate unicode_assigned unistr upper bit_count like_escape',
    'similar_to_escape',
    // Formatting, dates and times
    'to_char to_date to_number to_timestamp age clock_timestamp date date_add date_bin date_part date_subtract date_trunc extract',
    'isfinite justify_days justify_hours justify_interval make_date make_interval make_time make_timestamp make_timestamptz now',
    'statement_timestamp timeofday timezone transaction_timestamp overlaps',
    // Casts written as calls
    'int2 int4 int8 float4 float8 numeric text bool varchar bpchar timestamp timestamptz interval uuid json jsonb',
    // Geometry, network, ranges
    'area center diagonal diameter height isclosed isopen npoints pclose popen radius slope width box circle line lseg path point',
    'polygon abbrev broadcast family host hostmask inet_merge inet_same_family masklen netmask network set_masklen trunc',
    'isempty lower_inc lower_inf upper_inc upper_inf range_merge multirange int4range int8range numrange tsrange tstzrange',
    'daterange int4multirange int8multirange nummultirange tsmultirange tstzmultirange datemultirange',
    // Arrays
    'array_append array_cat array_dims array_fill array_length array_lower array_ndims array_position array_positions',
    'array_prepend array_remove array_replace array_reverse array_sample array_shuffle array_sort array_to_string array_upper',
    'cardinality trim_array unnest generate_series generate_subscripts',
    // JSON
    'to_json to_jsonb array_to_json row_to_json json_build_array jsonb_build_array json_build_object jsonb_build_object',
    'json_object jsonb_object json_array_elements jsonb_array_elements json_array_elements_text jsonb_array_elements_text',
    'json_array_length jsonb_array_length json_each jsonb_each json_each_text jsonb_each_text json_extract_path',
    'jsonb_extract_path json_extract_path_text jsonb_extract_path_text json_object_keys jsonb_object_keys',
    'json_populate_record jsonb_populate_record json_populate_recordset jsonb_populate_recordset json_to_record',
    'jsonb_to_record json_to_recordset jsonb_to_recordset jsonb_set jsonb_set_lax jsonb_insert json_strip_nulls',
    'jsonb_strip_nulls jsonb_path_exists jsonb_path_match jsonb_path_query jsonb_path_query_array jsonb_path_query_first',
    'jsonb_path_exists_tz jsonb_path_match_tz jsonb_path_query_tz jsonb_path_query_array_tz jsonb_path_query_first_tz',
    'jsonb_pretty json_typeof jsonb_typeof',
    // Text search and UUIDs
    'array_to_tsvector get_current_ts_config numnode plainto_tsquery phraseto_tsquery websearch_to_tsquery querytree setweight',
    'strip to_tsquery to_tsvector ts_delete ts_filter ts_headline ts_rank ts_rank_cd tsquery_phrase tsvector_to_array',
    'gen_random_uuid uuidv4 uuidv7 uuid_extract_timestamp uuid_extract_version',
    // Aggregates and windows
    'any_value array_agg avg bit_and bit_or bit_xor bool_and bool_or count every json_agg jsonb_agg json_object_agg',
    'jsonb_object_agg json_agg_strict jsonb_agg_strict json_object_agg_strict jsonb_object_agg_strict max min range_agg',
    'range_intersect_agg string_agg sum corr covar_pop covar_samp regr_avgx regr_avgy regr_count regr_intercept regr_r2',
    'regr_slope regr_sxx regr_sxy regr_syy stddev stddev_pop stddev_samp variance var_pop var_samp mode percentile_cont',
    'percentile_disc rank dense_rank percent_rank cume_dist row_number ntile lag lead first_value last_value nth_value',
    // What describes the server and its schema
    'version current_database current_catalog current_schema current_schemas current_setting current_query pg_typeof',
    'pg_backend_pid pg_postmaster_start_time pg_is_in_recovery system_user num_nonnulls num_nulls pg_collation_for',
    'has_any_column_privilege has_column_privilege has_database_privilege has_function_privilege has_schema_privilege',
    'has_sequence_privilege has_table_privilege pg_has_role row_security_active',
    'format_type col_description obj_description shobj_description pg_get_constraintdef pg_get_expr pg_get_functiondef',
    'pg_get_function_arguments pg_get_function_identity_arguments pg_get_function_result pg_get_indexdef pg_get_keywords',
    'pg_get_partkeydef pg_get_ruledef pg_get_serial_sequence pg_get_statisticsobjdef pg_get_triggerdef pg_get_userbyid',
    'pg_get_viewdef pg_table_is_visible pg_type_is_visible pg_function_is_visible pg_partition_root pg_partition_tree',
    'to_regclass to_regnamespace to_regproc to_regprocedure to_regrole to_regtype pg_column_size pg_database_size',
    'pg_indexes_size pg_relation_size pg_size_pretty pg_size_bytes pg_table_size pg_total_relation_size pg_encoding_to_char',
    'pg_blocking_pids inet_client_addr inet_client_port inet_server_addr inet_server_port',
  ].flatMap((line) => line.split(' ')),
);

/** Operators of PostgreSQL itself; others call a function that an extension or a user made. */
export const POSTGRESQL_OPERATORS: ReadonlySet<string> = new Set(
  [
    '= <> != < > <= >= + - * / % ^ |/ ||/ @ & | # ~ << >> || ~~ !~~ ~~* !~~* ~* !~ !~* ^@ ~<~ ~<=~ ~>~ ~>=~ *= *<> *< *>',
    '-> ->> #> #>> @> <@ ? ?| ?& #- @? @@ @@@ && &< &> -|- <<= >>= !! <-> <^ >^ ?# ?- ?-| ?|| @-@ ## ~= &<| |&> <<| |>>',
  ].flatMap((line) => line.split(' ')),
);
