/**
 * A double of the parts of Google that a gateway authenticates by, over real HTTP on loopback: metadata server, IAM
 * Credentials, Secret Manager, Cloud Identity, Model Armor, Cloud KMS, the Admin SDK's directory, the token endpoint for service-account keys and
 * for delegation; and a token endpoint of anybody's for OAuth's client credentials. Strict about what it accepts; counts; fails, stalls and rotates when told to.
 */
import { mkdtempSync, rmSync } from 'node:fs';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { GoogleAddresses } from '../../gateway/config.ts';
import { answerError, answerOk, answerTrouble, GoogleError } from './answer.ts';
import { createGroups, type Groups } from './groups.ts';
import { createIamCredentials } from './iam-credentials.ts';
import { createKmsDouble, type KmsDouble } from './kms.ts';
import { createMetadata } from './metadata.ts';
import { createModelArmorDouble, type ModelArmorDouble } from './model-armor.ts';
import { createOAuthServer, type OAuthServer } from './oauth-server.ts';
import { createSecretManager, type SecretManager } from './secret-manager.ts';
import { createTokenEndpoint, type TokenEndpoint } from './token-endpoint.ts';

export type Api =
  | 'metadata'
  | 'generateAccessToken'
  | 'generateIdToken'
  | 'access'
  | 'token'
  | 'oauth'
  | 'signJwt'
  | 'delegatedToken'
  | 'searchTransitiveGroups'
  | 'directory'
  | 'modelArmor'
  | 'kmsPublicKey'
  | 'kmsSign';
/** A status to answer with, silence, or an answer that nobody should give; `echo` has the request where codes stand. */
export type Trouble = 400 | 403 | 404 | 429 | 500 | 503 | 'stall' | 'redirect' | 'huge' | 'garbage' | 'echo';

export interface GoogleDouble {
  readonly url: string;
  /** What the gateway's configuration has under `google`. */
  readonly google: Required<GoogleAddresses>;
  readonly calls: Record<Api, number>;
  /** Every token and secret value that was given out, and every client secret: what may be nowhere else. */
  readonly secrets: Set<string>;
  /** Service accounts that the gateway's identity may impersonate. */
  readonly impersonable: Set<string>;
  /** `undefined` ends the trouble. */
  trouble(api: Api, what: Trouble | undefined): void;
  /** The metadata server's token is another one from now on, and the one before is refused. */
  revokeOwnToken(): void;
  readonly secretManager: SecretManager;
  readonly keys: TokenEndpoint;
  readonly oauth: OAuthServer;
  readonly groups: Groups;
  readonly modelArmor: ModelArmorDouble;
  readonly kms: KmsDouble;
  close(): Promise<void>;
}

/** What its parts share. */
export interface Ground {
  readonly now: () => number;
  readonly secrets: Set<string>;
  /** The gateway's own token. */
  ownToken(): string;
}

/** What is answered with 200, now or later; what is thrown is a refusal. */
export type Answering = (request: IncomingMessage, url: URL, body: string) => unknown;

/**
 * Starts it and points this process's application default credentials at it until it closes. `now` is the clock by
 * which its tokens end.
 */
export async function startGoogle(now: () => number = Date.now): Promise<GoogleDouble> {
  const secrets = new Set<string>();
  let generation = 1;
  const ownToken = (): string => remember(`ya29.CANARY-own-token-${generation}`);
  const remember = (value: string): string => {
    secrets.add(value);
    return value;
  };
  const ground: Ground = { now, secrets, ownToken };
  const calls: Record<Api, number> = {
    metadata: 0,
    generateAccessToken: 0,
    generateIdToken: 0,
    access: 0,
    token: 0,
    oauth: 0,
    signJwt: 0,
    delegatedToken: 0,
    searchTransitiveGroups: 0,
    directory: 0,
    modelArmor: 0,
    kmsPublicKey: 0,
    kmsSign: 0,
  };
  const troubles = new Map<Api, Trouble>();
  const server = createServer((request, response) => void handle(request, response));
  await new Promise<void>((done) => server.listen(0, '127.0.0.1', done));
  const host = `127.0.0.1:${(server.address() as AddressInfo).port}`;
  const url = `http://${host}`;
  const impersonable = new Set<string>();
  const iam = createIamCredentials(ground, impersonable);
  const secretManager = createSecretManager(ground);
  const keys = await createTokenEndpoint(ground, `${url}/token`);
  const oauth = createOAuthServer(ground, `${url}/oauth/token`);
  const groups = await createGroups(ground, impersonable);
  const modelArmor = createModelArmorDouble(ground);
  const kms = createKmsDouble(ground);
  const parts: readonly (readonly [RegExp, Api, Answering])[] = [
    [/^\/computeMetadata\//, 'metadata', createMetadata(ground)],
    [/:generateAccessToken$/, 'generateAccessToken', iam],
    [/:generateIdToken$/, 'generateIdToken', iam],
    [/:signJwt$/, 'signJwt', groups.signJwt],
    [/:access$/, 'access', secretManager.answer],
    [/:searchTransitiveGroups$/, 'searchTransitiveGroups', groups.searchTransitiveGroups],
    [/^\/admin\/directory\/v1\/groups$/, 'directory', groups.directory],
    [/:sanitize(UserPrompt|ModelResponse)$/, 'modelArmor', modelArmor.answer],
    [/\/cryptoKeyVersions\/\d+\/publicKey$/, 'kmsPublicKey', kms.publicKey],
    [/\/cryptoKeyVersions\/\d+:asymmetricSign$/, 'kmsSign', kms.asymmetricSign],
    [/^\/delegated\/token$/, 'delegatedToken', groups.delegatedToken],
    [/^\/token$/, 'token', keys.answer],
    [/^\/oauth\/token$/, 'oauth', oauth.answer],
  ];

  async function handle(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const asked = new URL(request.url ?? '', url);
    const [, api, part] = parts.find(([pattern]) => pattern.test(asked.pathname)) ?? [];
    const body = await bodyOf(request);
    if (api === undefined || part === undefined) {
      answerError(response, new GoogleError(404, 'NOT_FOUND'), request, body);
      return;
    }
    calls[api]++;
    const trouble = troubles.get(api);
    if (trouble !== undefined) {
      answerTrouble(response, trouble, request, body);
      return;
    }
    try {
      const answered = await part(request, asked, body);
      answerOk(response, answered, api === 'metadata' ? { 'metadata-flavor': 'Google' } : {});
    } catch (error) {
      answerError(response, error, request, body);
    }
  }

  const restore = pointHere(host);
  return {
    url,
    google: {
      iamCredentials: url,
      secretManager: url,
      cloudIdentity: url,
      directory: url,
      token: `${url}/delegated/token`,
      modelArmor: url,
      kms: url,
    },
    calls,
    secrets,
    impersonable,
    trouble: (api, what) => void (what === undefined ? troubles.delete(api) : troubles.set(api, what)),
    revokeOwnToken: () => void generation++,
    secretManager,
    keys,
    oauth,
    groups,
    modelArmor,
    kms,
    async close() {
      restore();
      server.closeAllConnections();
      await new Promise<void>((done) => server.close(() => done()));
    },
  };
}

async function bodyOf(request: IncomingMessage): Promise<string> {
  const chunks: Buffer[] = [];
  for await (const chunk of request) chunks.push(chunk as Buffer);
  return Buffer.concat(chunks).toString();
}

/** Nothing of the machine that runs the test is an identity: no file, no variable, no metadata server but this one. */
function pointHere(host: string): () => void {
  const folder = mkdtempSync(join(tmpdir(), 'verbatim-google-'));
  const set: Record<string, string | undefined> = {
    GCE_METADATA_HOST: host,
    GCE_METADATA_IP: undefined,
    METADATA_SERVER_DETECTION: 'assume-present',
    GOOGLE_APPLICATION_CREDENTIALS: undefined,
    CLOUDSDK_CONFIG: folder,
    NO_PROXY: '127.0.0.1',
  };
  const before = Object.fromEntries(Object.keys(set).map((name) => [name, process.env[name]]));
  const apply = (values: Record<string, string | undefined>): void => {
    for (const [name, value] of Object.entries(values)) {
      if (value === undefined) delete process.env[name];
      else process.env[name] = value;
    }
  };
  apply(set);
  return () => {
    apply(before);
    rmSync(folder, { recursive: true, force: true });
  };
}
