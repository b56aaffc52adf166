import { generateKeyPair, jwtVerify, SignJWT } from 'jose';
import { GoogleError, OAuthError } from './answer.ts';
import type { Answering, Ground } from './google.ts';

export interface Groups {
  /** Groups of a member (a person or a group), direct ones, by e-mail address. A person without any is in here as well. */
  readonly of: Map<string, string[]>;
  /** Groups of other companies: an unscoped search that meets one is refused as a whole. */
  readonly foreign: Set<string>;
  /** Whether the gateway's service account has an administrator's role that reads groups. */
  role: 'groups reader' | 'none';
  /** `<service account> <administrator>` with domain-wide delegation of the scope that lists groups. */
  readonly delegations: Set<string>;
  /** Answers have at most so many. */
  pageSize: number;
  /** The tokens of delegation are refused from now on. */
  revokeDelegated(): void;
  /** The next answers have a group without address. */
  nameless: boolean;
  readonly searchTransitiveGroups: Answering;
  readonly signJwt: Answering;
  readonly delegatedToken: Answering;
  readonly directory: Answering;
}

const CUSTOMER = 'C046psxkn';
const SCOPE = 'https://www.googleapis.com/auth/admin.directory.group.readonly';
/** https://cloud.google.com/identity/docs/reference/rest/v1/groups.memberships/searchTransitiveGroups: nothing else passes. */
const QUERY =
  /^member_key_id == '((?:[^'\\]|\\.)*)' && 'cloudidentity\.googleapis\.com\/groups\.discussion_forum' in labels(?: && parent == 'customers\/(\w+)')?$/;

export async function createGroups(
  { now, ownToken, secrets }: Ground,
  impersonable: ReadonlySet<string>,
): Promise<Groups> {
  const { publicKey, privateKey } = await generateKeyPair('RS256');
  const delegated = new Set<string>();
  let serial = 0;

  const page = (all: readonly unknown[], asked: URLSearchParams, wanted: string | null) => {
    const start = Number((asked.get('pageToken') ?? 'from-0').replace('from-', ''));
    const end = start + Math.min(groups.pageSize, Number(wanted));
    return { items: all.slice(start, end), ...(end < all.length ? { nextPageToken: `from-${end}` } : {}) };
  };

  const transitive = (member: string): string[] => {
    const found = new Set<string>();
    const look = (one: string): void => {
      for (const group of groups.of.get(one) ?? []) {
        if (found.has(group)) continue;
        found.add(group);
        look(group);
      }
    };
    look(member);
    return [...found];
  };

  const groups: Groups = {
    of: new Map(),
    foreign: new Set(),
    role: 'groups reader',
    delegations: new Set(),
    pageSize: 2,
    nameless: false,
    revokeDelegated: () => delegated.clear(),

    searchTransitiveGroups(request, { pathname, searchParams }) {
      if (request.headers.authorization !== `Bearer ${ownToken()}`) throw new GoogleError(401, 'UNAUTHENTICATED');
      const [, text, customer] = QUERY.exec(searchParams.get('query') ?? '') ?? [];
      const right = request.method === 'GET' && pathname === '/v1/groups/-/memberships:searchTransitiveGroups';
      if (!right || text === undefined) throw new GoogleError(400, 'INVALID_ARGUMENT');
      const known = customer === undefined || customer === CUSTOMER;
      if (groups.role === 'none' || !known) throw new GoogleError(403, 'PERMISSION_DENIED');
      const all = transitive(text.replaceAll(/\\(.)/g, '$1'));
      const own = all.filter((group) => !groups.foreign.has(group));
      if (customer === undefined && own.length < all.length) throw new GoogleError(403, 'PERMISSION_DENIED');
      const memberships = own.map((id) => ({
        group: `groups/${Buffer.from(id).toString('hex')}`,
        ...(groups.nameless ? {} : { groupKey: { id } }),
        displayName: id,
        labels: { 'cloudidentity.googleapis.com/groups.discussion_forum': '' },
        relationType: 'DIRECT',
      }));
      const { items, ...next } = page(memberships, searchParams, searchParams.get('pageSize') ?? '200');
      // An empty list is left out, as protocol buffers do.
      return { ...(items.length === 0 ? {} : { memberships: items }), ...next };
    },

    /** https://cloud.google.com/iam/docs/reference/credentials/rest/v1/projects.serviceAccounts/signJwt */
    async signJwt(request, { pathname }, body) {
      if (request.headers.authorization !== `Bearer ${ownToken()}`) throw new GoogleError(401, 'UNAUTHENTICATED');
      const [, account = ''] = /^\/v1\/projects\/-\/serviceAccounts\/([^/:]+):signJwt$/.exec(pathname) ?? [];
      if (request.method !== 'POST' || !impersonable.has(account)) throw new GoogleError(403, 'PERMISSION_DENIED');
      const { payload } = JSON.parse(body) as { payload?: unknown };
      if (typeof payload !== 'string') throw new GoogleError(400, 'INVALID_ARGUMENT');
      const claims = JSON.parse(payload) as Record<string, unknown>;
      const header = { alg: 'RS256', kid: account, typ: 'JWT' };
      const signedJwt = await new SignJWT(claims).setProtectedHeader(header).sign(privateKey);
      secrets.add(signedJwt);
      return { keyId: account, signedJwt };
    },

    /** https://developers.google.com/identity/protocols/oauth2/service-account#delegatingauthority */
    async delegatedToken(request, _url, body) {
      const form = new URLSearchParams(body);
      const grant = 'urn:ietf:params:oauth:grant-type:jwt-bearer';
      if (request.method !== 'POST' || form.get('grant_type') !== grant) {
        throw new OAuthError(400, 'unsupported_grant_type');
      }
      const options = {
        audience: 'https://oauth2.googleapis.com/token',
        currentDate: new Date(now()),
        requiredClaims: ['iat', 'exp', 'scope'],
        maxTokenAge: 3600,
      };
      const { payload, protectedHeader } = await jwtVerify(form.get('assertion') ?? '', publicKey, options).catch(
        () => {
          throw new OAuthError(400, 'invalid_grant');
        },
      );
      if (payload.iss !== protectedHeader.kid) throw new OAuthError(400, 'invalid_grant');
      if (payload.scope !== SCOPE || !groups.delegations.has(`${payload.iss} ${payload.sub}`)) {
        throw new OAuthError(401, 'unauthorized_client');
      }
      serial++;
      const token = `ya29.CANARY-delegated-${serial}`;
      secrets.add(token);
      delegated.add(token);
      return { access_token: token, expires_in: 3599, token_type: 'Bearer' };
    },

    /** https://developers.google.com/workspace/admin/directory/reference/rest/v1/groups/list */
    directory(request, { searchParams }) {
      const bearer = request.headers.authorization?.replace(/^Bearer /, '') ?? '';
      if (!delegated.has(bearer)) throw new GoogleError(401, 'UNAUTHENTICATED');
      const found = groups.of.get(searchParams.get('userKey') ?? '');
      if (found === undefined) throw new GoogleError(404, 'NOT_FOUND');
      const all = found.map((email) => ({ kind: 'admin#directory#group', ...(groups.nameless ? {} : { email }) }));
      const { items, ...next } = page(all, searchParams, searchParams.get('maxResults') ?? '200');
      return { kind: 'admin#directory#groups', ...(items.length === 0 ? {} : { groups: items }), ...next };
    },
  };
  return groups;
}
