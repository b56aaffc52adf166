/** What stands behind approvals and access in tests of their pages and commands: the real parts, over stores in memory. */
import { randomBytes, randomUUID } from 'node:crypto';
import type { AccessConfig } from '../gateway/config-access.ts';
import type { Approving } from '../gateway/identity/server/approvals.ts';
import type { ApprovalRequest, BoundCall, Person } from '../gateway/sessions/approval.ts';
import { createApprovals } from '../gateway/sessions/approvals.ts';
import { createWindows } from '../gateway/sessions/windows.ts';
import { createMemoryStore } from '../gateway/store/memory.ts';

export interface TestApproving extends Approving {
  /** A call that waits. */
  ask(call?: Partial<BoundCall>): Promise<ApprovalRequest>;
}

export const ANA: Person = {
  kind: 'human',
  issuer: 'https://idp.example.com',
  subject: 'ana',
  email: 'ana@example.com',
  groups: ['analysts'],
};

const HOUR = 3_600_000;

/** How `access` connections are entered: analysts ask or break glass, engineers decide and review. */
export const ACCESS: AccessConfig = {
  justInTime: { approvers: ['engineers'], longest: 4 * HOUR },
  breakGlass: { groups: ['analysts'], reviewers: ['engineers'], longest: HOUR },
};

/** `access` names connections that have windows. */
export function createTestApproving({ access }: { readonly access: readonly string[] }): TestApproving {
  const key = randomBytes(32);
  const deps = {
    state: createMemoryStore(),
    audit: createMemoryStore(),
    now: Date.now,
    keys: () => [key],
    // Who is told is tested where that is.
    outbox: { put: async () => {} },
  };
  const approvals = createApprovals(deps);
  const windows = createWindows({
    ...deps,
    access: (name) => (access.includes(name) ? ACCESS : 'standing'),
    log: { warn: () => {} },
  });
  return {
    approvals,
    windows,
    async ask(call = {}) {
      const { id } = await approvals.ask({
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
      });
      const request = await approvals.read(id);
      if (request === undefined) throw new Error('The request that was made is not there.');
      return request;
    },
  };
}
