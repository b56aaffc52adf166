/**
 * Who calls, told to the upstream: a JWT in a header of the connection's choice, signed by this gateway. It lives for a
 * minute and names one exchange, so that an upstream's own log can be laid beside the recording.
 */
import { createPrivateKey, createPublicKey, type KeyObject } from 'node:crypto';
import { calculateJwkThumbprint, exportJWK, type JWK, SignJWT } from 'jose';
import type { Store } from '../store/store.ts';
import type { Principal } from './principal.ts';

const IDENTITY_TYPE = 'verbatim-identity+jwt';
/** Where the public keys of all replicas are. */
export const IDENTITY_KEYS_PATH = '/.well-known/verbatim-identity/jwks.json';

const PREFIX = 'identity-keys/';
const LIFE_S = 60;
const KEYS_MS = 60_000;

export interface UpstreamIdentity {
  sign(call: {
    readonly publicUrl: string;
    readonly connection: string;
    readonly session: string;
    readonly principal: Principal;
    readonly exchange: string;
  }): Promise<string>;
  /** The public keys of every replica that shares this state. */
  keys(): Promise<{ keys: JWK[] }>;
}

/** `key`: PKCS #8 PEM, P-256. Publishes its public half before anything is signed with it. */
export async function openUpstreamIdentity(deps: {
  key: string;
  state: Store;
  now: () => number;
}): Promise<UpstreamIdentity> {
  const { state, now } = deps;
  const key: KeyObject = createPrivateKey(deps.key);
  const bare = await exportJWK(createPublicKey(key));
  const kid = await calculateJwkThumbprint(bare);
  const jwk: JWK = { ...bare, kid, alg: 'ES256', use: 'sig' };
  await state.create(`${PREFIX}${kid}.json`, Buffer.from(JSON.stringify(jwk)));
  let known: { at: number; keys: Promise<{ keys: JWK[] }> } | undefined;

  async function readKeys(): Promise<{ keys: JWK[] }> {
    const keys: JWK[] = [];
    for await (const name of state.list(PREFIX)) {
      const bytes = await state.get(name);
      if (bytes !== undefined) keys.push(JSON.parse(Buffer.from(bytes).toString()) as JWK);
    }
    return { keys };
  }

  return {
    sign({ publicUrl, connection, session, principal, exchange }) {
      const { subject, kind, email, groups, owner, onBehalfOf, clientId } = principal;
      const seconds = Math.floor(now() / 1000);
      return new SignJWT({
        kind,
        groups: [...groups],
        session,
        ...(email === undefined ? {} : { email }),
        ...(owner === undefined ? {} : { owner }),
        ...(onBehalfOf === undefined ? {} : { on_behalf_of: onBehalfOf }),
        ...(clientId === undefined ? {} : { client_id: clientId }),
      })
        .setProtectedHeader({ alg: 'ES256', typ: IDENTITY_TYPE, kid })
        .setIssuer(publicUrl)
        .setAudience(connection)
        .setSubject(subject)
        .setJti(exchange)
        .setIssuedAt(seconds)
        .setExpirationTime(seconds + LIFE_S)
        .sign(key);
    },
    keys() {
      if (known === undefined || now() - known.at > KEYS_MS) {
        const reading = { at: now(), keys: readKeys() };
        known = reading;
        reading.keys.catch(() => {
          if (known === reading) known = undefined;
        });
      }
      return known.keys;
    },
  };
}
