/** `verbatim revoke`: ends a session and everything that is open in it, on every gateway. */
import { revokeSession } from '../sessions/revoke.ts';
import { CommandError, type Context } from './context.ts';
import { type FreezeOptions, openStores, recordOf } from './freeze.ts';
import { escapeForTerminal } from './terminal.ts';

export type RevokeOptions = Pick<FreezeOptions, 'reason' | 'actor' | 'config' | 'state' | 'audit' | 'json'>;

export async function runRevoke(context: Context, session: string, options: RevokeOptions): Promise<number> {
  if (!/^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/.test(session)) {
    throw new CommandError(2, 'Write the whole id of a session, as `npx verbatim sessions --live` shows it.');
  }
  // As for a lift: nobody is told but the record.
  const { reason, actor } = recordOf({ ...options, lift: session });
  const { state, audit } = openStores(context, options);
  await revokeSession({ state, audit, now: context.now }, { session, actor, reason });
  const words = `Revoked ${session}: ended on every gateway within 5 s. A new token opens a new session; to keep somebody out, freeze them.`;
  const facts = { session, revoked: true, reason, actor };
  await context.out.write(
    options.json === true ? `${JSON.stringify(facts, null, 2)}\n` : `${escapeForTerminal(words)}\n`,
  );
  return 0;
}
