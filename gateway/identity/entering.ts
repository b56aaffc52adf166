import type { ConnectionConfig } from '../config.ts';

/**
 * Whether these groups may open sessions on a connection at all: its own, and those that get in in an emergency. Where access
 * is not standing, an access window has to be open besides (proxy/authenticate.ts).
 */
export function mayEnter({ groups: own, access }: ConnectionConfig, groups: readonly string[]): boolean {
  const emergency = access === 'standing' ? [] : (access.breakGlass?.groups ?? []);
  return groups.some((group) => own.includes(group) || emergency.includes(group));
}
