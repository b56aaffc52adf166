/** Lists show what their reader may use, and tell when a tool is no longer what was pinned (policy/list-filter.ts). */
import { GatewayError } from '../errors.ts';
import { beginsAsMessage } from '../mcp/begins.ts';
import { withData } from '../mcp/sse.ts';
import { filterList, ListError } from '../policy/list-filter.ts';
import type { Call } from './exchange.ts';
import type { ReadRequest } from './read-request.ts';
import type { OutPart } from './response-stream.ts';
import type { Stage } from './way-back.ts';

const LISTS = new Set(['tools/list', 'prompts/list', 'resources/list', 'resources/templates/list']);

/** Whether one of these messages asks for a list. */
export function asksForList({ messages }: ReadRequest): boolean {
  return messages.some(({ method }) => method !== undefined && LISTS.has(method));
}

export function createListStage({ judge, inForce, target, read, session, tap, runtime }: Call): Stage {
  const { connection } = target;
  const input = judge.inputOf({ kind: 'request' }, 'client');
  const others = new Set(
    read.messages.flatMap(({ id, method }) => (method === undefined || LISTS.has(method) ? [] : [id])),
  );
  const pins = inForce.policy.set.pins.get(connection.name);
  return (part) => {
    // Whatever id it has: some clients take `"1"` for 1. What is no JSON and begins as such is stopped before this.
    if (part.data === undefined || !beginsAsMessage(part.data)) return part;
    try {
      const { bytes, removed, ...shown } = filterList(part.data, {
        era: read.era,
        mayList: (kind, name) => inForce.policy.mayList(input, kind === 'resourceTemplate' ? 'template' : kind, name),
        ...(pins === undefined ? {} : { pins }),
        changedTools: connection.changedTools,
        answersList: (id) => !others.has(id as string | number | undefined),
      });
      runtime.toolWatch.note(session, pins, shown);
      if (removed.length > 0) {
        const facts = { exchange: tap.exchange, count: removed.length };
        session.strand.append({ type: 'event', event: { name: 'list.filtered', ...facts } });
      }
      return bytes === part.data ? part : inOtherWords(part, bytes);
    } catch (cause) {
      if (!(cause instanceof ListError)) throw cause;
      throw new GatewayError('upstream_broken', 'outcome_withheld', cause.message, { cause });
    }
  };
}

function inOtherWords(part: OutPart, data: Buffer): OutPart {
  if (part.event !== true) return { ...part, bytes: data, data };
  // Line ends stand between the tokens of JSON alone; an event's data is one line here.
  const line = data.toString('utf8').replaceAll(/[\r\n]+/g, ' ');
  return { ...part, bytes: withData(part.bytes, line), data: Buffer.from(line) };
}
