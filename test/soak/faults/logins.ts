/** Logins on two replicas over one state: each code and each token that was given out is good once. */
import {
  openAuthorizationState,
  type Replica,
  redeeming,
  refreshing,
} from '../../../gateway/identity/server/fixture.ts';
import { createMemoryStore } from '../../../gateway/store/memory.ts';
import type { Store } from '../../../gateway/store/store.ts';
import { switchable } from './switchable.ts';
import type { Tally } from './tally.ts';

export interface Logins {
  /** So many logins, one after another, over this state. `taken`: how often somebody else was first. */
  play(state: Store, count: number, taken: () => number): Promise<Tally>;
  close(): void;
}

export async function openLogins(): Promise<Logins> {
  const state = switchable(createMemoryStore());
  const world = openAuthorizationState(state.store);
  const replicas = [await world.start(), await world.start()] as const;
  return {
    async play(store, count, taken) {
      state.use(store);
      const tally: Tally = { done: 0, withheld: 0, lost: 0, doubled: 0 };
      for (let turn = 0; turn < count; turn++) await login(turn % 2 === 0, tally, taken);
      return tally;
    },
    close: world.close,
  };

  async function login(raced: boolean, tally: Tally, taken: () => number): Promise<void> {
    const before = taken();
    const given = await world.code(replicas[0]).catch(() => undefined);
    if (given === undefined) {
      tally.withheld++;
      return;
    }
    const form = redeeming(given.code);
    const answers = await Promise.all(replicas.slice(0, raced ? 2 : 1).map((replica) => ask(replica, form)));
    const winners = answers.filter(({ status }) => status === 200);
    if (winners.length > 1) tally.doubled++;
    const [winner] = winners;
    if (winner === undefined) return again(form, taken() > before || answers.some(hasFailed), tally);
    tally.done++;
    // A code that two have presented ends its grant: there is nothing to refresh.
    if (!raced) await refresh(winner.body.refresh_token, tally, taken);
    // Presented again by who has overheard it.
    if ((await ask(replicas[1], form)).status === 200) tally.doubled++;
  }

  /** Who was told that it failed tries again. It may have been used up by then, for nobody: they log in anew. */
  async function again(form: Readonly<Record<string, string>>, failed: boolean, tally: Tally): Promise<void> {
    if (!failed) tally.lost++;
    else if ((await ask(replicas[1], form)).status === 200) tally.done++;
    else tally.withheld++;
  }

  async function refresh(token: string, tally: Tally, taken: () => number): Promise<void> {
    const before = taken();
    const answer = await ask(replicas[1], refreshing(token));
    if (answer.status === 200) tally.done++;
    else if (hasFailed(answer) || taken() > before) tally.withheld++;
    else tally.lost++;
  }
}

interface Answer {
  readonly status: number;
  readonly body: { readonly refresh_token: string };
}

const hasFailed = ({ status }: Answer): boolean => status >= 500;

const ask = (replica: Replica, form: Readonly<Record<string, string>>): Promise<Answer> => replica.ask(form);
