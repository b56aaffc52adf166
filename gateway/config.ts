/**
 * The contract between who writes a configuration (a person, or infra) and the gateway. No I/O here: reading a file is
 * config-file.ts, reading what a reference names is secret-ref.ts.
 */

import type { z } from 'zod';
import type { AccessConfig, WebhookConfig } from './config-access.ts';
import type { CredentialConfig } from './config-credential.ts';
import { issuerProblems } from './config-issuer.ts';
import type { LoginConfig } from './config-login.ts';
import { loginProblems } from './config-login-problems.ts';
import { type ConfigProblem, problemsOf } from './config-problems.ts';
import { configSchema } from './config-schema.ts';
import { asArray, asRecord, isRecord } from './config-shape.ts';
import { parseDuration } from './config-units.ts';
import type { MappingConfig } from './identity/claims-mapping.ts';
import type { Dialect } from './policy/statement.ts';
import type { AllowableAddress } from './proxy/address.ts';
import { isBucketName } from './store/bucket-name.ts';

/** Sizes in bytes, times in milliseconds. */
interface Limits {
  readonly requestBytes: number;
  readonly eventBytes: number;
  readonly headerBytes: number;
  readonly exchangesPerPrincipal: number;
  readonly sessionsPerPrincipal: number;
  /** From the request's last byte to the upstream's first. */
  readonly firstByte: number;
  readonly idleStream: number;
}

export interface IssuerConfig {
  readonly name: string;
  /** Compared with `iss` to the letter. */
  readonly issuer: string;
  readonly jwksUri?: string;
  /** Accepted besides a connection's own resource URLs. */
  readonly audience: readonly string[];
  readonly typ: readonly string[];
  readonly algorithms: readonly string[];
  readonly claims: {
    readonly subject: string;
    readonly email: string;
    readonly groups: string;
    readonly session: string;
    /** A claim that says `human` or `agent`; required in tokens where it is set. */
    readonly kind?: string;
  };
  /** CEL expressions over the claims; each replaces the claim that would give the same. */
  readonly mapping?: MappingConfig;
  readonly kind: 'human' | 'agent';
}

export type Durability = 'disk' | 'bucket' | 'memory';

export interface ConnectionConfig {
  readonly name: string;
  readonly title?: string;
  readonly upstream: {
    /** Origin, as `new URL` writes it. */
    readonly url: string;
    readonly allowAddresses: readonly AllowableAddress[];
    readonly connections: number;
    readonly connectTimeout: number;
    /** Reference to a PEM. */
    readonly ca?: string;
  };
  readonly host?: string;
  /** Paths of the Streamable HTTP transport. */
  readonly paths: readonly string[];
  /** The HTTP+SSE transport of 2024-11-05: where its stream opens, and the one path that its messages may go to. */
  readonly sse?: { readonly path: string; readonly messages: string };
  readonly query: readonly string[];
  /** Names of the issuers whose tokens may be presented directly; the only one where none was written. */
  readonly issuers: readonly string[];
  readonly groups: readonly string[];
  readonly credential: CredentialConfig;
  /** The first entry that names a group of the principal's wins over `credential`. */
  readonly credentialByGroup: readonly { readonly groups: readonly string[]; readonly credential: CredentialConfig }[];
  /** Name of the header in which the upstream is told, signed, who calls. */
  readonly identityHeader?: string;
  readonly recording: 'on' | 'off';
  readonly durability: Durability;
  readonly access: AccessConfig;
  /** Of the SQL that its tools take. */
  readonly dialect?: Dialect;
  /** What its data is: `personal` and `pci` demand masks both ways; with `pci` authentication data is refused. */
  readonly data: 'ordinary' | 'personal' | 'pci';
  /** What becomes of a tool whose description or schema is not as pinned. */
  readonly changedTools: 'flag' | 'refuse';
  /** Hosts to which its URL elicitations may send a person. */
  readonly elicitationHosts: readonly string[];
  /** Whole: its own over the configuration's over the defaults. */
  readonly limits: Limits;
}

interface Listener {
  readonly host: string;
  readonly port: number;
}

/** A configuration without mistakes. Times in milliseconds, sizes in bytes; secrets only as references. */
export interface Config {
  readonly listen: Listener;
  readonly metrics?: Listener;
  /** Origin without a trailing slash. */
  readonly publicUrl: string;
  readonly allowedHosts: readonly string[];
  readonly allowedOrigins: readonly string[];
  readonly trustedProxyHops: number;
  readonly data: string;
  readonly stores: { readonly recordings: string; readonly audit: string; readonly state: string };
  /** Absent: the host's name, which is for the caller to ask. */
  readonly replica?: string;
  readonly sealEvery: number;
  readonly maxUnsealedAge: number;
  readonly heartbeatEvery: number;
  /** How long calls are still taken after a stop was asked for, while `/readyz` says 503. */
  readonly drainDelay: number;
  readonly drain: number;
  /** Bytes that the journal may take of its disk. */
  readonly journal: { readonly limit: number };
  /** References to what all replicas share; empty where `login.secrets` names it, or nothing does. */
  readonly secrets: readonly string[];
  /** A folder with `access/` and `tools/`, or `allow-all`: no policy. */
  readonly policies: string;
  readonly sessions: { readonly idle: number; readonly longest: number };
  readonly limits: Limits;
  /** Who signs the ledger's checkpoints: a key version of Cloud KMS. Absent: the disk's own key. */
  readonly signing?: { readonly kms: string };
  /** Addresses of Google's APIs, where they are not the public ones (Private Service Connect). */
  readonly google: GoogleAddresses;
  /** The gateway's own authorization server: where people log in. */
  readonly login?: LoginConfig;
  /** Who is told of approvals and access windows. Without prototype, like `issuers`. */
  readonly webhooks: Readonly<Record<string, WebhookConfig>>;
  /** Who signs tokens that are presented directly. Without prototype, so that no name from a URL finds what was not configured. */
  readonly issuers: Readonly<Record<string, IssuerConfig>>;
  /** Without prototype, like `issuers`. */
  readonly connections: Readonly<Record<string, ConnectionConfig>>;
}

export interface GoogleAddresses {
  readonly iamCredentials?: string;
  readonly secretManager?: string;
  readonly cloudIdentity?: string;
  /** Admin SDK. */
  readonly directory?: string;
  /** The token endpoint, with its path. */
  readonly token?: string;
  /** Of one region: templates of others are not reached through it. */
  readonly modelArmor?: string;
  /** Cloud KMS. */
  readonly kms?: string;
}

/** The configuration has mistakes: all that were found, never with a value in their words. */
export class ConfigError extends Error {
  override readonly name = 'ConfigError';
  readonly problems: readonly ConfigProblem[];

  constructor(problems: readonly ConfigProblem[]) {
    super(problems.map(({ path, problem, fix }) => `${path.join('.')} ${problem}. ${fix}`).join('\n'));
    this.problems = problems;
  }
}

const DEFAULT_LIMITS: Limits = {
  requestBytes: 16 * 1024 ** 2,
  eventBytes: 16 * 1024 ** 2,
  headerBytes: 32 * 1024,
  exchangesPerPrincipal: 64,
  sessionsPerPrincipal: 32,
  firstByte: 120_000,
  idleStream: 3_600_000,
};

/** First path segments that are the gateway's own, now or in a later part. */
const RESERVED = new Set(
  'healthz readyz connect approvals access oauth authorize token register console metrics .well-known'.split(' '),
);

/** Parses a configuration (JSON values, as YAML or JSON gave them). Throws `ConfigError` with every mistake. */
export function parseConfig(value: unknown): Config {
  const parsed = configSchema.safeParse(value);
  const problems = parsed.success ? [] : parsed.error.issues.flatMap((issue) => problemsOf(issue, value));
  const all = [...problems, ...crossProblems(value)];
  if (!parsed.success || all.length > 0) throw new ConfigError(all);
  return build(parsed.data);
}

/**
 * The URL that clients use for a path of a connection: RFC 9728's `resource` and the audience of its tokens.
 * Built from the configuration, never from `Host`. Throws where no connection has that name.
 */
export function resourceUrl(config: Config, connectionName: string, path: string): string {
  const connection = config.connections[connectionName];
  if (connection === undefined) throw new Error('No connection has this name.');
  return connection.host === undefined
    ? `${config.publicUrl}/${connection.name}${path}`
    : `${originOf(config, connection.host)}${path}`;
}

/** The paths of a connection that a client is given: each is a resource, with metadata and an audience of its own. */
export function clientPaths({ paths, sse }: ConnectionConfig): readonly string[] {
  return sse === undefined ? paths : [...paths, sse.path];
}

/** The origin of a connection's own host: `publicUrl` with another name. */
export function originOf(config: Config, host: string): string {
  const url = new URL(config.publicUrl);
  url.hostname = host;
  return url.origin;
}

function build(parsed: z.output<typeof configSchema>): Config {
  const limits = { ...DEFAULT_LIMITS, ...parsed.limits };
  const all = Object.keys(parsed.issuers);
  const onlyIssuer = all.length === 1 ? all : [];
  const { recordings, audit = `${recordings}-audit`, state = `${recordings}-state` } = parsed.stores;
  return dropUndefined({
    ...parsed,
    stores: { recordings, audit, state },
    sealEvery: parsed.sealEvery ?? parseDuration(defaultSealEvery(recordings)),
    limits,
    ...(parsed.login === undefined
      ? {}
      : {
          login: {
            ...parsed.login,
            providers: named(parsed.login.providers, (provider) => provider),
            clients: named(parsed.login.clients, (client) => client),
          },
        }),
    webhooks: named(parsed.webhooks, (webhook) => webhook),
    issuers: named(parsed.issuers, (issuer, name) => ({ name, ...issuer })),
    connections: named(parsed.connections, ({ issuer, issuers, ...connection }, name) => ({
      name,
      ...connection,
      paths: connection.paths ?? (connection.sse === undefined ? ['/mcp'] : []),
      issuers: issuers ?? (issuer === undefined ? onlyIssuer : [issuer]),
      limits: { ...limits, ...connection.limits },
    })),
  }) as Config;
}

/** Requests to a bucket are paid for, each object by itself. */
function defaultSealEvery(recordings: unknown): string {
  return String(recordings).startsWith('gs:') ? '5s' : '1s';
}

function named<In, Out>(record: Record<string, In>, make: (value: In, name: string) => Out): Record<string, Out> {
  const made: Record<string, Out> = Object.create(null);
  for (const [name, value] of Object.entries(record)) made[name] = make(value, name);
  return made;
}

/** Optional keys of a schema come out as keys that hold `undefined`; the types say that they are absent. */
function dropUndefined(value: unknown): unknown {
  if (Array.isArray(value) || typeof value !== 'object' || value === null) return value;
  const kept = Object.create(Object.getPrototypeOf(value)) as Record<string, unknown>;
  for (const [key, member] of Object.entries(value)) if (member !== undefined) kept[key] = dropUndefined(member);
  return kept;
}

/** What one section can not see alone. Reads the unparsed value, so that one mistake never hides another. */
function crossProblems(value: unknown): ConfigProblem[] {
  const root = asRecord(value);
  const issuers = Object.keys(asRecord(root.issuers));
  const connections = Object.entries(asRecord(root.connections));
  const found: ConfigProblem[] = [];
  const add = (path: (string | number)[], problem: string, fix: string) => found.push({ path, problem, fix });

  for (const name of issuers) {
    if (!/^[a-z][a-z0-9-]{0,62}$/.test(name)) add(['issuers', name], 'is not a name', NAME_FIX);
  }
  if (isRecord(value) && issuers.length === 0 && root.login === undefined) {
    const fix = 'Name at least one issuer, or let people log in at the gateway (`login`).';
    add(['issuers'], root.issuers === undefined ? 'is missing' : 'is empty', fix);
  }

  const hosts = new Set<unknown>(publicHost(root.publicUrl));
  for (const [name, raw] of connections) {
    const connection = asRecord(raw);
    const path = ['connections', name];
    if (!/^[a-z][a-z0-9-]{0,62}$/.test(name)) add(path, 'is not a name', NAME_FIX);
    else if (RESERVED.has(name)) add(path, "is the gateway's own name", 'Choose another name.');
    if (connection.host !== undefined) {
      if (hosts.has(connection.host)) add([...path, 'host'], 'is taken', 'Give each connection a host of its own.');
      hosts.add(connection.host);
      for (const [index, own] of asArray(connection.paths).entries()) {
        if (!RESERVED.has(String(own).split('/')[1] ?? '')) continue;
        add([...path, 'paths', index], "is the gateway's own path on this host", 'Choose another path, or no host.');
      }
    }
    if (root.policies === 'allow-all' && (connection.data === 'personal' || connection.data === 'pci')) {
      const fix = 'Write rules with masks (policies: ./policies), or leave `data` out.';
      add([...path, 'data'], 'demands masks, and policies: allow-all has none', fix);
    }
    if (root.login === undefined && hasUserOauth(connection)) {
      const fix = 'Let people log in at the gateway (`login`): that is where they consent.';
      add([...path, 'credential'], "is each person's own", fix);
    }
    const sse = asRecord(connection.sse);
    if (connection.sse !== undefined && asArray(connection.paths).includes(sse.path ?? '/sse')) {
      const fix = 'A path has one transport: take it out of `paths`, or give the stream another.';
      add([...path, 'sse', 'path'], 'is one of paths', fix);
    }
    if (connection.sse !== undefined && (sse.path ?? '/sse') === (sse.messages ?? '/message')) {
      add([...path, 'sse', 'messages'], 'is the path of the stream', 'Write the path that its endpoint event names.');
    }
    found.push(...issuerProblems(root, connection, path));
  }
  if (asArray(root.secrets).length > 0 && asArray(asRecord(root.login).secrets).length > 0) {
    const fix = 'Take it out: `secrets` serves logins too. To change what is in force, write one list in `secrets`.';
    add(['login', 'secrets'], 'is there beside `secrets`', fix);
  }
  const login = isRecord(root.login) ? loginProblems(root.login, connectionsOf(connections)) : [];
  return [...found, ...login, ...orderProblems(root)];
}

function hasUserOauth({ credential, credentialByGroup }: Record<string, unknown>): boolean {
  const all = [credential, ...asArray(credentialByGroup).map((entry) => asRecord(entry).credential)];
  return all.some((one) => asRecord(one).userOauth !== undefined);
}

function connectionsOf(entries: readonly [string, unknown][]): Record<string, Record<string, unknown>> {
  return Object.fromEntries(entries.map(([name, connection]) => [name, asRecord(connection)]));
}

const NAME_FIX = 'Write a lower-case letter, then up to 62 lower-case letters, digits or -.';

function orderProblems(root: Record<string, unknown>): ConfigProblem[] {
  const found: ConfigProblem[] = [];
  const sessions = asRecord(root.sessions);
  const above = (small: unknown, smallDefault: string, large: unknown, largeDefault: string) =>
    (parseDuration(small ?? smallDefault) ?? 0) > (parseDuration(large ?? largeDefault) ?? Number.POSITIVE_INFINITY);
  if (above(sessions.idle, '8h', sessions.longest, '12h')) {
    const path = sessions.idle === undefined ? ['sessions', 'longest'] : ['sessions', 'idle'];
    found.push({
      path,
      problem: 'makes idle longer than longest',
      fix: 'Write an idle time of at most longest (8h and 12h by default).',
    });
  }
  const stores = asRecord(root.stores);
  if (above(root.sealEvery, defaultSealEvery(stores.recordings), root.maxUnsealedAge, '10m')) {
    const path = [root.sealEvery === undefined ? 'maxUnsealedAge' : 'sealEvery'];
    found.push({
      path,
      problem: 'makes sealEvery longer than maxUnsealedAge',
      fix: 'Write a sealEvery below maxUnsealedAge (10m by default).',
    });
  }
  for (const which of ['audit', 'state']) {
    const bucket = /^gs:\/\/(.*)$/.exec(String(stores.recordings))?.[1];
    if (
      bucket === undefined ||
      !isBucketName(bucket) ||
      stores[which] !== undefined ||
      isBucketName(`${bucket}-${which}`)
    )
      continue;
    found.push({
      path: ['stores', which],
      problem: 'is missing, and the name of the recordings bucket is too long to be given an ending',
      fix: `Write the bucket, for example gs://verbatim-${which}.`,
    });
  }
  const listen = asRecord(root.listen);
  const metrics = asRecord(root.metrics);
  if (listen.port !== undefined && listen.port !== 0 && listen.port === metrics.port && listen.host === metrics.host) {
    found.push({
      path: ['metrics', 'port'],
      problem: 'is the port of listen',
      fix: 'Metrics listen elsewhere: write another port.',
    });
  }
  return found;
}

function publicHost(value: unknown): string[] {
  return typeof value === 'string' && URL.canParse(value) ? [new URL(value).hostname] : [];
}
