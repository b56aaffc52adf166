/** Who a verified token says that calls: by the issuer's mapping, else by the claims that it names. */
import type { JWTPayload } from 'jose';
import type { ConnectionConfig, IssuerConfig } from '../config.ts';
import { GatewayError } from '../errors.ts';
import type { Mapping } from './claims-mapping.ts';
import { mayEnter } from './entering.ts';
import { type Principal, sessionKeyOf } from './principal.ts';
import { refuse } from './token-verify.ts';

/** Throws `unauthenticated`, or `not_in_group` where none of the groups opens the connection or they are unknown. */
export function principalOf(
  payload: JWTPayload,
  issuer: IssuerConfig,
  mapping: Mapping | undefined,
  connection: ConnectionConfig,
): Principal {
  const { claims } = issuer;
  const mapped = mapping?.map(payload) ?? {};
  const subject = mapped.subject ?? textClaim(payload, claims.subject);
  const session = mapped.session ?? textClaim(payload, claims.session);
  const email = issuer.mapping?.email === undefined ? ownClaim(payload, claims.email) : mapped.email;
  const clientId = ownClaim(payload, 'client_id') ?? ownClaim(payload, 'azp');
  const groups = mapped.groups ?? groupsOf(payload, claims.groups);
  if (!mayEnter(connection, groups)) throw new GatewayError('not_in_group');
  return {
    kind: kindOf(payload, issuer),
    issuer: issuer.issuer,
    subject,
    ...(typeof email === 'string' && email !== '' ? { email } : {}),
    groups,
    ...(mapped.owner === undefined ? {} : { owner: mapped.owner }),
    ...(mapped.onBehalfOf === undefined ? {} : { onBehalfOf: mapped.onBehalfOf }),
    ...(mapped.attributes === undefined ? {} : { attributes: mapped.attributes }),
    expires: Number(payload.exp),
    ...(typeof payload.iat === 'number' ? { issuedAt: payload.iat } : {}),
    sessionKey: sessionKeyOf(issuer.issuer, subject, connection.name, session),
    ...(typeof clientId === 'string' && clientId !== '' ? { clientId } : {}),
  };
}

function ownClaim(payload: JWTPayload, name: string): unknown {
  return Object.hasOwn(payload, name) ? payload[name] : undefined;
}

function textClaim(payload: JWTPayload, name: string): string {
  const value = ownClaim(payload, name);
  if (typeof value !== 'string' || value === '') throw refuse(`The token's claim ${name} is not acceptable.`);
  return value;
}

/**
 * Groups that are missing, overflowed or of another shape are unknown, never none: a rule that denies a group would
 * fail open. An overflowed claim is named in `_claim_names` (OpenID Connect Core, section 5.6.2; Entra does so).
 */
function groupsOf(payload: JWTPayload, name: string): readonly string[] {
  const unknown = (detail: string) =>
    new GatewayError('not_in_group', 'not_forwarded', `Your groups are unknown: ${detail}`);
  const elsewhere = ownClaim(payload, '_claim_names');
  if (
    elsewhere !== undefined &&
    (typeof elsewhere !== 'object' || elsewhere === null || Object.hasOwn(elsewhere, name))
  ) {
    throw unknown('they did not fit into the token.');
  }
  const groups = ownClaim(payload, name);
  if (groups === undefined) throw unknown(`the token lacks the claim ${name}.`);
  if (!Array.isArray(groups) || !groups.every((group) => typeof group === 'string')) {
    throw unknown(`the claim ${name} is not a list of names.`);
  }
  return groups;
}

function kindOf(payload: JWTPayload, issuer: IssuerConfig): 'human' | 'agent' {
  if (issuer.claims.kind === undefined) return issuer.kind;
  const kind = ownClaim(payload, issuer.claims.kind);
  if (kind === 'human' || kind === 'agent') return kind;
  throw refuse(`The token's claim ${issuer.claims.kind} is not acceptable.`);
}
