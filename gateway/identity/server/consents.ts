/** What a person has allowed which client, remembered for 30 days: one state object a consent, and one to forget it. */

import { uuidv7 } from 'uuidv7';
import { hashOfParts } from '../../hash-of-parts.ts';
import { stateFacts } from '../../state-facts.ts';
import type { Store } from '../../store/store.ts';

export interface Consent {
  readonly client: { readonly id: string; readonly name?: string };
  readonly redirectHost: string;
  readonly connection: string;
}

export interface RememberedConsent extends Consent {
  readonly id: string;
  /** Milliseconds since the epoch. */
  readonly until: number;
}

export interface Consents {
  remember(person: string, consent: Consent): Promise<void>;
  isRemembered(person: string, consent: Consent): Promise<boolean>;
  of(person: string): Promise<RememberedConsent[]>;
  /** Nothing happens for an id that is not there. */
  forget(person: string, id: string): Promise<void>;
}

const REMEMBERED_MS = 30 * 86_400_000;
const FORGOTTEN = '.forgotten.json';
const UUID = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/;

/** `person` is an account id (grants.ts). */
export function createConsents({ state, now }: { state: Store; now: () => number }): Consents {
  const folderOf = (person: string): string => `consents/${person}/`;

  async function of(person: string): Promise<RememberedConsent[]> {
    const names: string[] = [];
    for await (const name of state.list(folderOf(person))) names.push(name);
    const forgotten = new Set(names.filter((name) => name.endsWith(FORGOTTEN)));
    const found: RememberedConsent[] = [];
    for (const name of names) {
      if (forgotten.has(name) || forgotten.has(`${name.slice(0, -'.json'.length)}${FORGOTTEN}`)) continue;
      const bytes = await state.get(name);
      if (bytes === undefined) continue;
      const consent = stateFacts<RememberedConsent>(bytes, name);
      if (consent.until > now()) found.push(consent);
    }
    return found;
  }

  return {
    of,
    async remember(person, consent) {
      const key = keyOf(consent);
      if ((await of(person)).some((one) => keyOf(one) === key)) return;
      const id = uuidv7();
      const remembered: RememberedConsent = { ...consent, id, until: now() + REMEMBERED_MS };
      await state.create(`${folderOf(person)}${id}.json`, Buffer.from(JSON.stringify(remembered)));
    },
    async isRemembered(person, consent) {
      const key = keyOf(consent);
      return (await of(person)).some((one) => keyOf(one) === key);
    },
    async forget(person, id) {
      if (!UUID.test(id) || (await state.get(`${folderOf(person)}${id}.json`)) === undefined) return;
      await state.create(`${folderOf(person)}${id}${FORGOTTEN}`, Buffer.from(JSON.stringify({ at: now() })));
    },
  };
}

function keyOf({ client, redirectHost, connection }: Consent): string {
  return hashOfParts([client.id, redirectHost, connection]);
}
