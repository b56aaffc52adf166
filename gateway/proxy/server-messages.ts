/**
 * What a server asks or tells its client is decided like any call: sampling, elicitation, roots, notifications, in either
 * era. What is denied is recorded and not released; a server that waits for an answer gets one.
 */
import { GatewayError } from '../errors.ts';
import { beginsAsMessage } from '../mcp/begins.ts';
import { inputRequestsIn, mayAsk } from '../mcp/input-requests.ts';
import { parseStrictJson } from '../mcp/json.ts';
import { nameOf, ownMember } from '../mcp/methods.ts';
import type { Decision, PolicyInput } from '../policy/decision.ts';
import { mayElicit } from '../policy/elicitation.ts';
import type { ReturnedMessage } from '../recording/frame.ts';
import { recordedDecision, UNDECIDED } from './decisions.ts';
import type { OutPart } from './response-stream.ts';
import type { Stage } from './way-back.ts';

export interface ServerMessagesInput {
  decide(message: PolicyInput['message'], from: 'upstream'): Promise<Decision>;
  /** Hosts to which a URL elicitation may send a person. */
  readonly elicitationHosts: readonly string[];
  /** A request of the server's was denied: it is told so. */
  decline(id: string | number, decision: Decision): void;
}

export function createServerMessages(input: ServerMessagesInput): Stage {
  return (part) => {
    const { data, messages = [] } = part;
    if (data === undefined || data.length === 0) return part;
    const isAnswer = messages.length > 0 && messages.every(({ kind }) => kind === 'response');
    if (isAnswer && !mayAsk(data)) return part;
    return lookAt(part, data);
  };

  async function lookAt(part: OutPart, data: Buffer): Promise<OutPart> {
    const said = messagesOf(data);
    // Not JSON: no client takes it for a message.
    if (said === undefined) return part;
    const decided: (Decision | undefined)[] = [];
    for (const one of said) decided.push(await decideOn(one));
    const messages = part.messages?.map((message, index) => withDecision(message, decided[index]));
    const decisions = decided.filter((decision) => decision !== undefined);
    const looked = { ...part, decisions, ...(messages === undefined ? {} : { messages }) };
    const denied = decided.flatMap((decision, index) => (decision?.effect === 'deny' ? [{ decision, index }] : []));
    if (denied.length === 0) return looked;
    // Of several messages in one body none can be left out, and a call's own answer is waited for.
    const [first] = denied;
    if (said.length > 1 || typeof ownMember(said[0], 'method') !== 'string') {
      throw new GatewayError('denied', 'outcome_withheld', first?.decision.words);
    }
    const id = ownMember(said[0], 'id');
    if (first !== undefined && (typeof id === 'string' || typeof id === 'number')) input.decline(id, first.decision);
    return { ...looked, withheld: true };
  }

  /** `undefined` where it asks and tells nothing: an answer. */
  async function decideOn(message: unknown): Promise<Decision | undefined> {
    const elicits = mayElicit(message, input.elicitationHosts);
    const inputs = inputRequestsIn(message);
    if (inputs === 'unreadable') throw unreadable();
    const says = ownMember(message, 'method') !== undefined ? [policyMessage(message)] : [];
    const asked = inputs.map((one) => ({ ...policyMessage(one), kind: 'request' as const }));
    let decision: Decision | undefined;
    for (const one of [...says, ...asked]) {
      const made = await input.decide(one, 'upstream');
      decision = decision?.effect === 'deny' ? decision : withoutApproval(made);
    }
    if (elicits === true || decision?.effect === 'deny') return decision;
    const words = 'It sends a person to a host that the connection does not list (elicitationHosts).';
    return { ...(decision ?? UNDECIDED), effect: 'deny', rules: ['elicitation-hosts'], words };
  }
}

/** Nobody can be asked while a server waits. */
function withoutApproval(decision: Decision): Decision {
  if (decision.effect !== 'approve') return decision;
  return { ...decision, effect: 'deny', words: "A server's own request can not wait for approval." };
}

function policyMessage(message: unknown): PolicyInput['message'] {
  const method = ownMember(message, 'method');
  const params = ownMember(message, 'params');
  const known = typeof method === 'string' ? method : '';
  const name = nameOf(known, params);
  return {
    kind: ownMember(message, 'id') === undefined ? 'notification' : 'request',
    method: known,
    ...(name === undefined ? {} : { name }),
    ...(params === undefined ? {} : { params }),
  };
}

function messagesOf(data: Buffer): readonly unknown[] | undefined {
  const read = parseStrictJson(data);
  if (read.ok) return Array.isArray(read.value) ? read.value : [read.value];
  // What two readers would read unlike is not decided on: Python's take NaN, and a reader of JSON5 far more.
  if (read.reason !== 'syntax' || beginsAsMessage(data)) throw unreadable();
  return undefined;
}

function withDecision(message: ReturnedMessage, decision: Decision | undefined): ReturnedMessage {
  return decision === undefined ? message : { ...message, decision: recordedDecision(decision) };
}

function unreadable(): GatewayError {
  return new GatewayError('upstream_broken', 'outcome_withheld', 'Its message can be read in two ways.');
}
