/**
 * Approvals: a call that waits for a person. One request is one exact call of one session; it is decided by state objects
 * that are only ever created, and used once. What an approval binds, and what becomes of it.
 */

/** Who asks, decides or opens. */
export interface Person {
  readonly kind: 'human' | 'agent';
  readonly issuer: string;
  readonly subject: string;
  readonly email?: string;
  readonly groups: readonly string[];
  /** Group that answers for an agent. */
  readonly owner?: string;
  readonly onBehalfOf?: string;
}

/** One approve rule's terms. */
export interface AskedRule {
  readonly rule: string;
  readonly approvers: readonly string[];
  /** Milliseconds until an undecided request is void, and within which an approved call must be made. */
  readonly pending: number;
  readonly usable: number;
}

/** Everything an approval binds: another value in any of it is another call. */
export interface BoundCall {
  readonly principal: Person;
  readonly client?: string;
  readonly session: string;
  readonly connection: string;
  readonly title?: string;
  /** The upstream's origin. */
  readonly origin: string;
  readonly method: string;
  readonly name?: string;
  /** As it would be forwarded; its canonical JSON is hashed. Stored in the state for the approver to read, never sent by webhook. */
  readonly params: unknown;
  /** Digest of the pinned tool, where it is pinned. */
  readonly tool?: string;
  /** Digest of the policy that asked for it. */
  readonly policy: string;
  readonly rules: readonly AskedRule[];
  /** The exchange in which it was recorded. */
  readonly exchange: string;
}

export type ApprovalState =
  | { readonly state: 'pending'; readonly id: string; readonly code: string; readonly expires: number }
  | {
      readonly state: 'approved';
      readonly id: string;
      readonly by: readonly { readonly rule: string; readonly subject: string }[];
      /** Milliseconds since the epoch: it is void from then on. */
      readonly until: number;
    }
  | { readonly state: 'denied'; readonly id: string; readonly by: string; readonly reason?: string }
  | { readonly state: 'void'; readonly id: string; readonly why: 'expired' | 'used' | 'unreadable' };

export interface Approvals {
  /**
   * The request for exactly this call, made where there is none that can still be used. Resolves when it is durable. A
   * retry of the same call finds it, also on another replica and after a restart. A denial stands until the request would
   * have expired; then the call may be asked for again. Throws `too_many_waiting`.
   */
  ask(call: BoundCall): Promise<ApprovalState>;
  /** Resolves when it is no longer pending, or with what it is when the signal aborts. */
  settled(id: string, signal: AbortSignal): Promise<ApprovalState>;
  /**
   * Takes an approved one for one exchange, once among all replicas. `void`: it is not approved, or no longer: denied,
   * expired or unreadable since it was asked for.
   */
  use(id: string, exchange: string): Promise<'ours' | 'used' | 'void'>;
  /** What an approver sees. */
  read(id: string): Promise<ApprovalRequest | undefined>;
  /** Those that wait, newest first, that this person may decide; at most 200. */
  waitingFor(person: Person): Promise<readonly ApprovalRequest[]>;
  /**
   * Throws `GatewayError` `denied` with words (`detail`) where the person may not, or it is too late; `not_found`. Who has
   * approved may still deny, as long as the call was not made.
   */
  decide(id: string, decision: PersonsDecision): Promise<ApprovalState>;
}

export interface ApprovalRequest {
  readonly id: string;
  readonly code: string;
  readonly at: number;
  readonly expires: number;
  readonly call: BoundCall;
  /** SHA-256 over what it binds. */
  readonly hash: string;
  readonly state: ApprovalState;
}

export interface PersonsDecision {
  readonly by: Person;
  /** Seconds since the epoch: when the person last logged in. */
  readonly authenticated: number;
  readonly verdict: 'approve' | 'deny';
  readonly reason?: string;
}
