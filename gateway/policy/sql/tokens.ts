/** What a statement's tokens say of it, whatever its parser makes of them. */
import { fold, isSign, type Token } from './scan.ts';

/** The statements between semicolons, without empty ones. */
export function statementsOf(tokens: readonly Token[]): Token[][] {
  const statements: Token[][] = [[]];
  for (const token of tokens) {
    if (isSign(token, ';')) statements.push([]);
    else statements.at(-1)?.push(token);
  }
  return statements.filter((statement) => statement.length > 0);
}

/** Words that stand before a parenthesis and call nothing. Types among them stand in casts. */
const NO_CALLS: ReadonlySet<string> = new Set(
  [
    'select from where and or xor not in on using as by having limit offset values over exists any all some union except',
    'intersect when then else case between like rlike regexp glob is distinct with join lateral set into table partition',
    'within filter window return ignore respect array struct recursive materialized inner left right full outer cross',
    'div mod decimal numeric char varchar character binary varbinary nchar float double signed unsigned bignumeric string',
    'bytes int integer text qualify key index sets interval pivot unpivot for',
  ].flatMap((line) => line.split(' ')),
);

/** Names before a parenthesis, with what stands before them (`net.host`), folded. */
export function callsIn(tokens: readonly Token[], ctes: ReadonlySet<string>): string[] {
  const calls: string[] = [];
  for (const [at, token] of tokens.entries()) {
    if (!isSign(tokens[at + 1], '(') || (token.kind !== 'word' && token.kind !== 'name')) continue;
    const isPath = isSign(tokens[at - 1], '.');
    if (token.kind === 'word' && !isPath && NO_CALLS.has(fold(token.text))) continue;
    if (!isPath && ctes.has(token.text) && isCteHead(tokens, at)) continue;
    calls.push(pathBefore(tokens, at));
  }
  return calls;
}

function pathBefore(tokens: readonly Token[], last: number): string {
  const parts: string[] = [];
  for (let at = last; at >= 0; at -= 2) {
    parts.unshift(fold(tokens[at]?.text ?? ''));
    if (!isSign(tokens[at - 1], '.')) break;
  }
  return parts.join('.');
}

/** `WITH c (a, b) AS (…)`, where `at` is that of `c`. */
function isCteHead(tokens: readonly Token[], at: number): boolean {
  const before = tokens[at - 1];
  if (!isWord(before, 'with') && !isWord(before, 'recursive') && !isSign(before, ',')) return false;
  let close = at + 2;
  while (close < tokens.length && !isSign(tokens[close], ')') && !isSign(tokens[close], '(')) close++;
  return isSign(tokens[close], ')') && isWord(tokens[close + 1], 'as') && isSign(tokens[close + 2], '(');
}

function isWord(token: Token | undefined, word: string): boolean {
  return token?.kind === 'word' && fold(token.text) === word;
}

/**
 * Words that no statement has that only reads. Grammars drop some of what they accept; these are looked for where nothing
 * can have been dropped.
 */
const WRITING: ReadonlySet<string> = new Set(
  [
    'into outfile dumpfile procedure insert update delete merge replace truncate drop alter create grant revoke call execute',
    'exec lock share handler load attach detach pragma vacuum reindex analyze commit rollback begin savepoint copy export',
    'install uninstall kill flush reset purge',
  ].flatMap((line) => line.split(' ')),
);

export function writesByWord(tokens: readonly Token[]): boolean {
  return tokens.some((token, at) => {
    if (isSign(token, ':') && isSign(tokens[at + 1], '=')) return true;
    if (token.kind !== 'word' || !WRITING.has(fold(token.text))) return false;
    // A column of that name behind its table's, and text functions: replace(…), insert(…), which the list of functions judges.
    return !isSign(tokens[at - 1], '.') && !isSign(tokens[at + 1], '(');
  });
}

const MODIFIERS: ReadonlySet<string> = new Set(
  'or replace temp temporary unique external fulltext spatial virtual global local algorithm undefined merge temptable'.split(
    ' ',
  ),
);
const WITH_OBJECT: ReadonlySet<string> = new Set([
  'create',
  'drop',
  'alter',
  'rename',
  'lock',
  'unlock',
  'load',
  'export',
]);

/** `CREATE TABLE` of `create or replace table …`; undefined where the statement begins with WITH or a parenthesis. */
export function commandIn(statement: readonly Token[]): string | undefined {
  const [first] = statement;
  if (first?.kind !== 'word' || isWord(first, 'with')) return undefined;
  const word = first.text.toUpperCase();
  const command = word === 'DESC' ? 'DESCRIBE' : word;
  if (!WITH_OBJECT.has(fold(first.text))) return command;
  const object = statement.slice(1).find(({ kind, text }) => kind !== 'word' || !MODIFIERS.has(fold(text)));
  return object?.kind === 'word' ? `${command} ${object.text.toUpperCase()}` : command;
}
