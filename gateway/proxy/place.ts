/** A call's place among those under way: limited per principal, and through it a call can be told to end at any step. */
import { GatewayError } from '../errors.ts';
import type { Session } from '../sessions/sessions.ts';
import type { Runtime } from './runtime.ts';
import type { Target } from './target.ts';

export interface Place {
  readonly refused: GatewayError | undefined;
  /** Aborted with a GatewayError. */
  readonly signal: AbortSignal;
  abort(error: GatewayError): void;
  /** Gives back the turn that its large body has; once that is recorded it needs none. */
  endTurn?: () => void;
  leave(): void;
}

/** In one turn with the question whether the session goes on, so that a session that ends has this call in its set. */
export function takePlace(runtime: Runtime, session: Session, target: Target): Place {
  const controller = new AbortController();
  const stopping = runtime.refusing() === 'shutting_down' ? new GatewayError('shutting_down') : undefined;
  const ended = session.ended === undefined ? undefined : new GatewayError('session_ended');
  const full = runtime.sessions.busy(session.principal) >= target.connection.limits.exchangesPerPrincipal;
  const place: Place = {
    refused: stopping ?? ended ?? (full ? new GatewayError('too_many_exchanges') : undefined),
    signal: controller.signal,
    abort: (error) => controller.abort(error),
    leave() {
      session.exchanges.delete(place);
      place.endTurn?.();
      // A session that was busy until now has not been idle for as long as its last call took.
      session.lastUsed = runtime.clock.millis();
    },
  };
  session.exchanges.add(place);
  return place;
}
