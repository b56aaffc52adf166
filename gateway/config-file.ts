import { createHash } from 'node:crypto';
import { closeSync, fstatSync, openSync, readFileSync } from 'node:fs';
import { dirname, resolve } from 'node:path';
import { canonicalJson } from './canonical-json.ts';
import { type Config, ConfigError, type ConnectionConfig, parseConfig } from './config.ts';
import { mapLoginReferences, mapReferences, mapWebhookReferences } from './config-references.ts';
import { type FileProblem, MAX_FILE, readYaml } from './yaml-file.ts';

export type LoadedConfig =
  | { readonly ok: true; readonly config: Config; readonly digest: string; readonly canonical: Buffer }
  | { readonly ok: false; readonly problems: readonly FileProblem[] };

/**
 * Reads a YAML 1.2 configuration: whole, or not at all with every mistake found. Never throws for what the file holds.
 *
 * `canonical` is the configuration in force as JSON with sorted keys (references, never secrets); `digest` is the hex
 * SHA-256 of exactly those bytes. Relative paths and `file:` references are resolved against the file's folder.
 */
export function loadConfigFile(path: string): LoadedConfig {
  const text = readText(path);
  if (typeof text !== 'string') return { ok: false, problems: [text] };

  const yaml = readYaml(text);
  if (!yaml.ok) return yaml;
  try {
    const config = resolvePaths(parseConfig(yaml.value), dirname(resolve(path)));
    const canonical = Buffer.from(canonicalJson(config), 'utf8');
    return { ok: true, config, canonical, digest: createHash('sha256').update(canonical).digest('hex') };
  } catch (error) {
    if (!(error instanceof ConfigError)) throw error;
    return { ok: false, problems: yaml.locate(error.problems) };
  }
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

function resolvePaths(config: Config, folder: string): Config {
  const reference = (ref: string) => (ref.startsWith('file:') ? `file:${resolve(folder, ref.slice(5))}` : ref);
  const connections: Record<string, ConnectionConfig> = Object.create(null);
  for (const [name, connection] of Object.entries(config.connections)) {
    connections[name] = mapReferences(connection, reference);
  }
  const login = config.login === undefined ? {} : { login: mapLoginReferences(config.login, reference) };
  const policies = config.policies === 'allow-all' ? config.policies : resolve(folder, config.policies);
  const webhooks = mapWebhookReferences(config.webhooks, reference);
  const secrets = config.secrets.map(reference);
  return { ...config, data: resolve(folder, config.data), policies, secrets, connections, webhooks, ...login };
}
