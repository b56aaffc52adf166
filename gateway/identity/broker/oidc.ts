/** Any OpenID Connect provider: Okta, Keycloak, Auth0, Ping, … */
import type { OidcConfig } from '../../config-login.ts';
import type { CredentialFetch } from '../../proxy/credential-fetch.ts';
import { type Claims, groupsOfClaim, isElsewhere, ownClaim } from './groups-claim.ts';
import type { IdentityProvider } from './identity-provider.ts';
import { createOidcClient, type OidcTokens, stateOf } from './oidc-client.ts';
import { authenticatedOf, displayName, subjectOf, verifiedEmail } from './person.ts';
import { refusal } from './refusal.ts';

export function createOidcProvider(deps: {
  name: string;
  config: Omit<OidcConfig, 'idJag'>;
  clientSecret: () => Promise<string>;
  fetch?: CredentialFetch;
  now?: () => number;
}): IdentityProvider {
  const { name, config, clientSecret, fetch, now } = deps;
  const { issuer, clientId, groupsClaim, emailClaim, groupsLimit } = config;
  const client = createOidcClient({ issuer, clientId, clientSecret, fetch, now });
  const offline = config.offlineAccess === 'on';

  const lacksGroups = (claims: Claims): boolean =>
    ownClaim(claims, groupsClaim) === undefined && !isElsewhere(claims, groupsClaim);
  const lacksEmail = (claims: Claims): boolean =>
    ownClaim(claims, emailClaim) === undefined ||
    (emailClaim === 'email' && ownClaim(claims, 'email_verified') === undefined);

  /** One claim's place decides: what the ID token has is never mended with what userinfo has. */
  async function groupsNow(tokens: OidcTokens, userinfo: Claims | undefined): Promise<readonly string[]> {
    const [claims = {}] = [tokens.claims, userinfo].filter((one) => one !== undefined && !lacksGroups(one));
    return groupsOfClaim(claims, groupsClaim, groupsLimit);
  }

  async function recheck(who: { subject: string; refreshToken?: string }) {
    if (who.refreshToken === undefined) return undefined;
    const tokens = await client.refresh(who.refreshToken);
    const { claims, accessToken, refreshToken } = tokens;
    // OpenID Connect Core, section 12.2. An ID token is not required, and then userinfo says who it is.
    if (claims !== undefined && subjectOf(claims) !== who.subject) {
      throw refusal('answer_invalid', 'the refresh token brought another person');
    }
    const asked = claims === undefined || lacksGroups(claims);
    const userinfo = asked ? await client.userinfo(accessToken, who.subject, 'recheck') : undefined;
    return {
      groups: await groupsNow(tokens, userinfo),
      ...(refreshToken === undefined || refreshToken === who.refreshToken ? {} : { refreshToken }),
    };
  }

  return {
    name,
    issuer,
    begin: (login) => client.begin(login, { scopes: config.scopes, offline }),
    stateOf,
    async finish(answer, login) {
      const tokens = await client.finish(answer, login);
      const { claims, accessToken, refreshToken } = tokens;
      const subject = subjectOf(claims);
      const asked = lacksGroups(claims) || lacksEmail(claims);
      const userinfo = asked ? await client.userinfo(accessToken, subject, 'login') : undefined;
      const email = verifiedEmail(claims, emailClaim) ?? verifiedEmail(userinfo ?? {}, emailClaim);
      const shown = displayName(claims) ?? displayName(userinfo ?? {});
      return {
        issuer,
        subject,
        ...(email === undefined ? {} : { email }),
        ...(shown === undefined ? {} : { name: shown }),
        groups: await groupsNow(tokens, userinfo),
        ...authenticatedOf(claims),
        ...(offline && refreshToken !== undefined ? { refreshToken } : {}),
      };
    },
    ...(offline ? { recheck } : {}),
  };
}
