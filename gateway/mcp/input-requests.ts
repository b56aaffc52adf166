/**
 * What a server asks its client for inside an answer or a notice about a task (2026-07-28, multi round-trip requests;
 * SEP-2663): sampling, elicitation, roots, each as a method with its parameters.
 */
import { createLookalikes } from './lookalike.ts';
import { ownMember } from './methods.ts';

const inMessage = createLookalikes(['method', 'params', 'result', 'error']);
const inHolder = createLookalikes(['inputRequests', 'task']);
const inInput = createLookalikes(['method', 'params']);

/** `unreadable`: two readers could find them in different places. `message` is what JSON.parse gives. */
export function inputRequestsIn(message: unknown): readonly unknown[] | 'unreadable' {
  if (inMessage(message)) return 'unreadable';
  const result = ownMember(message, 'result');
  const holders = [ownMember(message, 'params'), result, ownMember(result, 'task')];
  const inputs = holders.flatMap((one) => membersOf(ownMember(one, 'inputRequests')));
  return holders.some(inHolder) || inputs.some(inInput) ? 'unreadable' : inputs;
}

export function membersOf(value: unknown): unknown[] {
  return typeof value === 'object' && value !== null ? Object.values(value) : [];
}

/** `"method"`, since a reader without regard to case takes an answer with a `METHOD` for a request. */
const NAMED = ['inputrequest', 'elicitation', '"method"'];
/** An escape, and letters that fold to `s` and `k`: a key in another spelling is looked for as well. */
const ODD = ['\\u', '\u017f', '\u212a'].map((text) => Buffer.from(text));

/** Whether an answer may hold such a question, be one, or hold an elicitation in an error; a quick look before parsing. */
export function mayAsk(bytes: Buffer): boolean {
  const text = bytes.toString('latin1').toLowerCase();
  return NAMED.some((name) => text.includes(name)) || ODD.some((odd) => bytes.includes(odd));
}
