/** The tokens of the double of an OpenID Connect provider: codes, grants, signatures. */
import { createHash, randomBytes } from 'node:crypto';
import type { IncomingMessage } from 'node:http';
import { type CryptoKey, exportJWK, generateKeyPair, type JWK, SignJWT } from 'jose';
import type { OidcIdp } from './oidc-idp.ts';

export type Claims = Record<string, unknown>;

interface Grant {
  readonly sub: string;
  readonly nonce?: string;
  readonly challenge?: string;
  readonly redirectUri?: string;
  readonly offline: boolean;
  used: boolean;
  readonly family: { dead: boolean };
}

/** An OAuth error: RFC 6749, section 5.2. */
export class Refused extends Error {
  override readonly name = 'Refused';
  readonly status: number;
  constructor(code: string, status = 400) {
    super(code);
    this.status = status;
  }
}

export interface Tokens {
  readonly jwks: () => { keys: JWK[] };
  rotateKeys(): Promise<void>;
  /** A value that nobody guesses, kept among the secrets. */
  made(kind: string): string;
  code(grant: { sub: string; challenge: string; redirectUri: string; offline: boolean; nonce?: string }): string;
  /** The token endpoint. */
  token(request: IncomingMessage, url: URL, form: URLSearchParams): Promise<Claims>;
  /** Whose access token this is. */
  subjectOf(accessToken: string): string | undefined;
  revoke(subject: string): void;
}

/** `idp` is what the double shows, which changes while it runs. */
export async function createTokens(idp: () => OidcIdp): Promise<Tokens> {
  const stranger = await generateKeyPair('RS256');
  const keys: { kid: string; privateKey: CryptoKey; jwk: JWK }[] = [];
  const grants = new Map<string, Grant>();
  const accessTokens = new Map<string, string>();

  const made = (kind: string): string => {
    const value = `CANARY-${kind}-${randomBytes(16).toString('base64url')}`;
    idp().secrets.add(value);
    return value;
  };

  /** A second use of what is used up ends all that came of it. */
  function used(name: string | null, once: boolean): Grant {
    const grant = grants.get(name ?? '');
    if (grant === undefined) throw new Refused('invalid_grant');
    if (grant.used) grant.family.dead = true;
    if (grant.family.dead || !idp().people.has(grant.sub)) throw new Refused('invalid_grant');
    if (once) grant.used = true;
    return grant;
  }

  async function answer(grant: Grant, withIdToken: boolean, refreshToken: string | undefined): Promise<Claims> {
    const accessToken = made('access-token');
    accessTokens.set(accessToken, grant.sub);
    const { sub, offline, family } = grant;
    if (refreshToken !== undefined) grants.set(refreshToken, { sub, offline, family, used: false });
    return {
      access_token: accessToken,
      token_type: 'Bearer',
      expires_in: 300,
      ...(withIdToken ? { id_token: await idTokenFor(grant) } : {}),
      ...(refreshToken === undefined ? {} : { refresh_token: refreshToken }),
    };
  }

  async function idTokenFor({ sub, nonce }: Grant): Promise<string> {
    const { people, onlyInUserinfo, issuer, clientId, misbehave, secrets, lastAuthorization } = idp();
    const now = Math.floor(Date.now() / 1000);
    const person = Object.entries(people.get(sub) ?? {}).filter(([name]) => !onlyInUserinfo.has(name));
    const own = {
      iss: issuer,
      sub,
      aud: clientId,
      iat: now,
      exp: now + 300,
      // OpenID Connect Core, section 3.1.2.1.
      ...(lastAuthorization().has('max_age') ? { auth_time: now } : {}),
      ...(nonce === undefined ? {} : { nonce }),
    };
    const claims = { ...Object.fromEntries(person), ...own, ...misbehave.idToken };
    const signed = await sign(JSON.parse(JSON.stringify(claims)) as Claims);
    secrets.add(signed);
    return signed;
  }

  async function sign(claims: Claims): Promise<string> {
    const [key] = keys;
    if (key === undefined) throw new Error('There is no key.');
    const { signed } = idp().misbehave;
    if (signed === 'none') {
      const part = (value: unknown): string => Buffer.from(JSON.stringify(value)).toString('base64url');
      return `${part({ alg: 'none' })}.${part(claims)}.`;
    }
    const token = new SignJWT(claims);
    if (signed === 'HS256') {
      // With the client's secret, which the gateway has as well.
      return token.setProtectedHeader({ alg: 'HS256', kid: key.kid }).sign(Buffer.from(idp().clientSecret));
    }
    const kid = signed === 'unknown kid' ? 'nobody' : key.kid;
    token.setProtectedHeader({ alg: 'RS256', kid, typ: 'JWT' });
    return token.sign(signed === 'right' ? key.privateKey : stranger.privateKey);
  }

  /** RFC 6749, section 2.3.1: one way at a time, and one that is accepted. */
  function isClient(request: IncomingMessage, form: URLSearchParams): boolean {
    const { clientId, clientSecret, authMethods, secrets } = idp();
    const { authorization } = request.headers;
    if (authorization === undefined) {
      const right = form.get('client_id') === clientId && form.get('client_secret') === clientSecret;
      return right && authMethods.includes('client_secret_post');
    }
    secrets.add(authorization);
    const joined = Buffer.from(authorization.replace(/^Basic /, ''), 'base64').toString();
    const [id, secret, ...more] = joined.split(':').map((part) => new URLSearchParams(`x=${part}`).get('x'));
    const right = id === clientId && secret === clientSecret && more.length === 0 && !form.has('client_secret');
    return right && authMethods.includes('client_secret_basic');
  }

  return {
    jwks: () => ({ keys: keys.map(({ jwk }) => jwk) }),
    async rotateKeys() {
      const { publicKey, privateKey } = await generateKeyPair('RS256');
      const kid = `key-${keys.length + 1}`;
      keys.unshift({ kid, privateKey, jwk: { ...(await exportJWK(publicKey)), kid, alg: 'RS256', use: 'sig' } });
    },
    made,
    code(grant) {
      const code = made('code');
      grants.set(code, { ...grant, used: false, family: { dead: false } });
      return code;
    },
    async token(request, _url, form) {
      if (request.method !== 'POST' || !isClient(request, form)) throw new Refused('invalid_client', 401);
      const { misbehave, rotation, idTokenAtRefresh } = idp();
      if (misbehave.tokenError !== undefined) throw new Refused(misbehave.tokenError);
      const type = form.get('grant_type');
      if (type === 'client_credentials') {
        return { access_token: made('own-token'), token_type: 'Bearer', expires_in: 3600 };
      }
      if (type === 'authorization_code') {
        const grant = used(form.get('code'), true);
        const verifier = createHash('sha256')
          .update(form.get('code_verifier') ?? '')
          .digest('base64url');
        const right = form.get('redirect_uri') === grant.redirectUri && verifier === grant.challenge;
        if (!right) throw new Refused('invalid_grant');
        return answer(grant, true, grant.offline ? made('refresh-token') : undefined);
      }
      if (type !== 'refresh_token') throw new Refused('unsupported_grant_type');
      const rotates = rotation === 'rotates';
      const grant = used(form.get('refresh_token'), rotates);
      return answer(grant, idTokenAtRefresh, rotates ? made('refresh-token') : undefined);
    },
    subjectOf: (accessToken) => accessTokens.get(accessToken),
    revoke(subject) {
      for (const { sub, family } of grants.values()) if (sub === subject) family.dead = true;
    },
  };
}
