/** What stands behind approvals and access in tests of their pages and commands: in memory, of one replica. */
import { createHash, randomUUID } from 'node:crypto';
import { GatewayError } from '../gateway/errors.ts';
import type { Approving } from '../gateway/identity/server/approvals.ts';
import type { ApprovalRequest, ApprovalState, BoundCall, Person } from '../gateway/sessions/approval.ts';
import type { AccessRequest, Window } from '../gateway/sessions/window.ts';

export interface TestApproving extends Approving {
  /** A call that waits. */
  ask(call?: Partial<BoundCall>): ApprovalRequest;
  readonly decisions: { id: string; by: string; verdict: string; reason?: string }[];
}

export const ANA: Person = {
  kind: 'human',
  issuer: 'https://idp.example.com',
  subject: 'ana',
  email: 'ana@example.com',
  groups: ['analysts'],
};

const HOUR = 3_600_000;

function refused(words: string): GatewayError {
  return new GatewayError('denied', 'not_forwarded', words);
}

function idAndCode() {
  const id = randomUUID();
  return { id, code: `${id.slice(0, 4)}-${id.slice(4, 8)}`.toUpperCase() };
}

export function createTestApproving(): TestApproving {
  const asked = new Map<string, ApprovalRequest>();
  const requests = new Map<string, AccessRequest>();
  const windows = new Map<string, Window>();
  const decisions: TestApproving['decisions'] = [];
  const now = (): number => Date.now();

  function mayDecide(by: Person, call: BoundCall): boolean {
    if (by.issuer === call.principal.issuer && by.subject === call.principal.subject) return false;
    return call.rules.some(({ approvers }) => approvers.some((group) => by.groups.includes(group)));
  }

  function isFresh(authenticated: number): void {
    if (now() / 1000 - authenticated > 300) throw refused('Log in again.');
  }

  const open = (facts: Pick<Window, 'kind' | 'reason' | 'connection'>, person: Person, duration: number): Window => {
    const { issuer, subject, email } = person;
    const window: Window = {
      ...facts,
      id: randomUUID(),
      issuer,
      subject,
      ...(email === undefined ? {} : { email }),
      from: now(),
      expires: now() + duration,
      state: 'open',
      ...(facts.kind === 'breakGlass' ? { review: 'due' as const } : {}),
    };
    windows.set(window.id, window);
    return window;
  };

  function change<T extends { id: string }>(all: Map<string, T>, id: string, by: Partial<T>): T {
    const found = all.get(id);
    if (found === undefined) throw new GatewayError('not_found');
    const changed = { ...found, ...by };
    all.set(id, changed);
    return changed;
  }

  return {
    decisions,
    ask(call = {}) {
      const { id, code } = idAndCode();
      const whole: BoundCall = {
        principal: ANA,
        client: 'alpha',
        session: randomUUID(),
        connection: 'fixture',
        origin: 'https://orders.internal',
        method: 'tools/call',
        name: 'refund',
        params: { name: 'refund', arguments: { order: 1017, amount: 25.5 } },
        policy: 'c'.repeat(64),
        rules: [{ rule: 'refunds', approvers: ['engineers'], pending: HOUR, usable: 600_000 }],
        exchange: randomUUID(),
        ...call,
      };
      const expires = now() + HOUR;
      const hash = createHash('sha256').update(JSON.stringify(whole)).digest('hex');
      const state: ApprovalState = { state: 'pending', id, code, expires };
      const request = { id, code, at: now(), expires, call: whole, hash, state };
      asked.set(id, request);
      return request;
    },
    approvals: {
      ask: () => Promise.reject(new Error('No call is made here.')),
      settled: () => Promise.reject(new Error('No call waits here.')),
      use: () => Promise.reject(new Error('No call is made here.')),
      async read(id) {
        return asked.get(id);
      },
      async waitingFor(person) {
        return [...asked.values()].filter(({ state, call }) => state.state === 'pending' && mayDecide(person, call));
      },
      async decide(id, { by, authenticated, verdict, reason }) {
        const found = asked.get(id);
        if (found === undefined) throw new GatewayError('not_found');
        isFresh(authenticated);
        if (!mayDecide(by, found.call)) throw refused('You may not decide this.');
        if (found.state.state !== 'pending' && verdict === 'approve') throw refused('It is decided already.');
        decisions.push({ id, by: by.subject, verdict, ...(reason === undefined ? {} : { reason }) });
        const state: ApprovalState =
          verdict === 'approve'
            ? { state: 'approved', id, by: [{ rule: 'refunds', subject: by.subject }], until: Number.MAX_SAFE_INTEGER }
            : { state: 'denied', id, by: by.subject, ...(reason === undefined ? {} : { reason }) };
        return change(asked, id, { state }).state;
      },
    },
    windows: {
      poll: async () => ({ opened: [], ended: [] }),
      known: () => true,
      openFor: ({ issuer, subject }, connection) =>
        [...windows.values()].find(
          (one) =>
            one.state === 'open' && one.issuer === issuer && one.subject === subject && one.connection === connection,
        ),
      async request({ person, connection, reason, duration }) {
        const at = now();
        const request: AccessRequest = {
          ...idAndCode(),
          person,
          connection,
          reason,
          duration,
          at,
          expires: at + HOUR,
          state: 'pending',
        };
        requests.set(request.id, request);
        return request;
      },
      async decide(id, { by, authenticated, verdict }) {
        const found = requests.get(id);
        if (found === undefined) throw new GatewayError('not_found');
        isFresh(authenticated);
        if (by.subject === found.person.subject || !by.groups.includes('engineers')) throw refused('You may not.');
        if (verdict === 'deny') return change(requests, id, { state: 'denied' });
        const { connection, reason, person, duration } = found;
        const window = open({ kind: 'justInTime', connection, reason }, person, duration);
        change(windows, window.id, { approvedBy: by.subject });
        return change(requests, id, { state: 'approved', window: window.id });
      },
      async breakGlass({ person, authenticated, connection, reason, duration }) {
        isFresh(authenticated);
        return open({ kind: 'breakGlass', connection, reason }, person, duration);
      },
      async revoke(id) {
        change(windows, id, { state: 'revoked' });
      },
      async review(id, { person, authenticated, words }) {
        isFresh(authenticated);
        change(windows, id, { review: { by: person.subject, at: now(), words } });
      },
      async readRequest(id) {
        return requests.get(id);
      },
      async readWindow(id) {
        return windows.get(id);
      },
      async list(person) {
        const isMine = (one: { subject: string }): boolean =>
          one.subject === person.subject || person.groups.includes('engineers');
        return {
          requests: [...requests.values()].filter((one) => isMine(one.person)),
          windows: [...windows.values()].filter(isMine),
        };
      },
    },
  };
}
