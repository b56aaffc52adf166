/**
 * SAML 2.0, web browser SSO profile: the request goes out by redirect, unsigned, and the answer comes back as a form that
 * the browser posts. The assertion has to be signed; a signature of the whole response is not needed, but has to be good.
 */
import { randomBytes, timingSafeEqual, X509Certificate } from 'node:crypto';
import { generateServiceProviderMetadata, type Profile, SAML, ValidateInResponseTo } from '@node-saml/node-saml';
import type { SamlConfig } from '../../config-login.ts';
import { GatewayError } from '../../errors.ts';
import { hashOfParts } from '../../hash-of-parts.ts';
import type { Store } from '../../store/store.ts';
import { type BrokeredIdentity, type IdentityProvider, type LoginAnswer, LoginRefused } from './identity-provider.ts';
import { type Assertion, readAssertion } from './saml-assertion.ts';
import { readDocument, type SamlDocument } from './saml-document.ts';
import { identityOf } from './saml-identity.ts';
import { invalid } from './saml-refusal.ts';

/** SAML 2.0 bindings, section 3.4.3. */
const MAX_RELAY_STATE = 80;
const SUCCESS = 'urn:oasis:names:tc:SAML:2.0:status:Success';
const LEAST_KEY_BITS = 2048;

interface ServiceProvider {
  readonly name: string;
  readonly config: Pick<SamlConfig, 'audience'>;
  readonly publicUrl: string;
}

export interface SamlDeps extends ServiceProvider {
  readonly config: SamlConfig;
  /** PEM texts, already read: one certificate each. */
  readonly certificates: readonly string[];
  readonly state: Store;
  /** Milliseconds since the epoch. */
  readonly now: () => number;
}

/**
 * Throws an Error in words where a certificate is none, or has a key that no signature here may be of. `finish` throws
 * `GatewayError` `state_unavailable` where it could not be noted that an assertion is used up.
 */
export function createSamlProvider(deps: SamlDeps): IdentityProvider {
  const { name, config, state, now } = deps;
  const audience = audienceOf(deps);
  const certificates = deps.certificates.map((pem) => signingCertificate(pem, name));

  const samlFor = (login: { request: string; callback: string; responseSigned: boolean; fresh?: true }): SAML =>
    new SAML({
      entryPoint: config.entryPoint,
      issuer: audience,
      audience,
      callbackUrl: login.callback,
      idpCert: certificates,
      wantAssertionsSigned: true,
      wantAuthnResponseSigned: login.responseSigned,
      identifierFormat: null,
      forceAuthn: login.fresh === true,
      // It would ask for a password by name, and refuse whoever logs in with something better.
      disableRequestedAuthnContext: true,
      // Times are checked by this gateway's clock: saml-assertion.ts.
      acceptedClockSkewMs: -1,
      validateInResponseTo: ValidateInResponseTo.always,
      generateUniqueId: () => login.request,
      cacheProvider: onlyRequest(login.request),
    });

  /** Create-if-absent is what makes it one use, on whichever replica. */
  async function useUp({ id, until }: Assertion): Promise<void> {
    const object = `saml-assertions/${hashOfParts([config.entityId, id])}.json`;
    const outcome = await state.create(object, Buffer.from(JSON.stringify({ v: 1, until }))).catch((cause: unknown) => {
      throw new GatewayError('state_unavailable', 'not_forwarded', 'You are not logged in.', { cause });
    });
    if (outcome === 'exists') throw invalid('was used before');
  }

  return {
    name,
    issuer: config.entityId,
    async begin(login) {
      const request = `_${randomBytes(20).toString('hex')}`;
      // Entra ID's; others ignore it.
      const additionalParams = login.loginHint === undefined ? {} : { login_hint: login.loginHint };
      const fresh = login.fresh === undefined ? {} : { fresh: login.fresh };
      const saml = samlFor({ request, callback: login.callback, responseSigned: false, ...fresh });
      const url = await saml.getAuthorizeUrlAsync(login.state, undefined, { additionalParams });
      return { url, memory: { request } };
    },
    stateOf,
    async finish(answer, login): Promise<BrokeredIdentity> {
      const { request } = login.memory;
      if (request === undefined || !same(stateOf(answer), login.state)) throw invalid('is not to this login');
      const document = readDocument(answer);
      checkResponse(document, { issuer: config.entityId, callback: login.callback, request });
      const saml = samlFor({ request, callback: login.callback, responseSigned: document.signed });
      const verified = await verify(saml, document.xml);
      const assertion = readAssertion(verified, {
        issuer: config.entityId,
        audience,
        callback: login.callback,
        request,
        now: now(),
      });
      await useUp(assertion);
      return identityOf(assertion, config);
    },
  };
}

/** What an administrator uploads: this gateway's entity id and where answers go. The same bytes on every replica. */
export function samlMetadata(sp: ServiceProvider): string {
  const issuer = audienceOf(sp);
  return generateServiceProviderMetadata({
    issuer,
    callbackUrl: `${sp.publicUrl}/oauth/callback/${sp.name}`,
    identifierFormat: null,
    wantAssertionsSigned: true,
    generateUniqueId: () => `_${hashOfParts([issuer])}`,
  });
}

function audienceOf({ name, config, publicUrl }: ServiceProvider): string {
  return config.audience ?? `${publicUrl}/oauth/saml/${name}`;
}

function stateOf({ form }: LoginAnswer): string | undefined {
  const [state, another] = form?.getAll('RelayState') ?? [];
  if (state === undefined || another !== undefined) return undefined;
  return state === '' || state.length > MAX_RELAY_STATE ? undefined : state;
}

function same(given: string | undefined, expected: string): boolean {
  const [a, b] = [Buffer.from(given ?? ''), Buffer.from(expected)];
  return a.length === b.length && timingSafeEqual(a, b);
}

/** Any replica serves any step, so node-saml's memory of its requests is this login's own, which the caller keeps. */
function onlyRequest(request: string) {
  return {
    saveAsync: async (_id: string, value: string) => ({ value, createdAt: Date.now() }),
    // How old a login may be is the caller's to say.
    getAsync: async (id: string) => (id === request ? new Date().toISOString() : null),
    removeAsync: async () => null,
  };
}

/** Mostly unsigned: this refuses early, and what could not be refused by what is signed. */
function checkResponse(
  { destination, inResponseTo, issuer, status }: SamlDocument,
  expected: { readonly issuer: string; readonly callback: string; readonly request: string },
): void {
  if (issuer !== undefined && issuer !== expected.issuer) throw invalid('is of another identity provider');
  if (destination !== undefined && destination !== expected.callback) throw invalid('was sent to another address');
  if (inResponseTo !== undefined && inResponseTo !== expected.request) throw invalid('is not to this login');
  if (status === SUCCESS) return;
  throw new LoginRefused(
    'provider_refused',
    'The identity provider did not log you in. Ask its administrator whether this application is assigned to you.',
    { cause: new Error(`SAML status ${/^urn:oasis:names:tc:SAML:2\.0:status:(\w{1,40})$/.exec(status ?? '')?.[1]}`) },
  );
}

/** The assertion as xml2js reads it from the verified bytes, never from the answer. */
async function verify(saml: SAML, xml: string): Promise<unknown> {
  const SAMLResponse = Buffer.from(xml, 'utf8').toString('base64');
  let profile: Profile | null;
  try {
    ({ profile } = await saml.validatePostResponseAsync({ SAMLResponse }));
  } catch (cause) {
    throw invalid('could not be verified', { cause });
  }
  return profile?.getAssertion?.().Assertion;
}

function signingCertificate(pem: string, name: string): string {
  const at = `A certificate of login.providers.${name}.saml`;
  const [certificate, another] = pem.match(/-----BEGIN CERTIFICATE-----[^-]+-----END CERTIFICATE-----/g) ?? [];
  if (certificate === undefined || another !== undefined) {
    throw new Error(`${at} is not one certificate in PEM. Name a file for each, without those that signed it.`);
  }
  let parsed: X509Certificate;
  try {
    parsed = new X509Certificate(certificate);
  } catch (cause) {
    throw new Error(`${at} can not be read.`, { cause });
  }
  const { asymmetricKeyType, asymmetricKeyDetails } = parsed.publicKey;
  if (asymmetricKeyType !== 'rsa' || (asymmetricKeyDetails?.modulusLength ?? 0) < LEAST_KEY_BITS) {
    throw new Error(`${at} has no RSA key of at least ${LEAST_KEY_BITS} bits.`);
  }
  return parsed.toString();
}
