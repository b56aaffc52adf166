/** Calls that wait, for tests of the pages and commands with which people decide on them. */
import { randomUUID } from 'node:crypto';
import type { Approving } from '../gateway/identity/server/approvals.ts';
import type { ApprovalRequest, BoundCall, Person } from '../gateway/sessions/approval.ts';
import type { GatewayUnderTest } from './gateway-under-test.ts';

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

/** `gateway` is asked when something is done. */
export function createTestApproving(gateway: () => GatewayUnderTest): TestApproving {
  const approvals = () => gateway().gateway.approving.approvals;
  return {
    get approvals() {
      return approvals();
    },
    get windows() {
      return gateway().gateway.approving.windows;
    },
    async ask(call = {}) {
      const { id } = await approvals().ask({
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
      const request = await approvals().read(id);
      if (request === undefined) throw new Error('The request that was made is not there.');
      return request;
    },
  };
}
