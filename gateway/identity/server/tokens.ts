/**
 * The token endpoint's record, and the grace for parallel refreshes. What the first use of a refresh token was answered
 * is kept sealed for some seconds: another request with it, on any replica, gets the same answer after the client and
 * the grant have been checked as ever.
 */

import type { KoaContextWithOIDC, default as Provider } from 'oidc-provider';
import { hashOfParts } from '../../hash-of-parts.ts';
import { stateFacts } from '../../state-facts.ts';
import type { Store } from '../../store/store.ts';
import type { Keyring } from '../keyring.ts';
import { GRACE_MS } from './adapter.ts';
import { sha256 } from './one-time.ts';
import { usedAgain } from './provider.ts';

export interface TokensDeps {
  readonly state: Store;
  readonly keyring: Keyring;
  readonly connection: string;
  /** Records an event; resolves when it is durable. No token leaves before. */
  event(name: string, details: Record<string, unknown>): Promise<void>;
  refused(facts: { address: string; reason: string; connection: string; detail: string }): void;
}

/** The first use may still be at work. */
const WAIT_MS = 3000;
const LOOK_MS = 50;

export function watchTokens(provider: Provider, deps: TokensDeps): void {
  provider.use(async (ctx: KoaContextWithOIDC, next) => {
    await next();
    const route = (ctx.oidc as KoaContextWithOIDC['oidc'] | undefined)?.route;
    if (route === 'token') await answered(ctx, deps);
  });
  const { connection, refused } = deps;
  // What the client, or the person, is told. Codes alone: the words may repeat what was asked.
  const record = (reason: string) => (ctx: KoaContextWithOIDC, error: { error?: string }) =>
    refused({ address: ctx.ip, reason, connection, detail: error.error ?? 'invalid_request' });
  provider.on('authorization.error', record('login_refused'));
  provider.on('revocation.error', record('token_refused'));
}

async function answered(ctx: KoaContextWithOIDC, deps: TokensDeps): Promise<void> {
  const { connection } = deps;
  const { params, client, entities } = ctx.oidc;
  const hash = usedAgain(ctx);
  if (ctx.status !== 200 && hash !== undefined) {
    const answer = await firstAnswer(hash, bound(ctx), deps);
    if (answer !== undefined) {
      ctx.status = 200;
      ctx.body = answer;
      return;
    }
  }
  const facts = { connection, client: client?.clientId ?? String(params?.client_id ?? '') };
  if (ctx.status !== 200) {
    const { error = 'server_error', error_description: words = '' } = (ctx.body ?? {}) as Record<string, string>;
    deps.refused({ address: ctx.ip, reason: 'token_refused', connection, detail: `${error}: ${words}` });
    return;
  }
  const session = entities.Grant?.jti;
  const grant = String(params?.grant_type);
  await deps.event('token.issued', { ...facts, grant, ...(session === undefined ? {} : { session }) });
  if (grant === 'refresh_token') await keepAnswer(ctx, deps);
}

/** Who asks, and for what: another client, resource or scope gets nothing of it. */
function bound(ctx: KoaContextWithOIDC): string {
  const { params, client } = ctx.oidc;
  return hashOfParts([client?.clientId ?? '', String(params?.resource ?? ''), String(params?.scope ?? '')]);
}

async function keepAnswer(ctx: KoaContextWithOIDC, { state, keyring }: TokensDeps): Promise<void> {
  const hash = sha256(String(ctx.oidc.params?.refresh_token));
  const until = Date.now() + GRACE_MS;
  const sealed = keyring.seal('refreshed', JSON.stringify({ until, body: ctx.body }), `${hash} ${bound(ctx)}`);
  // Where it can't be kept, the other request is refused and its client logs in again; this one has its tokens.
  await state.create(`oauth/refreshed/${hash}.json`, Buffer.from(JSON.stringify({ sealed }))).catch(() => {});
}

async function firstAnswer(hash: string, boundTo: string, { state, keyring }: TokensDeps): Promise<unknown> {
  for (let waited = 0; waited < WAIT_MS; waited += LOOK_MS) {
    const bytes = await state.get(`oauth/refreshed/${hash}.json`);
    if (bytes !== undefined) {
      const { sealed } = stateFacts<{ sealed: string }>(bytes, 'oauth/refreshed');
      const text = keyring.open('refreshed', sealed, `${hash} ${boundTo}`);
      if (text === undefined) return undefined;
      const { until, body } = JSON.parse(text) as { until: number; body: unknown };
      return until > Date.now() ? body : undefined;
    }
    await new Promise((done) => setTimeout(done, LOOK_MS));
  }
  return undefined;
}
