import { isDeepStrictEqual } from 'node:util';
import { z } from 'zod';
import { oneOf, parseSafeUrl, reference, rule, safeUrl, section, text } from './config-values.ts';

/**
 * How a connection authenticates to its upstream: exactly one of these. Secrets are references; a Google identity is a
 * service account of the connection's own, never the gateway's.
 */
export type CredentialConfig =
  | { readonly none: true }
  | { readonly bearer: string }
  | { readonly header: string; readonly value: string }
  | { readonly googleIdToken: GoogleIdTokenConfig }
  | { readonly googleAccessToken: GoogleAccessTokenConfig }
  | { readonly oauthClient: OAuthClientConfig }
  | { readonly userOauth: UserOauthConfig };

/** Whose token: impersonated by the gateway, or signed with a service-account key (a reference to its JSON). */
type GoogleSource = { readonly serviceAccount: string } | { readonly key: string };
/** Absent `audience`: the upstream's origin, as Cloud Run expects it. */
export type GoogleIdTokenConfig = GoogleSource & { readonly audience?: string };
export type GoogleAccessTokenConfig = GoogleSource & {
  readonly scopes: readonly string[];
  /** Project that is charged: `x-goog-user-project`. */
  readonly quotaProject?: string;
};
export interface OAuthClientConfig {
  readonly tokenUrl: string;
  readonly clientId: string;
  readonly clientSecret: string;
  readonly clientAuth: 'client_secret_basic' | 'client_secret_post';
  readonly scopes: readonly string[];
  /** RFC 8707. */
  readonly resource?: string;
  /** Not in a standard; some authorization servers want it instead of `resource`. */
  readonly audience?: string;
}

/** Each principal's own token: they consent once at the upstream's authorization server, of which the gateway is a client. */
export interface UserOauthConfig {
  /** Registered there by hand. Absent: the gateway registers itself as `registration` says. */
  readonly client?: {
    readonly id: string;
    readonly secret?: string;
    readonly auth: 'client_secret_basic' | 'client_secret_post' | 'none';
  };
  /** `document`: a Client ID Metadata Document. `dynamic`: RFC 7591. `auto`: the first that the server supports. */
  readonly registration: 'auto' | 'document' | 'dynamic';
  /** Empty: what the upstream asks for. */
  readonly scopes: readonly string[];
  /** Its issuer, to the letter. Absent: as the upstream's protected resource metadata says. */
  readonly authorizationServer?: string;
  /** RFC 8707. Absent: the URL that is called. */
  readonly resource?: string;
}

// What the gateway sets itself, what frames a message, what MCP owns, what never crosses a gateway.
const NOT_A_CREDENTIAL =
  /^(mcp-.*|sec-.*|proxy-.*|x-forwarded-.*|accept(-.*)?|content-.*|host|connection|keep-alive|te|trailers?|transfer-encoding|upgrade|expect|cookie2?|forwarded|via|origin|referer|range|date|user-agent|last-event-id|traceparent|tracestate)$/;

/** Whether the gateway may set this header on what it sends upstream. */
export function mayBeSet(header: string): boolean {
  return !NOT_A_CREDENTIAL.test(header.toLowerCase());
}

export const headerName = text(
  /^[!#$%&'*+.^_`|~0-9A-Za-z-]{1,128}$/,
  'is not a header name',
  'Write for example X-Api-Key.',
);

const serviceAccount = text(
  /^[a-z0-9-]{1,63}@[a-z0-9.-]{1,190}\.gserviceaccount\.com$/,
  'is not the e-mail address of a service account',
  'Write for example orders-mcp@my-project.iam.gserviceaccount.com.',
);
const scope = text(/^[\x21\x23-\x5b\x5d-\x7e]{1,256}$/, 'is not a scope', 'Write one scope an entry, without spaces.');
const audience = text(/^[\x21-\x7e]{1,512}$/, 'is not an audience', 'Write for example https://orders-abc.a.run.app.');

function exactlyOneSource(
  { serviceAccount, key }: { serviceAccount?: string | undefined; key?: string | undefined },
  context: z.core.$RefinementCtx<unknown>,
): void {
  if ((serviceAccount === undefined) !== (key === undefined)) return;
  const fix =
    'Write serviceAccount (impersonated, no key exists) or key (a reference to its JSON), and only one of them.';
  context.addIssue({ code: 'custom', message: 'does not say whose token', params: { fix } });
}

const googleIdToken = section({
  serviceAccount: serviceAccount.optional(),
  key: reference.optional(),
  audience: audience.optional(),
}).superRefine(exactlyOneSource);

const googleAccessToken = section({
  serviceAccount: serviceAccount.optional(),
  key: reference.optional(),
  scopes: z.array(scope).min(1),
  quotaProject: text(/^[a-z][a-z0-9-]{4,62}$/, 'is not a project id', 'Write the id of a project.').optional(),
}).superRefine(exactlyOneSource);

const oauthClient = section({
  tokenUrl: safeUrl,
  clientId: text(/^[\x20-\x7e]{1,256}$/, 'is not a client id', 'Write it as the authorization server gave it.'),
  clientSecret: reference,
  clientAuth: oneOf('client_secret_basic', 'client_secret_post').default('client_secret_basic'),
  scopes: z.array(scope).default([]),
  resource: text(
    /^https?:\/\/[^\s#]{1,512}$/,
    'is not a resource',
    'Write an absolute URL without fragment.',
  ).optional(),
  audience: audience.optional(),
});

const userOauth = section({
  client: section({
    id: text(/^[\x21-\x7e]{1,512}$/, 'is not a client id', 'Write it as the authorization server gave it.'),
    secret: reference.optional(),
    auth: oneOf('client_secret_basic', 'client_secret_post', 'none').optional(),
  })
    .superRefine(({ secret, auth }, context) => {
      if (auth === undefined || (auth === 'none') === (secret === undefined)) return;
      const fix = 'Write secret together with client_secret_basic or client_secret_post; none goes without a secret.';
      context.addIssue({ code: 'custom', message: 'does not go with its secret', path: ['auth'], params: { fix } });
    })
    .transform(({ id, secret, auth }) => ({
      id,
      ...(secret === undefined ? {} : { secret }),
      auth: auth ?? (secret === undefined ? 'none' : 'client_secret_basic'),
    }))
    .optional(),
  registration: oneOf('auto', 'document', 'dynamic').default('auto'),
  scopes: z.array(scope).default([]),
  authorizationServer: safeUrl.optional(),
  resource: text(
    /^https?:\/\/[^\s\\@?#]{1,512}$/,
    'is not a resource',
    "Write the `resource` of the upstream's metadata: an absolute URL without query and fragment.",
  ).optional(),
});

const FORMS = ['none', 'bearer', 'header', 'googleIdToken', 'googleAccessToken', 'oauthClient', 'userOauth'] as const;

export const credential = section({
  none: rule((value) => (value === true ? true : undefined), 'is not true', 'Write none: true.').optional(),
  bearer: reference.optional(),
  header: headerName.optional(),
  value: reference.optional(),
  googleIdToken: googleIdToken.optional(),
  googleAccessToken: googleAccessToken.optional(),
  oauthClient: oauthClient.optional(),
  userOauth: userOauth.optional(),
}).transform((written, context): CredentialConfig => {
  const fail = (problem: string, fix: string, path: string[] = []) => {
    context.addIssue({ code: 'custom', message: problem, path, params: { fix } });
    return z.NEVER;
  };
  const { header, value } = written;
  const forms = FORMS.filter((form) => written[form] !== undefined);
  const [form] = forms;
  if (forms.length !== 1 || form === undefined || (value === undefined) !== (header === undefined)) {
    return fail(
      'is not exactly one credential',
      'Write { none: true }, { bearer: "env:NAME" }, { header: X-Api-Key, value: "file:/run/secrets/key" }, ' +
        '{ googleIdToken: … }, { googleAccessToken: … }, { oauthClient: … } or { userOauth: … }.',
    );
  }
  if (header === undefined || value === undefined) return { [form]: written[form] } as unknown as CredentialConfig;
  if (header.toLowerCase() === 'authorization')
    return fail('is not for this form', 'Write { bearer: "env:NAME" }.', ['header']);
  if (!mayBeSet(header)) {
    return fail(
      'is a header that the gateway or the protocol owns',
      'Name the header that the server reads its key from.',
      ['header'],
    );
  }
  return { header, value };
});

/** Google access tokens go to Google alone: they would open every API that their scopes name. */
export function isGoogleApi(origin: string): boolean {
  const { protocol, hostname } = new URL(origin);
  return protocol === 'https:' && hostname.endsWith('.googleapis.com');
}

/** What the connection says of its people's own tokens. Its credentials say one thing at most (config-schema.ts). */
export function userOauthOf({ credential, credentialByGroup }: Credentials): UserOauthConfig | undefined {
  const all = [credential, ...credentialByGroup.map((entry) => entry.credential)];
  for (const one of all) if ('userOauth' in one) return one.userOauth;
  return undefined;
}

interface Credentials {
  readonly credential: CredentialConfig;
  readonly credentialByGroup: readonly { readonly credential: CredentialConfig }[];
}

/** Why people's own tokens can not be used so, as a problem and its remedy. */
export function userOauthProblem(
  connection: Credentials & { readonly upstream: { readonly url: string } },
): { readonly problem: string; readonly fix: string } | undefined {
  const config = userOauthOf(connection);
  if (config === undefined) return undefined;
  const { credential, credentialByGroup, upstream } = connection;
  for (const one of [credential, ...credentialByGroup.map((entry) => entry.credential)]) {
    // A principal has one token for a connection, whatever groups they are in at the moment.
    if (!('userOauth' in one) || isDeepStrictEqual(one.userOauth, config)) continue;
    return { problem: 'has two kinds of userOauth', fix: 'Write the same userOauth everywhere in this connection.' };
  }
  if (parseSafeUrl(upstream.url) === undefined) {
    return { problem: 'would send tokens in clear', fix: 'Use userOauth with an https:// upstream.' };
  }
  if (config.resource !== undefined && new URL(config.resource).origin !== upstream.url) {
    return { problem: 'names a resource elsewhere', fix: "Write a resource of the upstream's own origin." };
  }
  return undefined;
}
