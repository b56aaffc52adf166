/**
 * Access windows: this principal, this connection, until then. A request becomes one when it is approved; in an emergency
 * a person opens one alone.
 */
import type { Person } from './approval.ts';

export interface AccessRequest {
  readonly id: string;
  readonly code: string;
  readonly person: Person;
  readonly connection: string;
  readonly reason: string;
  /** Milliseconds. */
  readonly duration: number;
  readonly at: number;
  /** When it is void if nobody decides. */
  readonly expires: number;
  readonly state: 'pending' | 'approved' | 'denied' | 'void';
  /** Its window's id, once approved. */
  readonly window?: string;
}

export interface Window {
  readonly id: string;
  readonly kind: 'justInTime' | 'breakGlass';
  readonly issuer: string;
  readonly subject: string;
  readonly email?: string;
  readonly connection: string;
  readonly reason: string;
  readonly approvedBy?: string;
  readonly from: number;
  readonly expires: number;
  readonly state: 'open' | 'ended' | 'revoked';
  /** Of break glass. */
  readonly review?: { readonly by: string; readonly at: number; readonly words: string } | 'due';
}

export interface Windows {
  /** Reads the state; called every 2 s like freezes. */
  poll(): Promise<{
    readonly opened: readonly Window[];
    readonly ended: readonly Window[];
    /** Why a window that is listed could not be read; absent where all could be. */
    readonly failure?: unknown;
  }>;
  known(): boolean;
  /** The open window of a principal on a connection that ends last; of break glass without what its review says. */
  openFor(who: { readonly issuer: string; readonly subject: string }, connection: string): Window | undefined;

  /** What follows throws `GatewayError` `denied` with words (`detail`) where the person may not; `not_found`. */
  request(asked: { person: Person; connection: string; reason: string; duration: number }): Promise<AccessRequest>;
  decide(
    id: string,
    decision: { by: Person; authenticated: number; verdict: 'approve' | 'deny'; reason?: string },
  ): Promise<AccessRequest>;
  breakGlass(asked: {
    person: Person;
    authenticated: number;
    connection: string;
    reason: string;
    duration: number;
  }): Promise<Window>;
  revoke(id: string, by: { person: Person; reason: string }): Promise<void>;
  review(id: string, by: { person: Person; authenticated: number; words: string }): Promise<void>;
  readRequest(id: string): Promise<AccessRequest | undefined>;
  readWindow(id: string): Promise<Window | undefined>;
  /** What this person may see: their own, and what they may approve, revoke or review. The newest 200 of both. */
  list(person: Person): Promise<{ requests: readonly AccessRequest[]; windows: readonly Window[] }>;
}
