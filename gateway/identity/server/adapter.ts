/**
 * Where oidc-provider keeps what it makes: the state store, in creates alone, so that any replica serves any step.
 *
 * | Model | Kept as |
 * |---|---|
 * | Grant | the session's record (grants.ts); its end is the session's |
 * | AuthorizationCode, RefreshToken | `codes/<sha256 of the code>.json`, used up by a second object |
 * | Interaction | versions `interactions/<sha256>/<n>.json`; an empty last one ends it |
 * | ReplayDetection | one object an assertion |
 * | Session, AccessToken, ClientCredentials | never: each authorization asks who it is, and tokens are JWTs |
 * | Client | found by clients/ |
 *
 * All below `oauth/<connection>/`: what one issuer made is not there for another, so it can neither be used nor used up.
 */
import type { Adapter, AdapterPayload } from 'oidc-provider';
import type { Store } from '../../store/store.ts';
import { accountIdOf, type GrantRecord, type Grants } from './grants.ts';
import { sha256 } from './one-time.ts';

type Errors = typeof import('oidc-provider').errors;

export interface AdapterDeps {
  readonly state: Store;
  /** Whose authorization server it is. */
  readonly connection: string;
  readonly grants: Grants;
  readonly now: () => number;
  readonly errors: Errors;
  findClient(id: string): Promise<AdapterPayload | undefined>;
  /** Records that a grant ends, before it does. */
  ended(session: string, reason: string): Promise<void>;
  /** Why oidc-provider ends a grant, by the request that it serves. */
  reasonToEnd(): string;
  /** A refresh token was presented again within the time of grace: the answer of the first use is to be had. */
  usedAgain(hash: string): void;
}

/** Parallel refreshes with one token are one refresh (the SDKs do so); later ones are a theft (RFC 9700, section 4.14). */
export const GRACE_MS = 10_000;
/** The scopes of every grant: what one may do is a matter of policy, not of scopes. */
export const SCOPES = 'openid mcp';

export function createAdapters(deps: AdapterDeps): (model: string) => Adapter {
  return (model) => {
    if (model === 'Grant') return grantAdapter(deps);
    if (model === 'AuthorizationCode') return oneTimeAdapter(deps, 'codes', 0);
    if (model === 'RefreshToken') return oneTimeAdapter(deps, 'refresh-tokens', GRACE_MS);
    if (model === 'Interaction') return interactionAdapter(deps);
    if (model === 'ReplayDetection') return replayAdapter(deps);
    if (model === 'Client') return { ...nothing(), find: (id) => deps.findClient(id) };
    return nothing();
  };
}

function nothing(): Adapter {
  return {
    async upsert() {},
    async find() {
      return undefined;
    },
    async findByUid() {
      return undefined;
    },
    async findByUserCode() {
      return undefined;
    },
    async consume() {},
    async destroy() {},
    async revokeByGrantId() {},
  };
}

/** What oidc-provider knows of a grant, made of the session's record. */
function grantPayload(record: GrantRecord): AdapterPayload {
  return {
    kind: 'Grant',
    jti: record.session,
    accountId: accountIdOf(record),
    clientId: record.client.id,
    iat: Math.floor(record.opened / 1000),
    exp: Math.floor(record.expires / 1000),
    openid: { scope: SCOPES },
    resources: Object.fromEntries(record.resources.map((resource) => [resource, 'mcp'])),
  };
}

function grantAdapter({ connection, grants, reasonToEnd, ended }: AdapterDeps): Adapter {
  return {
    ...nothing(),
    async upsert() {
      throw new Error('Grants are opened by a login.');
    },
    async find(id) {
      const record = await grants.find(id);
      return record?.connection === connection ? grantPayload(record) : undefined;
    },
    async destroy(id) {
      const reason = reasonToEnd();
      await ended(id, reason);
      await grants.end(id, reason);
    },
  };
}

/** The key of a code or a refresh token is the secret itself: neither a name nor the content holds it. */
function oneTimeAdapter(deps: AdapterDeps, folder: string, grace: number): Adapter {
  const { state, connection, now, errors, usedAgain } = deps;
  const nameOf = (id: string): string => `oauth/${connection}/${folder}/${sha256(id)}`;
  return {
    ...nothing(),
    async upsert(id, { jti: _, ...payload }) {
      const outcome = await state.create(`${nameOf(id)}.json`, Buffer.from(JSON.stringify(payload)));
      if (outcome === 'exists') throw new Error('A code was drawn twice.');
    },
    async find(id) {
      const [bytes, used] = await Promise.all([state.get(`${nameOf(id)}.json`), state.get(`${nameOf(id)}.used.json`)]);
      if (bytes === undefined) return undefined;
      const payload = { ...(JSON.parse(Buffer.from(bytes).toString()) as AdapterPayload), jti: id };
      if (used === undefined) return payload;
      const { at } = JSON.parse(Buffer.from(used).toString()) as { at: number };
      // Within the grace its use is decided by `consume`, after the client has been authenticated.
      return now() - at < grace ? payload : { ...payload, consumed: Math.floor(at / 1000) };
    },
    async consume(id) {
      // oidc-provider reads, then consumes: of several uses at once only this step decides who was first.
      const outcome = await state.create(`${nameOf(id)}.used.json`, Buffer.from(JSON.stringify({ at: now() })));
      if (outcome === 'created') return;
      if (grace > 0) usedAgain(sha256(id));
      throw new errors.InvalidGrant('it was used before');
    },
    // Its grant ends, and with it all that hangs on it: codes and refresh tokens ask for the grant.
    async destroy(id) {
      await state.create(`${nameOf(id)}.used.json`, Buffer.from(JSON.stringify({ at: 1000 })));
    },
  };
}

/** An interaction is written a few times within a login, perhaps by several replicas: the highest version counts. */
function interactionAdapter({ state, connection, errors }: AdapterDeps): Adapter {
  const folderOf = (id: string): string => `oauth/${connection}/interactions/${sha256(id)}`;

  async function latest(id: string): Promise<{ next: number; payload: AdapterPayload | undefined }> {
    for (let next = 0, payload: AdapterPayload | undefined; ; next++) {
      const bytes = await state.get(`${folderOf(id)}/${next}.json`);
      if (bytes === undefined) return { next, payload };
      payload = (JSON.parse(Buffer.from(bytes).toString()) as { payload?: AdapterPayload }).payload;
    }
  }

  async function append(id: string, payload: AdapterPayload | undefined): Promise<void> {
    const { next, payload: before } = await latest(id);
    if (next > 0 && before === undefined) throw new errors.SessionNotFound('this login is over');
    const bytes = Buffer.from(JSON.stringify({ payload }));
    if ((await state.create(`${folderOf(id)}/${next}.json`, bytes)) === 'exists') {
      throw new errors.SessionNotFound('this login was answered elsewhere at the same time');
    }
  }

  return {
    ...nothing(),
    upsert: (id, { jti: _, ...payload }) => append(id, payload),
    async find(id) {
      const { payload } = await latest(id);
      return payload === undefined ? undefined : { ...payload, jti: id };
    },
    destroy: (id) => append(id, undefined),
  };
}

function replayAdapter({ state, connection, errors }: AdapterDeps): Adapter {
  return {
    ...nothing(),
    async upsert(id, payload) {
      const name = `oauth/${connection}/assertions/${sha256(id)}.json`;
      const outcome = await state.create(name, Buffer.from(JSON.stringify({ exp: payload.exp })));
      if (outcome === 'exists') throw new errors.InvalidClient('the assertion was used before');
    },
  };
}
