/** Microsoft Entra ID: one tenant, pinned. Groups are object ids (GUIDs), or app roles by their values. */
import type { EntraConfig } from '../../config-login.ts';
import { type CredentialFetch, createCredentialFetch } from '../../proxy/credential-fetch.ts';
import { createEntraGroups } from './entra-groups.ts';
import { type Claims, groupsOfClaim, isElsewhere, ownClaim } from './groups-claim.ts';
import type { IdentityProvider, Recheckable, Rechecked } from './identity-provider.ts';
import { createOidcClient, stateOf } from './oidc-client.ts';
import { authenticatedOf, displayName, parseEmail } from './person.ts';
import { refusal } from './refusal.ts';

const GUID = /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/;

export function createEntraProvider(deps: {
  name: string;
  config: EntraConfig;
  clientSecret: () => Promise<string>;
  fetch?: CredentialFetch;
  now?: () => number;
}): IdentityProvider {
  const { name, config, clientSecret, fetch = createCredentialFetch(), now = Date.now } = deps;
  const { tenant, clientId, graph } = config;
  const issuer = config.issuer ?? `https://login.microsoftonline.com/${tenant}/v2.0`;
  const client = createOidcClient({ issuer, clientId, clientSecret, fetch, now });
  const directory = createEntraGroups({ graph, ownToken: client.ownToken, fetch, now });

  /** `sub` is another one for each application; `oid` is the person's in the tenant. */
  function oidOf(claims: Claims): string {
    const oid = ownClaim(claims, 'oid');
    if (ownClaim(claims, 'tid') !== tenant) throw refusal('answer_invalid', 'tid is another tenant');
    if (typeof oid !== 'string' || !GUID.test(oid)) throw refusal('answer_invalid', 'oid is not an object id');
    return oid;
  }

  async function groupsOf(claims: Claims, oid: string): Promise<readonly string[]> {
    if (config.groups === 'roles') return groupsOfClaim(claims, 'roles');
    if (config.groups === 'graph' || overflowed(claims)) return directory.of(oid);
    return groupsOfClaim(claims, 'groups');
  }

  return {
    name,
    issuer,
    // With `graph` the directory says it all, and no token has to be kept.
    begin: (login) => client.begin(login, { scopes: ['profile', 'email'], offline: config.groups !== 'graph' }),
    stateOf,
    async finish(answer, login) {
      const { claims, refreshToken } = await client.finish(answer, login);
      const oid = oidOf(claims);
      const email = emailOf(claims, issuer);
      const shown = displayName(claims);
      return {
        issuer,
        subject: `${tenant}.${oid}`,
        ...(email === undefined ? {} : { email }),
        ...(shown === undefined ? {} : { name: shown }),
        groups: await groupsOf(claims, oid),
        ...authenticatedOf(claims),
        ...(refreshToken === undefined || config.groups === 'graph' ? {} : { refreshToken }),
      };
    },
    /**
     * From where the login had them: Graph may name more groups than tokens are configured to hold, so that a change of
     * source would look like a change of groups.
     */
    async recheck(who: Recheckable): Promise<Rechecked | undefined> {
      const [tid, oid = ''] = who.subject.split('.');
      if (tid !== tenant || !GUID.test(oid)) throw refusal('answer_invalid', 'the person is of another tenant');
      if (config.groups === 'graph') return { groups: await directory.of(oid) };
      if (who.refreshToken === undefined) {
        return config.groups === 'roles' ? undefined : { groups: await directory.of(oid) };
      }
      const { claims, refreshToken } = await client.refresh(who.refreshToken);
      if (claims === undefined) throw refusal('provider_unavailable', 'the refresh token brought no ID token');
      if (oidOf(claims) !== oid) throw refusal('answer_invalid', 'the refresh token brought another person');
      const rotated = refreshToken === undefined || refreshToken === who.refreshToken ? {} : { refreshToken };
      return { groups: await groupsOf(claims, oid), ...rotated };
    },
  };
}

/** Over 200 groups; `hasgroups` stands for them where a token has to be short. */
function overflowed(claims: Claims): boolean {
  return isElsewhere(claims, 'groups') || ownClaim(claims, 'hasgroups') !== undefined;
}

/**
 * Entra verifies no addresses: `email` is what an administrator wrote, and a guest's comes from their own tenant, whose
 * administrator can write anybody's. `xms_edov` says that the domain is verified there. A member's user name has a domain
 * of the tenant's own. What is left is no address.
 */
function emailOf(claims: Claims, issuer: string): string | undefined {
  const verified = ownClaim(claims, 'xms_edov');
  const email = parseEmail(ownClaim(claims, 'email'));
  if (email !== undefined && [true, 1, '1', 'true'].some((yes) => yes === verified)) return email;
  const provider = ownClaim(claims, 'idp');
  const isGuest = provider !== undefined && provider !== issuer;
  return isGuest ? undefined : parseEmail(ownClaim(claims, 'preferred_username'));
}
