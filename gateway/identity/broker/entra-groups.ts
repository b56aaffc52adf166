/** The groups of a person in Microsoft Graph, asked with a token of this gateway's own (application permissions). */
import { z } from 'zod';
import type { CredentialFetch } from '../../proxy/credential-fetch.ts';
import { createProviderFetch } from './provider-fetch.ts';
import { refusal } from './refusal.ts';

export interface EntraGroups {
  /**
   * Object ids of all groups, direct and through others, of an account that is enabled. Throws `LoginRefused`:
   * `provider_refused` where the account is not there or disabled.
   */
  of(oid: string): Promise<readonly string[]>;
}

/** Microsoft's most. */
const PAGE_SIZE = 999;
const MOST_PAGES = 20;
/** A token is not used any more this long before it ends. */
const SPARE_MS = 5 * 60_000;

const account = z.object({ accountEnabled: z.boolean() });
const page = z.object({
  value: z.array(z.object({ '@odata.type': z.string(), id: z.string().min(1) })),
  '@odata.nextLink': z.string().optional(),
});
const graphError = z.object({ error: z.object({ code: z.string() }) });

export function createEntraGroups(deps: {
  graph: string;
  ownToken: (scope: string) => Promise<{ token: string; life: number }>;
  fetch: CredentialFetch;
  now: () => number;
}): EntraGroups {
  const { ownToken, now } = deps;
  const graph = deps.graph.replace(/\/+$/, '');
  const { origin, host } = new URL(graph);
  const fetch = createProviderFetch({ home: graph, fetch: deps.fetch });
  let held: { token: string; deadAt: number } | undefined;
  let asking: Promise<string> | undefined;

  async function ask(): Promise<string> {
    try {
      const began = now();
      const { token, life } = await ownToken(`${origin}/.default`);
      held = { token, deadAt: began + life - SPARE_MS };
      return token;
    } finally {
      asking = undefined;
    }
  }

  async function token(): Promise<string> {
    if (held !== undefined && now() < held.deadAt) return held.token;
    asking ??= ask();
    return asking;
  }

  async function get<T>(url: string, shape: z.ZodType<T>): Promise<T> {
    const attempt = async (): Promise<Response> =>
      fetch(url, { method: 'GET', headers: { authorization: `Bearer ${await token()}`, accept: 'application/json' } });
    let response = await attempt();
    if (response.status === 401) {
      held = undefined;
      response = await attempt();
    }
    const answer: unknown = await response.json().catch(() => undefined);
    if (response.status === 404 && graphError.safeParse(answer).data?.error.code === 'Request_ResourceNotFound') {
      throw refusal('provider_refused', 'Microsoft Graph does not know this person');
    }
    if (response.status === 403) {
      const words = 'This gateway may not read your groups at Microsoft. Tell who runs it.';
      const logged = `${host} answered HTTP 403: see docs/identity/entra.md for the permissions that it takes`;
      throw refusal('provider_unavailable', logged, words);
    }
    const read = shape.safeParse(answer);
    if (response.status === 200 && read.success) return read.data;
    throw refusal('provider_unavailable', `${host} answered HTTP ${response.status}, not what was asked for`);
  }

  async function checkEnabled(oid: string): Promise<void> {
    const { accountEnabled } = await get(`${graph}/v1.0/users/${oid}?$select=accountEnabled`, account);
    if (!accountEnabled) throw refusal('provider_refused', 'the account is disabled');
  }

  /** All pages, or none: with one missing, a rule that denies a group would fail open. */
  async function memberOf(oid: string): Promise<readonly string[]> {
    const all = new Set<string>();
    // Without a cast to groups: that would ask an index that lags behind. Roles and units are dropped here.
    let url = `${graph}/v1.0/users/${oid}/transitiveMemberOf?$select=id&$top=${PAGE_SIZE}`;
    for (let pages = 1; pages <= MOST_PAGES; pages++) {
      const { value, '@odata.nextLink': next } = await get(url, page);
      for (const { id, '@odata.type': type } of value) if (type === '#microsoft.graph.group') all.add(id.toLowerCase());
      if (next === undefined) return [...all];
      // The token goes where it is for, whatever a page says.
      if (!URL.canParse(next) || new URL(next).origin !== origin) {
        throw refusal('groups_unknown', `${host} names a next page that is elsewhere`);
      }
      url = next;
    }
    throw refusal('groups_unknown', `there are more than ${MOST_PAGES * PAGE_SIZE} groups`);
  }

  return {
    async of(oid) {
      await checkEnabled(oid);
      return memberOf(oid);
    },
  };
}
