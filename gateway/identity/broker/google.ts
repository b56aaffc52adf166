/** Google Workspace: OpenID Connect for who it is, Google's directory for their groups. */
import type { GoogleAddresses } from '../../config.ts';
import type { GoogleConfig } from '../../config-login.ts';
import type { GoogleIdentity } from '../../google-identity.ts';
import { type CredentialFetch, createCredentialFetch } from '../../proxy/credential-fetch.ts';
import { createGoogleGroups } from './google-groups.ts';
import { type Claims, ownClaim } from './groups-claim.ts';
import type { IdentityProvider, Recheckable, Rechecked } from './identity-provider.ts';
import { createOidcClient, stateOf } from './oidc-client.ts';
import { authenticatedOf, displayName, subjectOf, verifiedEmail } from './person.ts';
import { refusal } from './refusal.ts';

export function createGoogleProvider(deps: {
  name: string;
  config: GoogleConfig;
  clientSecret: () => Promise<string>;
  /** `google` of the configuration. */
  google: GoogleAddresses;
  identity?: GoogleIdentity;
  fetch?: CredentialFetch;
  now?: () => number;
}): IdentityProvider {
  const { name, config, clientSecret, google, identity, fetch = createCredentialFetch(), now = Date.now } = deps;
  const { issuer, clientId, hostedDomains } = config;
  const client = createOidcClient({ issuer, clientId, clientSecret, fetch, now });
  const groups = createGoogleGroups({ config, google, identity, fetch, now });

  function hostedDomain(claims: Claims): string | undefined {
    const hd = ownClaim(claims, 'hd');
    return typeof hd === 'string' ? hd.toLowerCase() : undefined;
  }

  function checkDomain(domain: string | undefined): void {
    if (domain !== undefined && hostedDomains.includes(domain)) return;
    throw refusal('domain_not_allowed', 'hd is none of hostedDomains');
  }

  return {
    name,
    issuer,
    begin: ({ fresh, ...login }) =>
      client.begin(login, {
        scopes: ['profile', 'email'],
        offline: false,
        parameters: {
          // Only what Google's page offers; the claim is what counts.
          hd: hostedDomains.length === 1 ? String(hostedDomains[0]) : '*',
          // Google has no offline_access. Without `consent` only a person's first login would bring a refresh token.
          access_type: 'offline',
          // It knows no `login`: a person can be made to choose their account, not to give its password again.
          prompt: fresh === undefined ? 'consent' : 'select_account consent',
        },
      }),
    stateOf,
    async finish(answer, login) {
      const { claims, refreshToken } = await client.finish(answer, login);
      checkDomain(hostedDomain(claims));
      const email = verifiedEmail(claims, 'email');
      if (email === undefined) throw refusal('email_unverified', 'there is no verified e-mail address');
      const shown = displayName(claims);
      return {
        issuer,
        subject: subjectOf(claims),
        email,
        ...(shown === undefined ? {} : { name: shown }),
        groups: await groups.of(email),
        ...authenticatedOf(claims),
        ...(refreshToken === undefined ? {} : { refreshToken }),
      };
    },
    /**
     * The refresh token says whether the account still is one, since a suspended person stays in their groups; and which
     * address it has now, since the directory is asked by that and an address can be given to somebody else.
     */
    async recheck(who: Recheckable): Promise<Rechecked | undefined> {
      let { email } = who;
      let rotated: string | undefined;
      if (who.refreshToken !== undefined) {
        const { claims = {}, refreshToken } = await client.refresh(who.refreshToken);
        if (ownClaim(claims, 'sub') !== undefined && subjectOf(claims) !== who.subject) {
          throw refusal('answer_invalid', 'the refresh token brought another person');
        }
        const domain = hostedDomain(claims);
        if (domain !== undefined) checkDomain(domain);
        email = verifiedEmail(claims, 'email') ?? email;
        if (refreshToken !== who.refreshToken) rotated = refreshToken;
      }
      if (email === undefined) return undefined;
      const found = await groups.of(email);
      return { groups: found, ...(rotated === undefined ? {} : { refreshToken: rotated }) };
    },
  };
}
