/** Who calls: by a token of the gateway's own, or of an issuer that the connection takes. */
import type { IncomingMessage } from 'node:http';
import { GatewayError } from '../errors.ts';
import type { Principal } from '../identity/principal.ts';
import { bearerOf } from '../identity/token.ts';
import type { PolicyInput } from '../policy/decision.ts';
import type { CallHolder } from '../pressure.ts';
import { principalName } from '../recording/unsealed.ts';
import { blockedError } from '../sessions/block.ts';
import type { InForce, Runtime } from './runtime.ts';
import type { Target } from './target.ts';

/** Who has come in, and how. */
export interface Entered {
  readonly principal: Principal;
  readonly access: PolicyInput['access'];
  /** Id of the access window that let in. */
  readonly window?: string;
}

/** Throws `GatewayError` where nobody is let in, or not this one. */
export async function authenticate(
  runtime: Runtime,
  inForce: InForce,
  target: Target,
  request: IncomingMessage,
): Promise<Entered> {
  const refusing = runtime.refusing(target.connection.durability);
  if (refusing !== undefined) throw new GatewayError(refusing);
  if (!runtime.stateKnown()) throw new GatewayError('state_unavailable', 'not_forwarded', 'Calls may be frozen.');
  const token = bearerOf(request.rawHeaders);
  if (token === undefined) throw new GatewayError('unauthenticated');
  const { login, config } = inForce;
  const { name } = target.connection;
  const own = login && (await runtime.authorization.check(token, name, login));
  const principal = own ?? (await runtime.tokens.check(token, name, config));
  const block = runtime.blocks.match(principal);
  if (block !== undefined) throw blockedError(block);
  const entered = enter(runtime, inForce, target, principal);
  // Before anything of the call is recorded: a refusal in its session would fill what it is refused for.
  const over = runtime.pressure.refusesCall(holderOf(target, principal), target.connection.durability);
  if (over !== undefined) throw over;
  return entered;
}

/** To whom what is recorded of a call is counted. */
export function holderOf({ connection }: Target, principal: Principal): CallHolder {
  return { principal: principalName(principal), connection: connection.name, upstream: connection.upstream.url };
}

/** Where access is not standing, an open window lets in, and as long as it is open. */
function enter(runtime: Runtime, inForce: InForce, { connection }: Target, principal: Principal): Entered {
  if (connection.access === 'standing') return { principal, access: 'standing' };
  const window = runtime.windows.openFor(principal, connection.name);
  if (window === undefined) {
    const url = inForce.urls.access(connection.name);
    throw new GatewayError('access_needed', 'not_forwarded', `Open ${url}`, { url });
  }
  const expires = Math.min(principal.expires, window.expires / 1000);
  return { principal: { ...principal, expires }, access: window.kind, window: window.id };
}
