/** The signature, times, audience and type of a token against one issuer: RFC 7519 and RFC 9068, with stable words. */
import { errors, type JWTPayload, jwtVerify } from 'jose';
import type { IssuerConfig } from '../config.ts';
import { GatewayError } from '../errors.ts';
import { type IssuerKeys, keysUnavailable } from './keys.ts';

/** In `typ` of an issuer: tokens whose header has none, such as those of Kubernetes. */
const NO_TYPE = 'none';

/** The token's claims, once everything that is not about who calls is checked. Throws `unauthenticated`. */
export async function verifyToken(
  token: string,
  issuer: IssuerConfig,
  audience: readonly string[],
  keys: IssuerKeys,
  now: number,
): Promise<JWTPayload> {
  const { claims, mapping } = issuer;
  const needed = [
    ...(mapping?.subject === undefined ? [claims.subject] : []),
    ...(mapping?.session === undefined ? [claims.session] : []),
  ];
  try {
    const { payload, protectedHeader } = await jwtVerify(token, keys.of(issuer), {
      issuer: issuer.issuer,
      audience: [...audience],
      algorithms: [...issuer.algorithms],
      requiredClaims: ['exp', 'aud', 'iss', ...needed],
      currentDate: new Date(now),
    });
    if (!isAccepted(protectedHeader.typ, issuer.typ)) throw refuse("The token's typ is not accepted.");
    return payload;
  } catch (error) {
    throw refusalOf(error);
  }
}

export function refuse(detail: string): GatewayError {
  return new GatewayError('unauthenticated', 'not_forwarded', detail);
}

function isAccepted(typ: unknown, accepted: readonly string[]): boolean {
  if (typ === undefined) return accepted.includes(NO_TYPE);
  const type = mediaType(typ);
  return type !== undefined && accepted.some((one) => one !== NO_TYPE && mediaType(one) === type);
}

/** RFC 7515, section 4.1.9: `application/` may be left out, and case does not count. */
function mediaType(typ: unknown): string | undefined {
  if (typeof typ !== 'string') return undefined;
  const lower = typ.toLowerCase();
  return lower.includes('/') ? lower : `application/${lower}`;
}

/** Stable words for jose's errors. What is not about the token is about the keys: never the caller's fault. */
export function refusalOf(error: unknown): GatewayError {
  if (error instanceof GatewayError) return error;
  if (error instanceof errors.JWTExpired) return refuse('The token has expired.');
  if (error instanceof errors.JWTClaimValidationFailed) {
    if (error.reason === 'missing') return refuse(`The token lacks the claim ${error.claim}.`);
    if (error.claim === 'aud') return refuse('The token is for another audience.');
    if (error.claim === 'iss') return refuse('The token is of an unknown issuer.');
    if (error.claim === 'nbf') return refuse('The token is not valid yet.');
    return refuse(`The token's claim ${error.claim} is not acceptable.`);
  }
  if (error instanceof errors.JWSSignatureVerificationFailed) return refuse("The token's signature does not verify.");
  if (error instanceof errors.JWKSNoMatchingKey || error instanceof errors.JWKSMultipleMatchingKeys) {
    return refuse('No key of the issuer fits the token.');
  }
  if (error instanceof errors.JOSEAlgNotAllowed) return refuse("The token's algorithm is not accepted.");
  if (error instanceof errors.JWTInvalid || error instanceof errors.JWSInvalid)
    return refuse('The token is malformed.');
  if (error instanceof errors.JOSENotSupported) return refuse('The token needs what is not supported.');
  return keysUnavailable(error);
}
