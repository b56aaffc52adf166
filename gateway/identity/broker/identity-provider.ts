/**
 * An identity provider of the company, to which this gateway is one confidential client. Each protocol is a file of this
 * folder; none of them stores anything, and no token of theirs leaves the gateway.
 */

/** Who has logged in, as the identity provider says it. Everything was verified. */
export interface BrokeredIdentity {
  /** The provider's own name for itself: `iss`, or a SAML entity id. */
  readonly issuer: string;
  /** Stable and never reused: `sub`, a persistent NameID, Entra's `<tid>.<oid>`. Never an e-mail address. */
  readonly subject: string;
  readonly email?: string;
  readonly name?: string;
  /** Known and whole. Where they are unknown the login is refused. */
  readonly groups: readonly string[];
  /** What asks for groups again without the person, where the provider gives it. Secret: sealed before it is stored. */
  readonly refreshToken?: string;
  /** Seconds since the epoch: when the person last proved who they are, where the provider says it. */
  readonly authenticated?: number;
}

/** The browser's way back: the request at this provider's callback address. */
export interface LoginAnswer {
  /** With the query of the request, on the configured public origin. */
  readonly url: URL;
  /** The form of a POST (SAML). */
  readonly form?: URLSearchParams;
}

export interface Recheckable {
  readonly subject: string;
  readonly email?: string;
  readonly refreshToken?: string;
}

export interface Rechecked {
  readonly groups: readonly string[];
  /** What asks the next time, where it is another one from now on. The one before may be dead already. */
  readonly refreshToken?: string;
}

export interface IdentityProvider {
  /** Of the configuration. */
  readonly name: string;
  /** Its own name for itself, as `BrokeredIdentity` has it. */
  readonly issuer: string;
  /**
   * Where the browser goes to log in, and what `finish` needs when it comes back. `memory` is secret (it may hold a PKCE
   * verifier): the caller keeps it sealed and gives it to one `finish` only. Throws `LoginRefused` `provider_unavailable`.
   */
  begin(login: {
    /** Comes back with the answer. Unguessable; the caller finds `memory` by it. */
    readonly state: string;
    /** `<publicUrl>/oauth/callback/<name>`. */
    readonly callback: string;
    readonly loginHint?: string;
    /** The person has to prove anew who they are. Whether they did is for the caller to see (`authenticated`). */
    readonly fresh?: true;
  }): Promise<{ readonly url: string; readonly memory: Readonly<Record<string, string>> }>;
  /** The value of `state` in an answer, unverified; undefined where there is none, or several. */
  stateOf(answer: LoginAnswer): string | undefined;
  /** Verifies the answer. Throws `LoginRefused`. */
  finish(
    answer: LoginAnswer,
    login: { readonly state: string; readonly callback: string; readonly memory: Readonly<Record<string, string>> },
  ): Promise<BrokeredIdentity>;
  /**
   * The groups now. Absent where nobody can be asked without the person (SAML); undefined where this person is one of
   * those, because the provider gave no refresh token: both mean that the groups of the login are all that is known.
   * Throws `LoginRefused`: with `provider_unavailable` try later; with any other code the person has lost the right to be
   * here. Refresh tokens rotate: ask once at a time for a session over all replicas, since two who use the same one look
   * like a thief to the provider.
   */
  recheck?(who: Recheckable): Promise<Rechecked | undefined>;
}

export type LoginRefusal =
  /** The identity provider, or its directory, could not be reached or failed. Nobody's fault who logs in. */
  | 'provider_unavailable'
  /** The person, or the provider for them, said no. */
  | 'provider_refused'
  /** The answer is not acceptable: signature, audience, nonce, replay, another provider's. */
  | 'answer_invalid'
  | 'email_unverified'
  | 'domain_not_allowed'
  | 'groups_unknown'
  | 'not_in_group'
  /** An operator keeps them out. */
  | 'principal_blocked'
  /** They had to prove anew who they are, and did not. */
  | 'not_fresh'
  /** The login took too long, was used before, or is another browser's. */
  | 'login_over';

/** A login that ends here. `message` is shown to the person: what happened and what to do. It holds no secret. */
export class LoginRefused extends Error {
  override readonly name = 'LoginRefused';
  readonly code: LoginRefusal;

  constructor(code: LoginRefusal, message: string, options?: ErrorOptions) {
    super(message, options);
    this.code = code;
  }
}
