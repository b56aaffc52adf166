/**
 * What a connection shows its upstream: the secret, or a token that is minted for it. The tap stands before it, so no
 * recording holds one; its `version` tells which was in use.
 */
import type { Config, ConnectionConfig } from '../config.ts';
import { type CredentialConfig, isGoogleApi } from '../config-credential.ts';
import { createGoogleApi, type GoogleApi } from '../google-api.ts';
import type { GoogleIdentity } from '../google-identity.ts';
import { createGoogleSecrets } from '../google-secret.ts';
import { readSecret, type SecretSources } from '../secret-ref.ts';
import { createCredentialCache, type Load, type SourceKind } from './credential-cache.ts';
import { credentialError } from './credential-error.ts';
import { type CredentialFetch, createCredentialFetch } from './credential-fetch.ts';
import { mintAsServiceAccount } from './credential-impersonated.ts';
import { mintWithKey } from './credential-key.ts';
import { mintAsOAuthClient } from './credential-oauth.ts';
import type { UserCredentials } from './credential-user.ts';

export interface UsedCredential {
  readonly headers: readonly (readonly [string, string])[];
  /** Tells two credentials apart in a recording without holding either. */
  readonly version?: string;
}

export interface Credential {
  /** The credential in force. Throws `GatewayError('credential_unavailable', 'not_forwarded')`. */
  current(): Promise<UsedCredential>;
  /**
   * After the upstream's 401 to `used`: reads again past every cache, once for all who ask meanwhile. `undefined`: there
   * is no other one than `used`, or it can't be read. Never throws.
   */
  renew(used: UsedCredential): Promise<UsedCredential | undefined>;
}

export interface CredentialDeps {
  readonly now: () => number;
  readonly google: Config['google'];
  /** Aborted when the upstream closes: ends what is being fetched. */
  readonly closed: AbortSignal;
  /** A refresh that no call waits for has failed; the credential before it is still in use. */
  readonly refreshFailed?: ((error: unknown) => void) | undefined;
  /** Default: the process's own. */
  readonly identity?: GoogleIdentity | undefined;
  readonly fetch?: CredentialFetch | undefined;
}

/** What every way to mint a token may use. */
export interface Minting extends SecretSources {
  readonly now: () => number;
  readonly api: GoogleApi;
  readonly fetch: CredentialFetch;
}

/** Who a credential is for. Without issuer and subject it is nobody in particular. */
export interface CredentialOwner {
  readonly groups: readonly string[];
  readonly issuer?: string;
  readonly subject?: string;
}

/** The credential of each owner. All have the same one, unless it is each person's own. */
export function createCredentials(
  config: CredentialConfig,
  connection: ConnectionConfig,
  deps: CredentialDeps & { readonly userCredentials?: UserCredentials | undefined },
): (owner: CredentialOwner) => Credential {
  if ('userOauth' in config) {
    const { userCredentials } = deps;
    return ({ issuer, subject }) =>
      userCredentials === undefined || issuer === undefined || subject === undefined
        ? NOBODYS
        : userCredentials.credentialFor(connection, { issuer, subject });
  }
  const one = createCredential(config, connection.upstream, deps);
  return () => one;
}

const NOBODYS: Credential = {
  async current() {
    throw credentialError("It is each person's own.", 'userOauth: a credential is there for people who log in alone');
  },
  renew: async () => undefined,
};

type SharedCredentialConfig = Exclude<CredentialConfig, { userOauth: unknown }>;

export function createCredential(
  config: SharedCredentialConfig,
  upstream: ConnectionConfig['upstream'],
  deps: CredentialDeps,
): Credential {
  if ('none' in config) return { current: async () => ({ headers: [] }), renew: async () => undefined };
  const fetch = deps.fetch ?? createCredentialFetch();
  const api = createGoogleApi({ google: deps.google, identity: deps.identity, fetch });
  const minting = { now: deps.now, api, fetch, secrets: createGoogleSecrets(api) };
  const { now, closed, refreshFailed } = deps;
  return createCredentialCache({
    now,
    closed,
    refreshFailed,
    load: loaderOf(config, upstream, minting),
    kind: kindOf(config),
  });
}

function kindOf(config: SharedCredentialConfig): SourceKind {
  const ref = 'bearer' in config ? config.bearer : 'header' in config ? config.value : undefined;
  return ref === undefined ? 'token' : isRemote(ref) ? 'remoteSecret' : 'localSecret';
}

function isRemote(ref: string): boolean {
  return ref.startsWith('gcp-secret:');
}

function loaderOf(
  config: Exclude<SharedCredentialConfig, { none: true }>,
  upstream: ConnectionConfig['upstream'],
  minting: Minting,
): Load {
  if ('bearer' in config) return loadSecret(config.bearer, minting, (value) => ['authorization', `Bearer ${value}`]);
  if ('header' in config) return loadSecret(config.value, minting, (value) => [config.header.toLowerCase(), value]);
  if ('oauthClient' in config) return (signal) => mintAsOAuthClient(config.oauthClient, { ...minting, signal });
  if ('googleIdToken' in config) {
    const { audience = upstream.url } = config.googleIdToken;
    const asked = { kind: 'idToken', audience } as const;
    return (signal) => mintGoogle(config.googleIdToken, asked, { ...minting, signal });
  }
  const { scopes, quotaProject } = config.googleAccessToken;
  return async (signal) => {
    // The configuration's check again, where it counts: this token opens every API that its scopes name.
    if (!isGoogleApi(upstream.url)) {
      const words = 'Google access tokens go to https://*.googleapis.com alone.';
      throw credentialError(words, `${upstream.url} is not a Google API`);
    }
    const fresh = await mintGoogle(config.googleAccessToken, { kind: 'accessToken', scopes }, { ...minting, signal });
    if (quotaProject === undefined) return fresh;
    const { headers, ...rest } = fresh.used;
    return { ...fresh, used: { ...rest, headers: [...headers, ['x-goog-user-project', quotaProject]] } };
  };
}

/** What is asked of Google: an OpenID Connect token for an audience, or an OAuth token for scopes. */
export type AskedOfGoogle =
  | { readonly kind: 'idToken'; readonly audience: string }
  | { readonly kind: 'accessToken'; readonly scopes: readonly string[] };

function mintGoogle(source: { serviceAccount: string } | { key: string }, asked: AskedOfGoogle, minting: Minting) {
  return 'key' in source
    ? mintWithKey(source.key, asked, minting)
    : mintAsServiceAccount(source.serviceAccount, asked, minting);
}

/** A file or variable is read again after this, so that a rotated credential is used without a restart. */
const LOCAL_MS = 10_000;
/** `latest` is read again within a minute: from here on in the background, from a minute on before the next call. */
const REMOTE_REFRESH_MS = 45_000;
const REMOTE_MS = 60_000;
/** How long the last known secret is used while Secret Manager does not answer. */
const REMOTE_KEPT_MS = 600_000;

function loadSecret(ref: string, minting: Minting, header: (value: string) => readonly [string, string]): Load {
  const remote = isRemote(ref);
  return async (signal) => {
    const read = minting.now();
    const { value, version } = await readSecret(ref, { ...minting, signal });
    return {
      used: { headers: [header(value)], version },
      refreshAt: read + (remote ? REMOTE_REFRESH_MS : LOCAL_MS),
      awaitAt: read + (remote ? REMOTE_MS : LOCAL_MS),
      deadAt: read + (remote ? REMOTE_KEPT_MS : LOCAL_MS),
    };
  };
}
