/** The policy in force: what the gateway asks of it. */
import type { Decision, Needs, PolicyInput } from './decision.ts';
import type { Detector } from './masks/detector.ts';
import type { Dialect, Readings } from './statement.ts';

export interface Policy {
  /** SHA-256 of `canonical`. */
  readonly digest: string;
  /** All of it, as it is stored by digest. */
  readonly canonical: Buffer;
  /** `policies: allow-all`: nothing is looked at. */
  readonly isAllowAll: boolean;
  decide(input: PolicyInput, readings: Readings, dialect: Dialect | undefined): Decision | Needs;
  /** Whether something that a list names could be used at all. */
  mayList(input: PolicyInput, kind: ListedKind, name: string): boolean;
  /** Everything that any rule masks on this connection. */
  masksOf(connection: string): ConnectionMasks;
}

export interface ConnectionMasks {
  readonly masks: readonly Detector[];
  readonly maskRequests: readonly Detector[];
  readonly replaceBlobs: readonly string[];
}

export type ListedKind = 'tool' | 'prompt' | 'resource' | 'resourceTemplate';
