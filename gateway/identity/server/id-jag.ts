/**
 * Enterprise-managed authorization: a client shows an identity assertion grant (ID-JAG) of the company's identity
 * provider instead of sending the person here. Sources: draft-ietf-oauth-identity-assertion-authz-grant, RFC 7523, and
 * the MCP extension io.modelcontextprotocol/enterprise-managed-authorization.
 */
import { decodeJwt, errors as joseErrors, jwtVerify } from 'jose';
import type { KoaContextWithOIDC, default as Provider } from 'oidc-provider';
import { type ConnectionConfig, clientPaths, resourceUrl } from '../../config.ts';
import { GatewayError } from '../../errors.ts';
import { hashOfParts } from '../../hash-of-parts.ts';
import type { Store } from '../../store/store.ts';
import { type Claims, groupsOfClaim } from '../broker/groups-claim.ts';
import { type BrokeredIdentity, LoginRefused } from '../broker/identity-provider.ts';
import { displayName, verifiedEmail } from '../broker/person.ts';
import { createIssuerKeys, type IssuerKeys } from '../keys.ts';
import type { Authorize } from './authorize.ts';
import { issuerOf } from './issuer.ts';
import { checkDomain, type Login, type NamedProvider } from './login.ts';

export const ID_JAG_GRANT = 'urn:ietf:params:oauth:grant-type:jwt-bearer';
export const ID_JAG_PROFILE = 'urn:ietf:params:oauth:grant-profile:id-jag';
/** Seconds: it is made for one exchange. */
const OLDEST = 600;
const MOST_CHARACTERS = 16 * 1024;

/** The identity providers whose assertions are taken. */
export function idJagProviders(login: Login): NamedProvider[] {
  return [...login.providers.values()].filter(({ name }) => login.settings.providers[name]?.oidc?.idJag === 'on');
}

export interface IdJags {
  /** Lets an authorization server take assertions. */
  accept(server: Provider, login: Login, connection: string): void;
}

export function createIdJags(deps: {
  readonly library: typeof import('oidc-provider');
  readonly state: Store;
  readonly authorize: Authorize;
  readonly now: () => number;
  readonly keys?: IssuerKeys;
}): IdJags {
  const { library, state, authorize, now } = deps;
  const { errors } = library;
  const keys = deps.keys ?? createIssuerKeys({ now, fetch });

  /** Who the assertion says it is, for this client and connection alone. Throws `InvalidGrant`. */
  async function verify(login: Login, connection: string, assertion: string, clientId: string) {
    const provider = issuerOfAssertion(login, assertion);
    const oidc = provider && login.settings.providers[provider.name]?.oidc;
    if (provider === undefined || oidc === undefined) throw new errors.InvalidGrant('it is of an issuer unknown here');
    const { payload } = await jwtVerify(assertion, keys.of({ issuer: oidc.issuer }), {
      issuer: oidc.issuer,
      audience: issuerOf(login.config, connection),
      typ: 'oauth-id-jag+jwt',
      algorithms: ['ES256', 'ES384', 'RS256', 'PS256', 'EdDSA'],
      requiredClaims: ['jti', 'sub', 'client_id', 'exp', 'iat'],
      maxTokenAge: OLDEST,
      currentDate: new Date(now()),
    });
    if (Array.isArray(payload.aud) || payload.client_id !== clientId) {
      throw new errors.InvalidGrant('it was given to another client, or for more than this');
    }
    const used = `oauth/id-jags/${hashOfParts([oidc.issuer, String(payload.jti)])}.json`;
    const outcome = await state.create(used, Buffer.from(JSON.stringify({ exp: payload.exp })));
    if (outcome === 'exists') throw new errors.InvalidGrant('it was used before');
    return { provider, claims: payload as Claims, groupsClaim: oidc.groupsClaim, emailClaim: oidc.emailClaim };
  }

  async function identityOf(login: Login, connection: string, assertion: string, clientId: string) {
    try {
      const { provider, claims, groupsClaim, emailClaim } = await verify(login, connection, assertion, clientId);
      const email = verifiedEmail(claims, emailClaim);
      const name = displayName(claims);
      const identity: BrokeredIdentity = {
        issuer: String(claims.iss),
        subject: String(claims.sub),
        ...(email === undefined ? {} : { email }),
        ...(name === undefined ? {} : { name }),
        groups: groupsOfClaim(claims, groupsClaim, login.settings.providers[provider.name]?.oidc?.groupsLimit),
      };
      checkDomain(provider, identity);
      const may = login.config.connections[connection]?.groups ?? [];
      if (!identity.groups.some((group) => may.includes(group))) {
        throw new errors.AccessDenied('none of the groups may open a session on this connection');
      }
      return { provider, identity, resource: claims.resource };
    } catch (error) {
      if (error instanceof errors.OIDCProviderError) throw error;
      if (error instanceof LoginRefused) throw new errors.InvalidGrant(error.message);
      if (error instanceof joseErrors.JOSEError) throw new errors.InvalidGrant('the assertion does not verify');
      // The provider's keys, or the state, can't be had: nobody's fault who asks.
      if (error instanceof GatewayError) throw new errors.TemporarilyUnavailable(error.message);
      throw error;
    }
  }

  /** What the token is to be for: what is asked for, and what the assertion is for, where they say so. */
  function resourceOf(login: Login, connection: ConnectionConfig, asked: unknown, meant: unknown): string {
    const own = clientPaths(connection).map((path) => resourceUrl(login.config, connection.name, path));
    const [wanted = own[0], ...others] = [...new Set([asked, meant].filter((one) => one !== undefined))];
    if (others.length > 0 || typeof wanted !== 'string' || !own.includes(wanted)) {
      throw new errors.InvalidTarget('this is not what the assertion is for');
    }
    return wanted;
  }

  async function exchange(server: Provider, login: Login, target: ConnectionConfig, ctx: KoaContextWithOIDC) {
    const { client, params } = ctx.oidc;
    const assertion = String(params?.assertion ?? '');
    if (client === undefined) throw new errors.InvalidClient('it is not known');
    if (assertion === '' || assertion.length > MOST_CHARACTERS) {
      throw new errors.InvalidRequest('there is no assertion, or it is too long');
    }
    const id = client.clientId;
    const { provider, identity, resource } = await identityOf(login, target.name, assertion, id);
    const audience = resourceOf(login, target, params?.resource, resource);
    const to = { login, connection: target, client: { id, name: client.clientName ?? id } };
    const record = await authorize.person(to, provider.name, identity, { address: ctx.ip }).catch((error: unknown) => {
      throw error instanceof LoginRefused ? new errors.AccessDenied(error.message) : error;
    });
    const grant = await server.Grant.find(record.session);
    if (grant === undefined) throw new errors.InvalidGrant('the session has ended');
    ctx.oidc.entity('Grant', grant);
    const token = new server.AccessToken({
      accountId: String(grant.accountId),
      client,
      grantId: record.session,
      gty: ID_JAG_GRANT,
      scope: 'mcp',
    } as never);
    const jwt = { sign: { alg: 'ES256' } };
    token.resourceServer = new server.ResourceServer(audience, {
      scope: 'mcp',
      audience,
      accessTokenFormat: 'jwt',
      jwt,
    } as never);
    ctx.oidc.entity('AccessToken', token);
    const access_token = await token.save();
    ctx.body = { access_token, expires_in: token.expiration, token_type: token.tokenType, scope: 'mcp' };
  }

  return {
    accept(server, login, connection) {
      const target = login.config.connections[connection];
      if (idJagProviders(login).length === 0 || target === undefined) return;
      const parameters = ['assertion', 'resource', 'scope'];
      server.registerGrantType(ID_JAG_GRANT, (ctx) => exchange(server, login, target, ctx), parameters);
    },
  };
}

/** By its unverified `iss`: whose keys to ask. */
function issuerOfAssertion(login: Login, assertion: string): NamedProvider | undefined {
  try {
    const { iss } = decodeJwt(assertion);
    return idJagProviders(login).find(({ name }) => login.settings.providers[name]?.oidc?.issuer === iss);
  } catch {
    return undefined;
  }
}
