import { GatewayError } from '../errors.ts';
import { findPin } from '../policy/pins.ts';
import type { ReadRequest } from './read-request.ts';
import type { InForce, Runtime } from './runtime.ts';
import type { Target } from './target.ts';

interface Calling {
  readonly runtime: Pick<Runtime, 'toolWatch'>;
  readonly inForce: Pick<InForce, 'policy'>;
  readonly target: Target;
}

/** With `changedTools: refuse` a tool runs as it was pinned, or not at all. */
export function changedTool({ runtime, inForce, target }: Calling, read: ReadRequest): GatewayError | undefined {
  const { name, changedTools } = target.connection;
  if (changedTools === 'flag') return undefined;
  const pins = inForce.policy.set.pins.get(name);
  for (const message of read.messages) {
    if (message.method !== 'tools/call') continue;
    const pin = pins === undefined ? undefined : findPin(pins, message.name ?? '');
    if (pin === undefined || runtime.toolWatch.isChanged(name, pin)) return new GatewayError('tool_changed');
  }
  return undefined;
}
