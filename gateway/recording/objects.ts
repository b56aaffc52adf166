/** Names of stored objects. docs/recording-format.md is normative. */

export function segmentName(segment: { day: string; connection: string; strand: string; number: number }): string {
  const number = String(segment.number).padStart(5, '0');
  return `recordings/dt=${segment.day}/connection=${segment.connection}/${segment.strand}.${number}.ndjson.gz`;
}

export function summaryName(day: string, strand: string): string {
  return `sessions/dt=${day}/${strand}.json`;
}

export function configurationName(digest: string): string {
  return `configurations/${digest}.json`;
}

export function policyName(digest: string): string {
  return `policies/${digest}.json`;
}
