/**
 * A grant is a session: it opens when somebody is authorized and ends with the session. Its record is one state object
 * that never changes; its end is the session's tombstone (gateway/sessions/ends.ts).
 */

import { auditObject } from '../../audit.ts';
import type { Clock } from '../../clock.ts';
import { hashOfParts } from '../../hash-of-parts.ts';
import { idAt } from '../../ids.ts';
import { keepNewest } from '../../keep-newest.ts';
import type { Ends } from '../../sessions/ends.ts';
import { stateFacts } from '../../state-facts.ts';
import type { Store } from '../../store/store.ts';

export interface GrantRecord {
  /** Id of the session and of the grant, a UUIDv7. Not a secret. */
  readonly session: string;
  readonly connection: string;
  readonly client: { readonly id: string; readonly name?: string };
  /** Name of the identity provider; absent for an agent that is registered here. */
  readonly provider?: string;
  readonly kind: 'human' | 'agent';
  readonly issuer: string;
  readonly subject: string;
  readonly email?: string;
  readonly name?: string;
  /** As they were at the login. */
  readonly groups: readonly string[];
  readonly owner?: string;
  /** Milliseconds since the epoch; it ends then at the latest. */
  readonly opened: number;
  readonly expires: number;
  readonly resources: readonly string[];
  /** The identity provider's refresh token, sealed and bound to the session. */
  readonly recheck?: string;
}

/** A session of a person, as the list of their sessions has it. */
export type ListedGrant = Pick<GrantRecord, 'session' | 'connection' | 'client' | 'opened' | 'expires'>;

export interface Grants {
  /** The audit object, then the grant. Resolves when every replica can find it. */
  open(record: GrantRecord): Promise<void>;
  /** The record, whether or not its session has ended: that is asked on every call by gateway/sessions. */
  record(session: string): Promise<GrantRecord | undefined>;
  /** The record of a grant that has not ended, by session id. */
  find(session: string): Promise<GrantRecord | undefined>;
  /** Ends it on every replica, within seconds. */
  end(session: string, reason: string): Promise<void>;
  /** The grants of a person that have not ended, newest first. `longest`: milliseconds that one may last. */
  ofPerson(issuer: string, subject: string, longest: number): Promise<ListedGrant[]>;
}

/** A grant's record never changes, so it may be kept; that it has not ended is asked elsewhere on every call. */
const MOST_KEPT = 10_000;
const UUID = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/;

/** `subject` of the gateway's own tokens: says nothing of the person to a client. */
export function accountIdOf({ issuer, subject }: Pick<GrantRecord, 'issuer' | 'subject'>): string {
  return hashOfParts([issuer, subject]).slice(0, 32);
}

export function createGrants(deps: { state: Store; audit: Store; ends: Ends; clock: Clock }): Grants {
  const { state, audit, ends, clock } = deps;
  const kept = new Map<string, GrantRecord>();

  function keep(record: GrantRecord): GrantRecord {
    keepNewest(kept, record.session, record, MOST_KEPT);
    return record;
  }

  async function read(session: string): Promise<GrantRecord | undefined> {
    if (!UUID.test(session)) return undefined;
    const there = kept.get(session);
    if (there !== undefined) return keep(there);
    const name = `grants/${session}.json`;
    const bytes = await state.get(name);
    return bytes === undefined ? undefined : keep(stateFacts<GrantRecord>(bytes, name));
  }

  async function isOver({ session, expires }: Pick<GrantRecord, 'session' | 'expires'>): Promise<boolean> {
    return expires <= clock.millis() || (await ends.reasonOf(session)) !== undefined;
  }

  return {
    async open(record) {
      const { session, connection, issuer, subject, email, client, opened, expires } = record;
      const facts = { kind: 'session.authorized', actor: email ?? subject, session };
      const details = { connection, issuer, subject, client: client.id };
      const { name, bytes } = auditObject(clock.micros(), { ...facts, details });
      await audit.create(name, bytes);
      const listed: ListedGrant = { session, connection, client, opened, expires };
      await state.create(`people/${accountIdOf(record)}/${session}.json`, Buffer.from(JSON.stringify(listed)));
      // Last: what nobody can find gives nobody access.
      await state.create(`grants/${session}.json`, Buffer.from(JSON.stringify({ v: 1, ...record })));
    },
    record: read,
    async find(session) {
      const record = await read(session);
      return record === undefined || (await isOver(record)) ? undefined : record;
    },
    end: (session, reason) => ends.write({ session, reason }, true),
    async ofPerson(issuer, subject, longest) {
      const folder = `people/${accountIdOf({ issuer, subject })}/`;
      const read = async (name: string): Promise<ListedGrant | undefined> => {
        const bytes = await state.get(name);
        if (bytes === undefined) return undefined;
        const listed = stateFacts<ListedGrant>(bytes, name);
        return (await isOver(listed)) ? undefined : listed;
      };
      const found: Promise<ListedGrant | undefined>[] = [];
      for await (const name of state.list(folder, { startAfter: folder + idAt(clock.millis() - longest - SKEW) })) {
        found.push(read(name));
      }
      return (await Promise.all(found)).filter((one) => one !== undefined).reverse();
    },
  };
}

/** Milliseconds that the clock of the replica that made an id may be behind. */
const SKEW = 60_000;
