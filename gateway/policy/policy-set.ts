/** A policy as it is in force: rules and pins, and the bytes that say so. */
import type { FileProblem } from '../yaml-file.ts';
import type { Pins } from './pins.ts';
import type { Rule } from './rule.ts';

export interface PolicySet {
  readonly rules: readonly Rule[];
  /** Named patterns, as they are written. */
  readonly patterns: Readonly<Record<string, string>>;
  /** By connection. */
  readonly pins: ReadonlyMap<string, Pins>;
  /** The whole of it as JSON with sorted keys: what is stored under its digest. */
  readonly canonical: Buffer;
  /** Hex SHA-256 of exactly those bytes. */
  readonly digest: string;
}

/** A mistake, or (`warning`) what is most likely one, in a file of the policy. */
export interface PolicyProblem extends FileProblem {
  readonly level: 'error' | 'warning';
  /** `access/orders.yaml`; empty where it is of the whole policy. */
  readonly file: string;
}
