/**
 * Rules as plain data, as the loader gives them: policies/access/*.yaml, parsed, checked and compiled. Nothing here can be
 * wrong any more.
 */
import type { Condition } from './condition.ts';
import type { Detector } from './masks/detector.ts';

export type Effect = 'allow' | 'deny' | 'approve';

/** Every key that is there must match; a key's values are alternatives. An empty object is anybody. */
export interface PrincipalMatch {
  readonly kinds?: readonly ('human' | 'agent')[];
  readonly groups?: readonly string[];
  readonly subjects?: readonly string[];
  readonly emails?: readonly string[];
  readonly issuers?: readonly string[];
  /** OAuth clients. */
  readonly clients?: readonly string[];
  /** Groups that answer for an agent. */
  readonly owners?: readonly string[];
}

/** What a rule is about: the names in a message. Globs: `*` is any text. */
export interface Names {
  readonly tools?: readonly string[];
  readonly prompts?: readonly string[];
  /** URIs. */
  readonly resources?: readonly string[];
}

export interface RuleLimits {
  /** Calls of a session within a window of time (milliseconds). */
  readonly maxCalls?: { readonly count: number; readonly per: number };
  /** Bytes of one answer as the upstream sent it. */
  readonly maxResultBytes?: number;
}

/** How calls that match an `approve` rule are approved. */
export interface ApprovalTerms {
  /** One of these groups. */
  readonly approvers: readonly string[];
  /** Milliseconds until a request that nobody decides is void. */
  readonly pending: number;
  /** Milliseconds within which an approved call must be made. */
  readonly usable: number;
}

export type ScreenedPart = 'requests' | 'results' | 'descriptions' | 'resources';

/** Google Model Armor, asked about the named parts of a call. */
export interface ScreenTerms {
  readonly modelArmor: {
    /** `projects/…/locations/…/templates/…` */
    readonly template: string;
    readonly of: readonly ScreenedPart[];
    /** `deny` refuses what matches; `flag` records the verdict alone. */
    readonly onMatch: 'deny' | 'flag';
    /** Milliseconds. */
    readonly timeout: number;
    /** What happens without a verdict: `enforce` refuses, `inspect` lets pass. */
    readonly mode: 'enforce' | 'inspect';
  };
}

export interface Rule {
  readonly name: string;
  /** The file that has it, as shown in words: `policies/access/orders.yaml`. */
  readonly file: string;
  readonly line: number;
  readonly description?: string;
  readonly principals: PrincipalMatch;
  /** Globs. */
  readonly connections: readonly string[];
  /** Globs; the loader has filled in what `tools`, `prompts` and `resources` imply. */
  readonly methods: readonly string[];
  /** Where one is given, a message that names something of another sort does not match. */
  readonly names: Names;
  readonly condition?: Condition;
  readonly effect: Effect;
  /** Of answers. */
  readonly masks: readonly Detector[];
  /** Of requests, before they are recorded. */
  readonly maskRequests: readonly Detector[];
  /** MIME types (globs) of binary content that is replaced as a whole. */
  readonly replaceBlobs: readonly string[];
  readonly limits: RuleLimits;
  /** Of `effect: approve`. */
  readonly approval?: ApprovalTerms;
  readonly screen?: ScreenTerms;
  /** `shadow` decides nothing and records what it would have done. */
  readonly mode: 'enforce' | 'shadow';
}
