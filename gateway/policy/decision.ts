/** What a decision is made of, and what it says. Plain data; decide.ts makes one of the other. */
import type { Detector } from './masks/detector.ts';
import type { ApprovalTerms, Effect, RuleLimits, ScreenTerms } from './rule.ts';
import type { Question } from './statement.ts';

/** Who calls, as rules see it. A Principal has all of it. */
export interface PolicyPrincipal {
  readonly kind: 'human' | 'agent';
  readonly issuer: string;
  readonly subject: string;
  readonly email?: string;
  readonly groups: readonly string[];
  readonly owner?: string;
  readonly onBehalfOf?: string;
  readonly attributes?: Readonly<Record<string, string>>;
  readonly clientId?: string;
}

/** One JSON-RPC message on its way. */
export interface PolicyInput {
  readonly principal: PolicyPrincipal;
  readonly connection: string;
  /** How the session came to be. */
  readonly access: 'standing' | 'justInTime' | 'breakGlass';
  readonly clientAddress?: string;
  /** Who sent it: `upstream` for what a server asks or tells its client. */
  readonly from: 'client' | 'upstream';
  readonly message: {
    readonly kind: 'request' | 'notification' | 'response';
    readonly method?: string;
    /** What it names: mcp/methods.ts. */
    readonly name?: string;
    readonly params?: unknown;
  };
  /** Milliseconds since the epoch. */
  readonly now: number;
}

export interface Decision {
  readonly effect: Effect;
  /** The rules that made it so; `base-protocol` and the like where no rule of a file did (decide.ts). */
  readonly rules: readonly string[];
  /** Why, for a person: which rule, or that none allows it. Never an argument's value. */
  readonly words: string;
  /** Of answers, and of the request itself; those of all matching allows together. */
  readonly masks: readonly Detector[];
  readonly maskRequests: readonly Detector[];
  readonly replaceBlobs: readonly string[];
  /** Every limit of every matching allow holds; the rule's name keeps its count apart. */
  readonly limits: readonly ({ readonly rule: string } & RuleLimits)[];
  /** Every approve that matched: each must be satisfied. */
  readonly approvals: readonly ({ readonly rule: string } & ApprovalTerms)[];
  readonly screens: readonly ({ readonly rule: string } & ScreenTerms)[];
  /** What rules in shadow mode would have done. */
  readonly shadow?: { readonly effect: Effect; readonly rules: readonly string[] };
}

/** Statements in it have to be read first (statement.ts): decide again with their readings. */
export interface Needs {
  readonly needs: readonly Question[];
}
