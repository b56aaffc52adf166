/** Calls that wait for a person, asked on one replica, decided on another, and taken by both at once. */
import { uuidv7 } from 'uuidv7';
import type { Approvals } from '../../../gateway/sessions/approval.ts';
import { callOf, LEAD, world } from '../../../gateway/sessions/approvals-fixture.ts';
import type { Store } from '../../../gateway/store/store.ts';
import type { Tally } from './tally.ts';

/** So many approvals, one after another, each used by two replicas at once. `taken`: how often somebody else was first. */
export async function playApprovals(
  stores: { state: Store; audit: Store },
  count: number,
  taken: () => number,
): Promise<Tally> {
  const here = world(stores.state, stores.audit);
  const [one, two, three] = [here.replica().approvals, here.replica().approvals, here.replica().approvals];
  const tally: Tally = { done: 0, withheld: 0, lost: 0, doubled: 0 };
  for (let turn = 0; turn < count; turn++) await approve();
  return tally;

  async function approve(): Promise<void> {
    const call = callOf({
      session: uuidv7(),
      exchange: uuidv7(),
      params: { name: 'refund', arguments: { of: uuidv7() } },
    });
    const before = taken();
    const asked = await one.ask(call).catch(() => undefined);
    if (asked?.state !== 'pending') {
      tally.withheld++;
      return;
    }
    const decided = await two
      .decide(asked.id, { by: LEAD, authenticated: here.fresh(), verdict: 'approve' })
      .catch(() => undefined);
    if (decided?.state !== 'approved') {
      tally.withheld++;
      return;
    }
    const used = await Promise.all([use(one, asked.id), use(three, asked.id)]);
    const ours = used.filter((outcome) => outcome === 'ours').length;
    if (ours > 1) tally.doubled++;
    const again = await use(two, asked.id);
    if (ours > 0) {
      tally.done++;
      if (again === 'ours') tally.doubled++;
    } else if (again === 'ours') tally.done++;
    // Who was told that it failed does not make the call; nor does anybody where another writer took it.
    else if (used.includes('failed') || again === 'failed' || taken() > before) tally.withheld++;
    else tally.lost++;
  }
}

async function use(approvals: Approvals, id: string): Promise<'ours' | 'used' | 'void' | 'failed'> {
  return approvals.use(id, uuidv7()).catch(() => 'failed' as const);
}
