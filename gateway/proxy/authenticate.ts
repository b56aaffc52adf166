/** Who calls: by a token of the gateway's own, or of an issuer that the connection takes. */
import type { IncomingMessage } from 'node:http';
import { GatewayError } from '../errors.ts';
import type { Principal } from '../identity/principal.ts';
import { bearerOf } from '../identity/token.ts';
import { blockedError } from '../sessions/block.ts';
import type { InForce, Runtime } from './runtime.ts';
import type { Target } from './target.ts';

/** Throws `GatewayError` where nobody is let in, or not this one. */
export async function authenticate(
  runtime: Runtime,
  inForce: InForce,
  target: Target,
  request: IncomingMessage,
): Promise<Principal> {
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
  return principal;
}
