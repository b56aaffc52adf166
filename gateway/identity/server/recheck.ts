/**
 * Whether a session's person may still be here. Groups are asked for again at the identity provider: by each replica
 * that serves the session where a directory answers, by one of them where a refresh token is used up by asking.
 *
 * `groups/<session>/<n>.json` is what the n-th change or renewal found; the highest counts. `<n>.claim.<k>.json` says who
 * of several replicas asks: it is good for a lease, so that a replica that dies holds nobody up.
 */

import type { Clock } from '../../clock.ts';
import { keepNewest } from '../../keep-newest.ts';
import { stateFacts } from '../../state-facts.ts';
import type { Store } from '../../store/store.ts';
import { type IdentityProvider, LoginRefused, type Rechecked } from '../broker/identity-provider.ts';
import type { Keyring } from '../keyring.ts';
import type { GrantRecord } from './grants.ts';

export interface Standing {
  readonly groups: readonly string[];
  /** When the groups were last known to be these; milliseconds since the epoch. */
  readonly at: number;
}

export interface Recheck {
  /** The person's groups as last asked for, and asked for anew where that was too long ago. */
  standing(record: GrantRecord): Promise<Standing>;
}

/** The person has lost the right to be here: the session is to end, with this reason. */
export class StandingLost extends Error {
  override readonly name = 'StandingLost';
  readonly reason: 'groups_lost' | 'groups_unknown' | 'refused_by_provider';

  constructor(reason: StandingLost['reason'], options?: ErrorOptions) {
    super('The person of this session may not be here any more.', options);
    this.reason = reason;
  }
}

export interface RecheckDeps {
  readonly state: Store;
  readonly clock: Clock;
  /** Of the configuration in force. Times in milliseconds. */
  rules(): {
    readonly every: number;
    readonly within: number;
    readonly keyring: Keyring;
    provider(name: string): IdentityProvider | undefined;
    /** Of an agent that is registered here; undefined once it is not. */
    agentGroups(clientId: string): readonly string[] | undefined;
    /** The groups that may open a session on a connection. */
    groupsOf(connection: string): readonly string[];
  };
  /** Another set of groups was found. */
  changed(record: GrantRecord, groups: readonly string[]): Promise<void>;
}

interface Known extends Standing {
  /** Number of the last object read or written, 0 before the first. */
  readonly n: number;
  readonly recheck: string | undefined;
  /** When it was last tried in vain; 0 where it has worked since. */
  readonly tried: number;
}

interface Stored {
  readonly at: number;
  readonly groups: readonly string[];
  readonly recheck?: string;
}

const LEASE_MS = 30_000;
/** After a failure the provider is left alone this long, by session. */
const RETRY_MS = 15_000;
const MOST_KNOWN = 10_000;

export function createRecheck(deps: RecheckDeps): Recheck {
  const { state, clock } = deps;
  const known = new Map<string, Known>();
  const asking = new Map<string, Promise<Known>>();

  /** What other replicas have found since. */
  async function catchUp(record: GrantRecord): Promise<Known> {
    const { session } = record;
    let found: Known = known.get(session) ?? {
      groups: record.groups,
      at: record.opened,
      n: 0,
      recheck: record.recheck,
      tried: 0,
    };
    for (let n = found.n + 1; ; n++) {
      const bytes = await state.get(`groups/${session}/${n}.json`);
      if (bytes === undefined) return found;
      const { at, groups, recheck } = stateFacts<Stored>(bytes, `groups/${session}`);
      found = { groups, at: Math.max(at, found.at), n, recheck: recheck ?? found.recheck, tried: found.tried };
    }
  }

  function keep(session: string, found: Known): Known {
    keepNewest(known, session, found, MOST_KNOWN);
    return found;
  }

  /** Whether this replica asks for number `n`. */
  async function claim(session: string, n: number): Promise<boolean> {
    const prefix = `groups/${session}/${n}.claim.`;
    let last = -1;
    for await (const name of state.list(prefix))
      last = Math.max(last, Number(name.slice(prefix.length, -'.json'.length)));
    const bytes = last < 0 ? undefined : await state.get(`${prefix}${last}.json`);
    const held = bytes === undefined ? undefined : (JSON.parse(Buffer.from(bytes).toString()) as { at: number });
    if (held !== undefined && clock.millis() - held.at < LEASE_MS) return false;
    const mine = Buffer.from(JSON.stringify({ at: clock.millis() }));
    return (await state.create(`${prefix}${last + 1}.json`, mine)) === 'created';
  }

  /** What asks for the groups of this session; undefined where a directory does, or nobody can be asked. */
  function tokenOf({ recheck }: Known, { session }: GrantRecord): string | undefined {
    if (recheck === undefined) return undefined;
    const token = deps.rules().keyring.open('idp-refresh-token', recheck, session);
    // Sealed with a secret that is gone: nobody can be asked who could have been.
    if (token === undefined) throw new StandingLost('groups_unknown');
    return token;
  }

  async function ask(record: GrantRecord): Promise<Known> {
    const { session } = record;
    const { provider, every } = deps.rules();
    const before = await catchUp(record);
    const now = clock.millis();
    if (now - before.at < every) return keep(session, before);
    const idp = provider(record.provider ?? '');
    // The provider was taken out of the configuration, or its name is another's now: nobody of it may be here, and what
    // it gave is not for the other.
    if (idp === undefined || idp.issuer !== record.issuer) throw new StandingLost('refused_by_provider');
    if (idp.recheck === undefined) return keep(session, { ...before, at: now });
    const refreshToken = tokenOf(before, record);
    // A refresh token is used up by asking: one replica asks, the others read what it found.
    if (refreshToken !== undefined) {
      const next = before.n + 1;
      if (!(await claim(session, next))) return keep(session, { ...before, tried: now });
      // Whoever asked before the lease ended may have found something since.
      if ((await state.get(`groups/${session}/${next}.json`)) !== undefined)
        return keep(session, await catchUp(record));
    }
    try {
      const { subject, email } = record;
      const answer = await idp.recheck({
        subject,
        ...(email === undefined ? {} : { email }),
        ...(refreshToken === undefined ? {} : { refreshToken }),
      });
      // Nobody can be asked about this person: what was known at the login holds until the session ends, which is soon.
      if (answer === undefined) return keep(session, { ...before, at: now });
      return keep(session, await found(record, before, answer));
    } catch (error) {
      if (!(error instanceof LoginRefused)) throw error;
      if (error.code === 'provider_unavailable') return keep(session, { ...before, tried: now });
      const reason = error.code === 'groups_unknown' ? 'groups_unknown' : 'refused_by_provider';
      throw new StandingLost(reason, { cause: error });
    }
  }

  async function found(record: GrantRecord, before: Known, answer: Rechecked): Promise<Known> {
    const { keyring } = deps.rules();
    const { session } = record;
    const at = clock.millis();
    const same = isSame(answer.groups, before.groups);
    const next = before.n + 1;
    if (!same) await deps.changed(record, answer.groups);
    // Where nothing changed and nothing was used up, there is nothing that another replica has to know.
    if (same && before.recheck === undefined) return { ...before, at, tried: 0 };
    const recheck =
      answer.refreshToken === undefined
        ? before.recheck
        : keyring.seal('idp-refresh-token', answer.refreshToken, session);
    const stored: Stored = { at, groups: answer.groups, ...(recheck === undefined ? {} : { recheck }) };
    const outcome = await state.create(`groups/${session}/${next}.json`, Buffer.from(JSON.stringify(stored)));
    // Another replica that asked the directory was quicker; what it found is as new as this.
    return outcome === 'created' ? { groups: answer.groups, at, n: next, recheck, tried: 0 } : catchUp(record);
  }

  async function current(record: GrantRecord): Promise<Standing> {
    const { session } = record;
    const there = known.get(session);
    const now = clock.millis();
    if (there !== undefined && (now - there.at < deps.rules().every || now - there.tried < RETRY_MS)) return there;
    const running = asking.get(session) ?? ask(record).finally(() => asking.delete(session));
    asking.set(session, running);
    return running;
  }

  return {
    async standing(record) {
      const { within, groupsOf, agentGroups } = deps.rules();
      const found =
        record.provider === undefined ? agent(agentGroups(record.client.id), clock.millis()) : await current(record);
      if (clock.millis() - found.at > within) throw new StandingLost('groups_unknown');
      const may = groupsOf(record.connection);
      if (!found.groups.some((group) => may.includes(group))) throw new StandingLost('groups_lost');
      return found;
    },
  };
}

function agent(groups: readonly string[] | undefined, at: number): Standing {
  if (groups === undefined) throw new StandingLost('refused_by_provider');
  return { groups, at };
}

function isSame(one: readonly string[], other: readonly string[]): boolean {
  return one.length === other.length && new Set([...one, ...other]).size === new Set(one).size;
}
