/** The section `login`: how people, and agents that are registered here, log in at the gateway's own authorization server. */
import { z } from 'zod';
import {
  count,
  duration,
  host,
  oneOf,
  parseSafeUrl,
  reference,
  rule,
  safeUrl,
  section,
  text,
} from './config-values.ts';

const MINUTE = 60_000;

const claim = text(/^[\x21-\x7e]{1,256}$/, 'is not the name of a claim or attribute', 'Write for example groups.');
const clientId = text(/^[\x21-\x7e]{1,256}$/, 'is not a client id', 'Write it as the identity provider gave it.');
const domain = text(host, 'is not a domain', 'Write the part behind the @ in lower case, for example example.com.');
const domains = z.array(domain);
const oauthScope = text(/^[\x21\x23-\x5b\x5d-\x7e]{1,128}$/, 'is not a scope', 'Write one scope an entry.');
const group = text(/^[^\p{Cc}]{1,512}$/u, 'is not the name of a group', 'Write it as `groups` of connections do.');

/** Any OpenID Connect provider: Okta, Keycloak, Auth0, Ping, … */
const oidc = section({
  issuer: safeUrl,
  clientId,
  clientSecret: reference,
  scopes: z.array(oauthScope).default(['openid', 'profile', 'email']),
  /** Asked for when the provider offers it, so that groups can be asked again without a person. */
  offlineAccess: oneOf('on', 'off').default('on'),
  groupsClaim: claim.default('groups'),
  emailClaim: claim.default('email'),
  /** Some providers cut a long list in silence: a list this long counts as cut, and so as unknown. Okta's is 100. */
  groupsLimit: count(1, 100_000).optional(),
  /** Enterprise-managed authorization: clients may show this provider's ID-JAGs in the place of a login here. */
  idJag: oneOf('on', 'off').default('off'),
});

const google = section({
  clientId,
  clientSecret: reference,
  /** Of `hd` in Google's ID tokens: consumers' accounts have none. */
  hostedDomains: domains.min(1),
  /** `cloudIdentity` asks for groups that one is in through others too; `directory` for direct ones alone. */
  groups: oneOf('cloudIdentity', 'directory').default('cloudIdentity'),
  /** With `cloudIdentity`: only this customer's groups count. Without it one group of another company refuses its people. */
  customer: text(/^C[0-9a-z]{1,32}$/, 'is not the id of a customer', 'Write for example C046psxkn.').optional(),
  /** With `directory`: the service account that may read it, and the administrator in whose name it does. */
  directory: section({
    serviceAccount: text(
      /^[a-z0-9-]{1,63}@[a-z0-9.-]{1,190}\.gserviceaccount\.com$/,
      'is not the e-mail address of a service account',
      'Write for example verbatim-directory@my-project.iam.gserviceaccount.com.',
    ),
    admin: text(/^[^\s@]{1,64}@[^\s@]{1,255}$/, 'is not an e-mail address', 'Write that of an administrator.'),
  }).optional(),
  /** Where Google is, for tests and private access. */
  issuer: safeUrl.default('https://accounts.google.com'),
}).superRefine(({ groups, directory, customer }, context) => {
  if (groups === 'directory' && customer !== undefined) {
    const fix = 'Leave it out: the directory has the groups of one customer alone.';
    context.addIssue({ code: 'custom', message: 'is for cloudIdentity', path: ['customer'], params: { fix } });
  }
  if ((groups === 'directory') === (directory !== undefined)) return;
  const fix = 'Write groups: directory together with directory: { serviceAccount: …, admin: … }, or neither.';
  context.addIssue({
    code: 'custom',
    message: 'does not say how to read groups',
    path: ['directory'],
    params: { fix },
  });
});

const GUID = /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/;
const entra = section({
  tenant: text(GUID, 'is not the id of a tenant', 'Write the directory (tenant) id, a GUID in lower case.'),
  clientId,
  clientSecret: reference,
  /** `token`: the claim groups, and Microsoft Graph where they did not fit. `graph`: always Graph. `roles`: app roles. */
  groups: oneOf('token', 'graph', 'roles').default('token'),
  /** Default: `https://login.microsoftonline.com/<tenant>/v2.0`. National clouds have others. */
  issuer: safeUrl.optional(),
  graph: safeUrl.default('https://graph.microsoft.com'),
});

const saml = section({
  /** Where login requests go (HTTP-Redirect binding). With a query: Google's has one. */
  entryPoint: rule(
    (value) => (parseSafeUrl(value) === undefined ? undefined : String(value)),
    'is not an https address',
    'Write the address for logins by redirect, as the identity provider shows it.',
  ),
  /** The identity provider's entity id: `Issuer` of its assertions. */
  entityId: text(/^[\x21-\x7e]{1,512}$/, 'is not an entity id', "Write it as the identity provider's metadata does."),
  /** PEM certificates that sign assertions: the current one, and the next during a change. */
  certificates: z.array(reference).min(1),
  emailAttribute: claim.default('email'),
  groupsAttribute: claim.default('groups'),
  /** This gateway's own entity id. Default: `<publicUrl>/oauth/saml/<name>`. */
  audience: text(/^[\x21-\x7e]{1,512}$/, 'is not an entity id', 'Write an absolute URL.').optional(),
});

const KINDS = ['oidc', 'google', 'entra', 'saml'] as const;

const provider = section({
  /** Shown where a person chooses among several. */
  title: text(/^[^\p{Cc}\p{Cf}]{1,100}$/u, 'is not a line of text', 'Write up to 100 characters.').optional(),
  /** E-mail domains whose people log in here, and no others. Required where there are several providers. */
  domains: domains.default([]),
  oidc: oidc.optional(),
  google: google.optional(),
  entra: entra.optional(),
  saml: saml.optional(),
}).superRefine((written, context) => {
  if (KINDS.filter((kind) => written[kind] !== undefined).length === 1) return;
  const fix = `Write exactly one of ${KINDS.join(', ')}.`;
  context.addIssue({ code: 'custom', message: 'does not say what it is', params: { fix } });
});

const redirectUri = text(
  /^(https:\/\/[^\s#]{1,500}|http:\/\/(127\.0\.0\.1|localhost|\[::1\])(:\d{1,5})?(\/[^\s#]{0,400})?|[a-z][a-z0-9+-]*(\.[a-z0-9+-]+)+:\/[^\s#]{0,400}|cursor:\/\/[^\s#]{1,400})$/,
  'is not a redirect address',
  'Write an https:// address, http:// on a loopback address (any port matches), or a private-use scheme of a program.',
);

const client = section({
  /** Shown on the consent page. */
  name: text(/^[^\p{Cc}\p{Cf}]{1,100}$/u, 'is not a line of text', 'Write up to 100 characters.').optional(),
  redirectUris: z.array(redirectUri).default([]),
  secret: reference.optional(),
  secretAuth: oneOf('client_secret_basic', 'client_secret_post').default('client_secret_basic'),
  /** JSON Web Key Set of a client that signs its requests (`private_key_jwt`). */
  jwks: reference.optional(),
  jwksUri: safeUrl.optional(),
  /** An agent without a person: `client_credentials`, as itself, with these groups. */
  agent: section({ groups: z.array(group).min(1), owner: group }).optional(),
}).superRefine(({ secret, jwks, jwksUri, agent, redirectUris }, context) => {
  const add = (path: string[], message: string, fix: string) =>
    context.addIssue({ code: 'custom', message, path, params: { fix } });
  const kinds = [secret, jwks, jwksUri].filter((one) => one !== undefined).length;
  if (kinds > 1) add([], 'has several ways to authenticate', 'Write one of secret, jwks and jwksUri.');
  if (agent !== undefined && kinds === 0) {
    add(['agent'], 'would let anybody in', 'Give the client a secret, jwks or jwksUri.');
  }
  if (agent === undefined && redirectUris.length === 0) {
    add(['redirectUris'], 'is empty', 'Name where its logins come back to, or make it an agent.');
  }
});

const hostPattern = rule(
  (value) =>
    typeof value === 'string' && (value === '*' || host.test(value.replace(/^\*\./, ''))) ? value : undefined,
  'is not a host',
  'Write a host such as claude.ai, *.example.com for those below it, or "*" for any.',
);

export const login = section({
  /** The configuration's `secrets` under the name that they had when logins alone needed them. One of the two. */
  secrets: z.array(reference).default([]),
  providers: z.record(z.string(), provider),
  clients: z.record(z.string(), client).default({}),
  /** Dynamic client registration (RFC 7591). */
  registration: oneOf('on', 'off').default('on'),
  /** Where registered clients may send logins to, besides loopback addresses. */
  redirectHosts: z
    .array(hostPattern)
    .default(['claude.ai', 'claude.com', 'vscode.dev', 'insiders.vscode.dev', 'www.cursor.com']),
  /**
   * Whose Client ID Metadata Documents are read. None by default: a gateway without a way out would tell clients of it and
   * then not know them, where registering works everywhere.
   */
  clientMetadataHosts: z.array(hostPattern).default([]),
  /** How often the groups of a session's person are asked for again. */
  recheckEvery: duration().default(5 * MINUTE),
  /** A session whose groups could not be asked for this long ends. */
  recheckWithin: duration().default(60 * MINUTE),
});

export type LoginConfig = z.output<typeof login>;
export type OidcConfig = z.output<typeof oidc>;
export type GoogleConfig = z.output<typeof google>;
export type EntraConfig = z.output<typeof entra>;
export type SamlConfig = z.output<typeof saml>;
export type RegisteredClientConfig = z.output<typeof client>;
