import type { Clock } from './clock.ts';
import type { Config, Durability } from './config.ts';
import type { Pressure } from './pressure.ts';
import type { Recorder } from './recording/recorder.ts';

/** Why every call is refused now. */
export type Refusing = 'recording_unavailable' | 'recording_full' | 'recording_behind' | 'shutting_down';

export function createRefusing(deps: {
  readonly recorder: Recorder;
  readonly pressure: Pressure;
  readonly clock: Clock;
  config(): Config;
  isStopping(): boolean;
}): (durability?: Durability) => Refusing | undefined {
  const { recorder, pressure, clock } = deps;
  return (durability) => {
    if (deps.isStopping()) return 'shutting_down';
    // A connection that promises nothing goes on while nothing can be written.
    if (durability === 'memory') return undefined;
    if (recorder.journal.failed() || recorder.isTaken()) return 'recording_unavailable';
    if (pressure.isFull()) return 'recording_full';
    return unsealedAge(recorder, clock) > deps.config().maxUnsealedAge ? 'recording_behind' : undefined;
  };
}

/** Milliseconds; 0 where all is sealed. */
export function unsealedAge(recorder: Recorder, clock: Clock): number {
  const oldest = recorder.journal.oldestUnsealed();
  return oldest === undefined ? 0 : Math.max(0, clock.millis() - oldest);
}
