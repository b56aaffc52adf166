/** What the name of a stored object says. `objects.ts` writes them. */

export interface StrandName {
  readonly day: string;
  readonly session: string;
  readonly ledger: string;
  readonly strand: string;
}

const SEGMENT =
  /^recordings\/dt=(\d{4}-\d\d-\d\d)\/connection=([^/]+)\/([A-Za-z0-9_-]+)\.([A-Za-z0-9_-]+)\.(\d{5,})\.ndjson\.gz$/;
const SUMMARY = /^sessions\/dt=(\d{4}-\d\d-\d\d)\/([A-Za-z0-9_-]+)\.([A-Za-z0-9_-]+)\.json$/;

export function readSegmentName(object: string): (StrandName & { connection: string; number: number }) | undefined {
  const [, day, connection, session, ledger, number] = SEGMENT.exec(object) ?? [];
  if (!day || !connection || !session || !ledger || !number) return undefined;
  return { day, connection, session, ledger, strand: `${session}.${ledger}`, number: Number(number) };
}

export function readSummaryName(object: string): StrandName | undefined {
  const [, day, session, ledger] = SUMMARY.exec(object) ?? [];
  if (!day || !session || !ledger) return undefined;
  return { day, session, ledger, strand: `${session}.${ledger}` };
}

/** A system strand belongs to no session: what the gateway itself did. */
export function isSystem(session: string): boolean {
  return session.startsWith('sys_');
}
