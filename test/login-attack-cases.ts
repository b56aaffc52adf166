/** Attacks in tables: each is refused with its error, recorded under the attacker's address, and got nothing. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { AttackWorld, Facts } from './login-attack-world.ts';
import { createVisitor, type Outcome, type Visitor } from './login-visitor.ts';

export interface Attack {
  readonly name: string;
  /** From an address of its own, with an empty jar of cookies. */
  run(by: Visitor): Promise<Outcome>;
  readonly refused: Outcome;
  /** What the event under the attacker's address says, at least. */
  readonly recorded: Facts;
}

export function refuseAll(title: string, world: AttackWorld, attacks: readonly Attack[]): void {
  test(title, async (t) => {
    const visitors = new Map<Attack, Visitor>();
    for (const attack of attacks) {
      await t.test(attack.name, async () => {
        const by = createVisitor(world);
        visitors.set(attack, by);
        assert.deepEqual(await attack.run(by), attack.refused);
        assert.deepEqual(by.got(), [], 'nothing was given');
      });
    }
    await t.test('each of them is recorded', async () => {
      for (const attack of attacks) {
        const facts = { ...attack.recorded, address: visitors.get(attack)?.address };
        await world.eventually((event) => isLike(event, facts), attack.name);
      }
    });
  });
}

export function isLike(event: Facts, facts: Facts): boolean {
  return Object.entries(facts).every(([name, value]) => event[name] === value);
}
