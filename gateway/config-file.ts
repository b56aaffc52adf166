import { createHash } from 'node:crypto';
import { closeSync, fstatSync, openSync, readFileSync } from 'node:fs';
import { dirname, resolve } from 'node:path';
import { type Document, isMap, isScalar, isSeq, LineCounter, parseDocument } from 'yaml';
import { canonicalJson } from './canonical-json.ts';
import { type Config, ConfigError, type ConnectionConfig, parseConfig } from './config.ts';
import { mapLoginReferences, mapReferences, mapWebhookReferences } from './config-references.ts';
import { syntaxWords } from './config-syntax.ts';

/**
 * A mistake in a file. Line and column count from 1 and are 0 where it is the file itself (it is not there, it is no
 * text); `key` is dotted, `connections.orders.paths[0]`, or empty.
 */
export interface FileProblem {
  readonly line: number;
  readonly column: number;
  readonly key: string;
  readonly problem: string;
  readonly fix: string;
}

export type LoadedConfig =
  | { readonly ok: true; readonly config: Config; readonly digest: string; readonly canonical: Buffer }
  | { readonly ok: false; readonly problems: readonly FileProblem[] };

const MAX_FILE = 1024 * 1024;
/** Room for a shared `limits`, far from what a billion laughs needs. */
const MAX_ALIASES = 100;
/** Mistakes in YAML that are named: what follows them is mostly their consequence. */
const MOST_SYNTAX = 3;

/**
 * Reads a YAML 1.2 configuration: whole, or not at all with every mistake found. Never throws for what the file holds.
 *
 * `canonical` is the configuration in force as JSON with sorted keys (references, never secrets); `digest` is the hex
 * SHA-256 of exactly those bytes. Relative paths and `file:` references are resolved against the file's folder.
 */
export function loadConfigFile(path: string): LoadedConfig {
  const text = readText(path);
  if (typeof text !== 'string') return { ok: false, problems: [text] };

  const counter = new LineCounter();
  const at = (offset: number) => {
    const { line, col } = counter.linePos(offset);
    return { line: Math.max(line, 1), column: Math.max(col, 1) };
  };
  const document = parseDocument(text, {
    lineCounter: counter,
    prettyErrors: false, // pretty errors quote the line, which could hold a secret that does not belong there
    version: '1.2',
    schema: 'core',
    uniqueKeys: true,
  });
  const syntax = [...document.errors, ...document.warnings].map((error) => ({
    ...at(error.pos[0]),
    key: '',
    ...syntaxWords(error),
  }));
  // One slip makes the parser stumble several times: the first in a line says what it was.
  const problems = syntax.filter((one, index) => syntax.findIndex(({ line }) => line === one.line) === index);
  if (problems.length > 0) return { ok: false, problems: problems.slice(0, MOST_SYNTAX) };

  let value: unknown;
  try {
    value = document.toJS({ maxAliasCount: MAX_ALIASES });
  } catch {
    const words = { problem: 'uses aliases that can not be resolved', fix: 'Write the values out.' };
    return { ok: false, problems: [{ line: 1, column: 1, key: '', ...words }] };
  }
  try {
    const config = resolvePaths(parseConfig(value), dirname(resolve(path)));
    const canonical = Buffer.from(canonicalJson(config), 'utf8');
    return { ok: true, config, canonical, digest: createHash('sha256').update(canonical).digest('hex') };
  } catch (error) {
    if (!(error instanceof ConfigError)) throw error;
    const found = error.problems.map(({ path: keys, problem, fix }) => ({
      ...at(offsetOf(document, keys)),
      key: keys.reduce<string>(
        (key, step) => (typeof step === 'number' ? `${key}[${step}]` : key ? `${key}.${step}` : step),
        '',
      ),
      problem,
      fix,
    }));
    return { ok: false, problems: found.sort((one, other) => one.line - other.line || one.column - other.column) };
  }
}

/** A mistake as people read it: `gateway.yaml:3:1 listen.port: is missing. Fix: …`, or `gateway.yaml does not exist.` */
export function problemWords(file: string, { line, column, key, problem, fix }: FileProblem): string {
  if (line === 0) return `${file} ${problem}.`;
  return `${file}:${line}:${column} ${key === '' ? '' : `${key}: `}${problem}. Fix: ${fix}`;
}

function ofFile(problem: string, fix: string): FileProblem {
  return { line: 0, column: 0, key: '', problem, fix };
}

function readText(path: string): string | FileProblem {
  let descriptor: number | undefined;
  try {
    descriptor = openSync(path, 'r');
    const stat = fstatSync(descriptor);
    if (!stat.isFile()) return ofFile('is not a file', 'Name the configuration file itself.');
    if (stat.size > MAX_FILE) return ofFile('is larger than 1 MiB', 'Name a configuration file.');
    return new TextDecoder('utf-8', { fatal: true }).decode(readFileSync(descriptor));
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code === 'ENOENT') return ofFile('does not exist', 'Name an existing file.');
    if (code === 'ERR_ENCODING_INVALID_ENCODED_DATA') return ofFile('is not UTF-8', 'Save the file as UTF-8.');
    return ofFile(`can not be read (${code ?? 'unknown error'})`, 'Let the user that runs the gateway read it.');
  } finally {
    if (descriptor !== undefined) closeSync(descriptor);
  }
}

/** Where the deepest existing part of a key path stands: the key in a map, the item in a list. */
function offsetOf(document: Document, path: readonly (string | number)[]): number {
  let node: unknown = document.contents;
  let offset = 0;
  for (const step of path) {
    if (isMap(node)) {
      const pair = node.items.find(({ key }) => isScalar(key) && String(key.value) === String(step));
      if (pair === undefined) break;
      if (isScalar(pair.key) && pair.key.range) offset = pair.key.range[0];
      node = pair.value;
    } else if (isSeq(node)) {
      node = node.items[Number(step)];
      if (isScalar(node) && node.range) offset = node.range[0];
    } else break;
  }
  return offset;
}

function resolvePaths(config: Config, folder: string): Config {
  const reference = (ref: string) => (ref.startsWith('file:') ? `file:${resolve(folder, ref.slice(5))}` : ref);
  const connections: Record<string, ConnectionConfig> = Object.create(null);
  for (const [name, connection] of Object.entries(config.connections)) {
    connections[name] = mapReferences(connection, reference);
  }
  const login = config.login === undefined ? {} : { login: mapLoginReferences(config.login, reference) };
  const policies = config.policies === 'allow-all' ? config.policies : resolve(folder, config.policies);
  const webhooks = mapWebhookReferences(config.webhooks, reference);
  return { ...config, data: resolve(folder, config.data), policies, connections, webhooks, ...login };
}
