import { z } from 'zod';
import { access, changedTools, dataClass, dialect, elicitationHost, webhook } from './config-access.ts';
import {
  type CredentialConfig,
  credential,
  headerName,
  isGoogleApi,
  mayBeSet,
  userOauthProblem,
} from './config-credential.ts';
import { issuer } from './config-issuer.ts';
import { login } from './config-login.ts';
import {
  count,
  diskSize,
  duration,
  host,
  listener,
  oneOf,
  parseOrigin,
  publicUrl,
  reference,
  rule,
  safeUrl,
  section,
  size,
  store,
  text,
} from './config-values.ts';
import { classifyHost, mayConnect } from './proxy/address.ts';

/** The configuration as people write it, one strict object a section. Values come out in milliseconds and bytes. */

const HOUR = 3_600_000;

const limits = section({
  requestBytes: size.optional(),
  eventBytes: size.optional(),
  headerBytes: size.optional(),
  exchangesPerPrincipal: count(1, 1_000_000).optional(),
  sessionsPerPrincipal: count(1, 1_000_000).optional(),
  firstByte: duration().optional(),
  idleStream: duration().optional(),
});

const upstream = section({
  url: rule(
    parseOrigin,
    'is not an http or https origin (scheme, host and port alone)',
    'Write for example https://orders.internal:8443; paths belong under `paths`, credentials under `credential`.',
  ),
  allowAddresses: z.array(oneOf('loopback', 'linkLocal', 'metadata')).default([]),
  connections: count(1, 65535).default(512),
  connectTimeout: duration().default(5000),
  ca: reference.optional(),
}).superRefine(({ url, allowAddresses }, context) => {
  const kind = classifyHost(new URL(url).hostname);
  if (kind === undefined || mayConnect(kind, allowAddresses)) return;
  const open = kind === 'loopback' || kind === 'linkLocal' || kind === 'metadata';
  const fix = open
    ? `If that is meant, add \`allowAddresses: [${kind}]\` to this upstream.`
    : 'Write the address of an MCP server.';
  context.addIssue({ code: 'custom', message: `leads to a ${kind} address`, path: ['url'], params: { fix } });
});

/** What may stand in a path of a connection: no `%`, `?`, empty or dot segment, so that it has one spelling. */
function isPlainPath(value: string): boolean {
  if (!/^\/[A-Za-z0-9._~!$&'()*+,;=:@/-]*$/.test(value) || value.includes('//')) return false;
  return !value.split('/').some((part) => part === '.' || part === '..');
}

const path = rule(
  (value) =>
    typeof value === 'string' && isPlainPath(value) && !/^\/\.well-known(\/|$)/.test(value) ? value : undefined,
  'is not a plain path',
  'Begin with /, for example /mcp; without %, ?, .. or //, and outside /.well-known.',
);

function distinct(values: readonly string[], context: z.core.$RefinementCtx<readonly string[]>): void {
  for (const [index, value] of values.entries()) {
    if (values.indexOf(value) === index) continue;
    context.addIssue({
      code: 'custom',
      message: 'is there twice',
      path: [index],
      params: { fix: 'Take one of the two out.' },
    });
  }
}

/** What the connection's parts say together of what goes upstream. */
function checkUpstreamHeaders(
  written: {
    upstream: { url: string };
    credential: CredentialConfig;
    credentialByGroup: readonly { credential: CredentialConfig }[];
    identityHeader?: string | undefined;
  },
  context: z.core.$RefinementCtx<unknown>,
): void {
  const { upstream, identityHeader } = written;
  const found = userOauthProblem(written);
  if (found !== undefined) {
    const { problem, fix } = found;
    context.addIssue({ code: 'custom', message: problem, path: ['credential'], params: { fix } });
  }
  const all = [
    { path: ['credential'], credential: written.credential },
    ...written.credentialByGroup.map(({ credential }, index) => ({
      path: ['credentialByGroup', index, 'credential'],
      credential,
    })),
  ];
  for (const { path, credential } of all) {
    if ('googleAccessToken' in credential && !isGoogleApi(upstream.url)) {
      const fix = 'Use googleIdToken for a server of your own; access tokens go to https://*.googleapis.com alone.';
      context.addIssue({ code: 'custom', message: 'would leave Google', path, params: { fix } });
    }
    if (identityHeader === undefined || headerOf(credential) !== identityHeader.toLowerCase()) continue;
    const fix = 'Give identityHeader a name of its own, for example X-Verbatim-Identity.';
    context.addIssue({
      code: 'custom',
      message: 'is the header of the credential',
      path: ['identityHeader'],
      params: { fix },
    });
  }
  if (identityHeader !== undefined && !mayBeSet(identityHeader)) {
    const fix = 'Name a header that is nobody else’s, for example X-Verbatim-Identity.';
    const message = 'is a header that the gateway or the protocol owns';
    context.addIssue({ code: 'custom', message, path: ['identityHeader'], params: { fix } });
  }
}

function headerOf(credential: CredentialConfig): string | undefined {
  if ('none' in credential) return undefined;
  return 'header' in credential ? credential.header.toLowerCase() : 'authorization';
}

/** With its number: what signs changes only where the configuration does. */
const kmsVersion = text(
  /^projects\/[a-z0-9.:-]{1,63}\/locations\/[a-z0-9-]{1,63}\/keyRings\/[A-Za-z0-9_-]{1,63}\/cryptoKeys\/[A-Za-z0-9_-]{1,63}\/cryptoKeyVersions\/[1-9][0-9]{0,9}$/,
  'is not a key version of Cloud KMS',
  'Write projects/PROJECT/locations/LOCATION/keyRings/RING/cryptoKeys/KEY/cryptoKeyVersions/NUMBER.',
);

/** A token that none of them signed costs a check for each that has its `iss`. */
const MAX_ISSUERS = 32;
function few(values: readonly string[], context: z.core.$RefinementCtx<readonly string[]>): void {
  if (values.length <= MAX_ISSUERS) return;
  context.addIssue({ code: 'custom', message: 'are too many', params: { fix: `Write at most ${MAX_ISSUERS}.` } });
}
const issuerName = text(/./, 'is not the name of an issuer', 'Write a name from `issuers`.');
const group = text(/^[^\p{Cc}]{1,512}$/u, 'is not the name of a group', 'Write it as the token does.');

const connection = section({
  title: text(/^[^\p{Cc}\p{Cf}]{1,200}$/u, 'is not a line of text', 'Write up to 200 characters.').optional(),
  upstream,
  host: text(
    host,
    'is not a host name',
    'Write a lower-case host name without port, for example orders.mcp.example.com.',
  ).optional(),
  paths: z.array(path).min(1).superRefine(distinct).optional(),
  sse: section({ path: path.prefault('/sse'), messages: path.prefault('/message') }).optional(),
  query: z
    .array(
      text(
        // Access tokens in a query string: OAuth 2.1 forbids them, logs and referrers leak them.
        /^(?!access_token$)[A-Za-z0-9._~-]{1,128}$/,
        'is not the name of a query parameter that may pass',
        'Write letters, digits, . _ ~ or -; access_token never passes.',
      ),
    )
    .superRefine(distinct)
    .default([]),
  issuer: issuerName.optional(),
  issuers: z.array(issuerName).superRefine(distinct).superRefine(few).optional(),
  groups: z.array(group).min(1),
  credential,
  credentialByGroup: z.array(section({ groups: z.array(group).min(1), credential })).default([]),
  identityHeader: headerName.optional(),
  recording: rule(
    (value) => (value === 'on' || value === true ? 'on' : value === 'off' || value === false ? 'off' : undefined),
    'is neither on nor off',
    'Write on or off.',
  ).default('on'),
  durability: oneOf('disk', 'bucket', 'memory').default('disk'),
  access,
  dialect: dialect.optional(),
  data: dataClass.default('ordinary'),
  changedTools: changedTools.default('flag'),
  elicitationHosts: z.array(elicitationHost).superRefine(distinct).default([]),
  limits: limits.prefault({}),
}).superRefine(checkUpstreamHeaders);

export const configSchema = section({
  listen: listener,
  metrics: listener.optional(),
  publicUrl,
  allowedHosts: z
    .array(
      text(
        /^([a-z0-9._-]{1,253}|\[[0-9a-f:.]+\])(:\d{1,5})?$/,
        'is not a Host value',
        'Write a lower-case host, with :port where it is not the default one.',
      ),
    )
    .default([]),
  allowedOrigins: z
    .array(
      text(
        /^[a-z][a-z0-9+.-]*:\/\/[^\s/?#@*\\]+$/,
        'is not an Origin value',
        'Write scheme://host[:port], for example https://inspector.example.com; * and null are never accepted.',
      ),
    )
    .default([]),
  trustedProxyHops: count(0, 16).default(0),
  data: text(/^[^\0]+$/, 'is not a directory', 'Write a path, for example ./data.'),
  stores: section({ recordings: store, audit: store.optional(), state: store.optional() }),
  replica: text(
    /^[A-Za-z0-9][A-Za-z0-9._-]{0,62}$/,
    'is not a name',
    'Write up to 63 letters, digits, . _ or -.',
  ).optional(),
  sealEvery: duration().optional(),
  maxUnsealedAge: duration().default(600_000),
  heartbeatEvery: duration().default(600_000),
  drainDelay: duration(0).default(0),
  drain: duration(0).default(30_000),
  journal: section({ limit: diskSize.default(8 * 1024 ** 3) }).prefault({}),
  /**
   * At least 32 bytes each, the same for all replicas. The first signs and seals; the others still verify and open, until
   * what they made has ended. Left out: this gateway's own disk has one, and what it makes works on this replica alone.
   */
  secrets: z.array(reference).default([]),
  policies: text(
    /^(allow-all|\.{0,2}\/[^\0]*)$/,
    'is neither a folder nor allow-all',
    'Write the folder with access/ and tools/, for example ./policies; or allow-all, which says that no policy is in force.',
  ),
  sessions: section({ idle: duration().default(8 * HOUR), longest: duration().default(12 * HOUR) }).prefault({}),
  limits: limits.prefault({}),
  signing: section({ kms: kmsVersion }).optional(),
  google: section({
    iamCredentials: safeUrl.optional(),
    secretManager: safeUrl.optional(),
    cloudIdentity: safeUrl.optional(),
    directory: safeUrl.optional(),
    token: safeUrl.optional(),
    modelArmor: safeUrl.optional(),
    kms: safeUrl.optional(),
  }).prefault({}),
  login: login.optional(),
  webhooks: z.record(z.string(), webhook).default({}),
  issuers: z.record(z.string(), issuer).default({}),
  connections: z.record(z.string(), connection),
});
