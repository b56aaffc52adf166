/** Clients that mean harm, a process of its own: each kind goes on until it is told to rest. */

import { ATTACKS, type Attack, type AttackCounts, type AttackInput, type AttackKind } from './attacks.ts';
import { answerOrders } from './peer.ts';

let attacks: Attack[] = [];

answerOrders({
  async attack({ kind, ...input }: AttackInput & { kind: AttackKind }) {
    const attack = ATTACKS[kind](input);
    attacks.push(attack);
    await attack.ready;
  },
  async rest() {
    const counts = await Promise.all(attacks.map((attack) => attack.stop()));
    attacks = [];
    return counts.reduce(sumOf);
  },
});

function sumOf(a: AttackCounts, b: AttackCounts): AttackCounts {
  const answers = { ...a.answers };
  for (const [status, count] of Object.entries(b.answers)) answers[status] = (answers[status] ?? 0) + count;
  const sum = (of: 'opened' | 'closed' | 'sent' | 'received'): number => a[of] + b[of];
  return { opened: sum('opened'), closed: sum('closed'), sent: sum('sent'), received: sum('received'), answers };
}
