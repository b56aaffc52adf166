/** Which session a token belongs to, on any replica: whoever creates the state object of its key names the session. */

import { uuidv7 } from 'uuidv7';
import { GatewayError } from '../errors.ts';
import type { Principal } from '../identity/principal.ts';
import { stateFacts } from '../state-facts.ts';
import type { Store } from '../store/store.ts';
import type { Ends } from './ends.ts';

/** Written when a session is opened: `sessions/<session key>.json`, then `sessions/<session key>/<number>.json`. */
export interface ClaimedSession {
  readonly session: string;
  /** Milliseconds since the epoch. */
  readonly opened: number;
  /** When the token that opened it was issued, in seconds since the epoch. */
  readonly issued?: number;
}

export interface Claims {
  /**
   * The open session of a token's key. Under one key (a run, a service account) one session follows another: each is
   * opened by a newer token than the one before it, so that no token opens two. One that an operator has ended is
   * followed only by what was issued after that. Throws `session_ended`.
   */
  claim(principal: Pick<Principal, 'sessionKey' | 'issuedAt'>): Promise<ClaimedSession>;
}

/** Ends that nobody asked for. */
const BY_TIME = new Set(['expired', 'idle']);

export function createClaims({ state, ends, now }: { state: Store; ends: Ends; now: () => number }): Claims {
  async function claimName(name: string, issued: number | undefined): Promise<ClaimedSession> {
    const mine: ClaimedSession = {
      session: uuidv7(),
      opened: now(),
      ...(issued === undefined ? {} : { issued }),
    };
    if ((await state.create(name, Buffer.from(JSON.stringify(mine)))) === 'created') return mine;
    const bytes = await state.get(name);
    if (bytes === undefined) throw new Error(`State object ${name} exists and can't be read.`);
    return stateFacts<ClaimedSession>(bytes, name);
  }

  /** Whether a session has ended and may be followed by another for this token. Throws where it may not be. */
  async function isOver({ session, issued }: ClaimedSession, issuedAt: number | undefined): Promise<boolean> {
    const end = await ends.of(session);
    if (end === undefined) return false;
    // The issuer's clock against itself: this gateway's may be another.
    const isNewer = issuedAt !== undefined && issued !== undefined && issuedAt > issued;
    if (isNewer && (BY_TIME.has(end.reason) || issuedAt * 1000 > end.at)) return true;
    throw new GatewayError('session_ended');
  }

  return {
    async claim({ sessionKey, issuedAt }) {
      const first = await claimName(`sessions/${sessionKey}.json`, issuedAt);
      if (!(await isOver(first, issuedAt))) return first;
      // Numbers without holes: whoever finds the last one ended creates the next, and of two who do so one wins.
      const followers = `sessions/${sessionKey}/`;
      let number = 1;
      for await (const name of state.list(followers))
        number = Math.max(number, Number(name.slice(followers.length, -5)));
      for (; ; number++) {
        const next = await claimName(`${followers}${String(number).padStart(10, '0')}.json`, issuedAt);
        if (!(await isOver(next, issuedAt))) return next;
      }
    },
  };
}
