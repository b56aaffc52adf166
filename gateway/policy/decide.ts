/**
 * Decisions. Until rules land, every well-formed message gets `allow` by the rule `no-policy`; start-up says so, and the
 * configuration has to say `policies: allow-all` in so many words.
 */
import { createHash } from 'node:crypto';
import { uuidv7 } from 'uuidv7';
import type { ClientMessage } from '../mcp/message.ts';
import type { RecordedDecision } from '../recording/frame.ts';

/** The policy in force, as it is stored by digest. */
export const NO_POLICY = Buffer.from(
  `${JSON.stringify({ v: 1, policies: 'allow-all', rules: [{ name: 'no-policy', effect: 'allow' }] })}\n`,
);
export const NO_POLICY_DIGEST: string = createHash('sha256').update(NO_POLICY).digest('hex');

export function decide(_message: ClientMessage): RecordedDecision {
  return { effect: 'allow', rules: ['no-policy'], decision_id: uuidv7() };
}
