/** The facts with which a session's recording begins. */
import type { Principal } from '../identity/principal.ts';
import type { RecordedPrincipal, SessionStart } from '../recording/frame.ts';
import type { Entered } from './authenticate.ts';
import type { InForce, Runtime } from './runtime.ts';
import type { Target } from './target.ts';

export async function startOf(
  runtime: Runtime,
  inForce: InForce,
  target: Target,
  { principal, access, window }: Entered,
  expires: string,
): Promise<SessionStart['start']> {
  const { connection } = target;
  // A credential that can't be read fails the call later, in words; the session's start only names its version.
  const credential = await inForce.upstreams
    .get(connection.name)
    ?.credentialFor(principal)
    .current()
    .catch(() => undefined);
  return {
    connection: connection.name,
    upstream: connection.upstream.url,
    principal: recordedPrincipal(principal),
    client: { ...(principal.clientId === undefined ? {} : { id: principal.clientId }), address: target.address },
    recording: connection.recording,
    durability: connection.durability,
    configuration: inForce.digest,
    policy: inForce.policy.set.digest,
    replica: runtime.replica,
    ledger: runtime.recorder.ledger,
    gateway: runtime.version,
    ...(credential?.version === undefined ? {} : { credential: credential.version }),
    ...(window === undefined || access === 'standing' ? {} : { access: { kind: access, window } }),
    expires,
  };
}

export function recordedPrincipal(principal: Principal): RecordedPrincipal {
  const { kind, issuer, subject, email, groups, owner, onBehalfOf, attributes } = principal;
  return {
    kind,
    issuer,
    subject,
    ...(email === undefined ? {} : { email }),
    groups,
    ...(owner === undefined ? {} : { owner }),
    ...(onBehalfOf === undefined ? {} : { onBehalfOf }),
    ...(attributes === undefined ? {} : { attributes }),
  };
}

/** The system strand's: it has no principal and no upstream. */
export function systemStart(facts: {
  replica: string;
  ledger: string;
  version: string;
  configuration: string;
  policy: string;
}): SessionStart['start'] {
  return {
    connection: '_system',
    recording: 'on',
    durability: 'disk',
    configuration: facts.configuration,
    policy: facts.policy,
    replica: facts.replica,
    ledger: facts.ledger,
    gateway: facts.version,
  };
}
