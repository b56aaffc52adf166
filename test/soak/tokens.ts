/** Tokens of several people, new ones now and then: each opens a session, and the old ones expire. */
import type { TestIssuer } from '../issuer.ts';

export interface SoakTokens {
  /** Some token that is good for a while. */
  readonly any: () => string;
  /** Called between lives: replaces what is old, and now and then what is not. */
  renew(): Promise<void>;
}

const SESSIONS = 6;
const PEOPLE = 4;
const LIFE_S = 90;
/** A token is used for so long: a gateway lives shorter than what is left of it then. */
const USED_MS = 45_000;

export function createSoakTokens(issuer: TestIssuer, audience: string, random: () => number): SoakTokens {
  const held: { token: string; until: number }[] = [];
  let serial = 0;

  async function make(): Promise<{ token: string; until: number }> {
    const person = `person-${serial++ % PEOPLE}`;
    const exp = Math.floor(Date.now() / 1000) + LIFE_S;
    const token = await issuer.token(audience, { sub: person, email: `${person}@example.com`, exp });
    return { token, until: Date.now() + USED_MS };
  }

  return {
    any: () => held[Math.floor(random() * held.length)]?.token ?? '',
    async renew() {
      for (let at = 0; at < SESSIONS; at++) {
        const there = held[at];
        if (there === undefined || there.until < Date.now() || random() < 0.02) held[at] = await make();
      }
    },
  };
}
