/** Who approves in the demo. */
import { Writable } from 'node:stream';
import { decideApproval } from '../gateway/cli/approvals.ts';
import { createContext } from '../gateway/cli/context.ts';
import type { People } from './people.ts';

/** The group whose people approve, by the rules of the demo. */
export const LEADS = 'leads';

/** A call that waits, as its client was told: the end of the link, and the code. */
export interface Waiting {
  readonly id: string;
  readonly code: string;
}

/** Somebody who may approve what ana asks for: not herself. */
export function leadAmong(people: People): string | undefined {
  return people.all().find(({ name, groups }) => name !== 'ana' && groups.includes(LEADS))?.name;
}

/**
 * Reads the whole call and approves it, exactly as `verbatim approvals approve ID --code CODE --as NAME` does.
 *
 * @param at.gateway origin of the gateway.
 * @throws Error with words for a person.
 */
export async function approveAs(at: { gateway: string; name: string }, { id, code }: Waiting): Promise<void> {
  const { gateway, name } = at;
  await decideApproval(silent(), 'approve', id, { gateway, as: name, code, browser: false });
}

/** What the command prints has no reader here: the recording says what was approved, and by whom. */
function silent() {
  const nowhere = () => new Writable({ write: (_chunk, _encoding, done) => done() });
  return createContext({ stdout: nowhere(), stderr: nowhere(), env: {}, cwd: () => process.cwd() });
}
