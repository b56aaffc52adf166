/**
 * The groups of a person at Google Workspace, whose ID tokens hold none. Keyless: by the gateway's own identity, or by a
 * service account that it may sign for. Group names are the groups' e-mail addresses.
 */
import type { GoogleAddresses } from '../../config.ts';
import type { GoogleConfig } from '../../config-login.ts';
import { GatewayError } from '../../errors.ts';
import { createGoogleApi, isRecord } from '../../google-api.ts';
import type { GoogleIdentity } from '../../google-identity.ts';
import { isTransient, loggableReason } from '../../proxy/credential-error.ts';
import type { CredentialFetch } from '../../proxy/credential-fetch.ts';
import { createDirectory } from './google-directory.ts';
import { allOf, PAGE_SIZE, type Page } from './google-pages.ts';
import { LoginRefused } from './identity-provider.ts';
import { refusal } from './refusal.ts';

export interface GoogleGroups {
  /** Whole. Throws `LoginRefused`. */
  of(email: string): Promise<readonly string[]>;
}

/** All Google groups have it: security groups and dynamic groups have theirs beside it. */
const LABEL = 'cloudidentity.googleapis.com/groups.discussion_forum';

export function createGoogleGroups(deps: {
  config: GoogleConfig;
  google: GoogleAddresses;
  identity?: GoogleIdentity | undefined;
  fetch: CredentialFetch;
  now: () => number;
}): GoogleGroups {
  const { config, google, identity, fetch, now } = deps;
  const api = createGoogleApi({ google, identity, fetch });
  const { directory } = config;
  const pagesOf = directory === undefined ? cloudIdentity : createDirectory({ directory, google, api, fetch, now });

  function cloudIdentity(email: string): Page {
    const query = memberQuery(email, config.customer);
    return async (pageToken) => {
      const asked = new URLSearchParams({ query, pageSize: String(PAGE_SIZE) });
      if (pageToken !== undefined) asked.set('pageToken', pageToken);
      const path = `/v1/groups/-/memberships:searchTransitiveGroups?${asked}`;
      const { memberships = [], nextPageToken } = await api.call('cloudIdentity', path, 'searching transitive groups');
      if (!Array.isArray(memberships)) throw refusal('groups_unknown', 'memberships is not a list');
      const keys = memberships.map((one) => (isRecord(one) && isRecord(one.groupKey) ? one.groupKey.id : undefined));
      return { groups: keys, next: nextPageToken };
    };
  }

  return {
    async of(email) {
      try {
        return await allOf(pagesOf(email));
      } catch (error) {
        throw refusalOf(error);
      }
    },
  };
}

/**
 * The query is an expression (CEL), so the address could end its text and go on as another condition. Addresses are of
 * Google's ID tokens; no more than Google lets people have in one passes, and its one special character is escaped.
 */
export function memberQuery(email: string, customer: string | undefined): string {
  if (!/^[A-Za-z0-9._%+'-]{1,64}@[A-Za-z0-9.-]{1,253}$/.test(email)) {
    throw refusal('groups_unknown', 'the e-mail address has characters that no query may have');
  }
  const scoped = customer === undefined ? '' : ` && parent == 'customers/${customer}'`;
  return `member_key_id == '${email.replaceAll("'", String.raw`\'`)}' && '${LABEL}' in labels${scoped}`;
}

/** What is missing (an edition, a role, a delegation) is no fault of the person's: sessions go on for a while. */
function refusalOf(error: unknown): LoginRefused {
  if (error instanceof LoginRefused) return error;
  if (!(error instanceof GatewayError)) throw error;
  if (isTransient(error)) return refusal('provider_unavailable', loggableReason(error));
  const words = 'This gateway may not read your groups at Google. Tell who runs it.';
  const logged = `${loggableReason(error)}: see docs/identity/google.md for the edition, role and address that it takes`;
  return refusal('provider_unavailable', logged, words);
}
