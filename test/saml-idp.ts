/**
 * A SAML 2.0 identity provider: real keys, signatures made with node:crypto over XML that is written in its canonical
 * form (exclusive C14N), so that nothing of the library that verifies them takes part. It logs in whoever comes, and it
 * misbehaves as it is told. `saml-attacks.ts` changes what it signed.
 */
import { createHash, sign } from 'node:crypto';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { inflateRawSync } from 'node:zlib';
import { type SelfSigned, selfSigned } from './self-signed.ts';

export const SAML = 'urn:oasis:names:tc:SAML:2.0:assertion';
export const SAMLP = 'urn:oasis:names:tc:SAML:2.0:protocol';
export const DS = 'http://www.w3.org/2000/09/xmldsig#';
const FORMAT = 'urn:oasis:names:tc:SAML:2.0:nameid-format:persistent';
const STATUS = 'urn:oasis:names:tc:SAML:2.0:status:';
const BEARER = 'urn:oasis:names:tc:SAML:2.0:cm:bearer';

/** What the identity provider read of a request. */
export interface SamlRequest {
  readonly xml: string;
  readonly id: string;
  readonly issuer: string;
  readonly acs: string;
  readonly relayState: string;
}

/** How an answer differs from a good one. `null` leaves something out. Texts are XML already. */
export interface SamlAnswer {
  readonly nameId?: string;
  readonly nameIdFormat?: string | null;
  /** Further attributes of NameID, canonical: sorted, with a space before each. */
  readonly nameIdQualifiers?: string;
  readonly attributes?: Readonly<Record<string, readonly string[]>>;
  readonly groups?: readonly string[];
  readonly signed?: 'assertion' | 'response' | 'both' | 'none';
  readonly algorithm?: 'sha1' | 'sha256' | 'sha512';
  /** Another key than the identity provider's own. */
  readonly key?: SelfSigned;
  readonly issuer?: string;
  readonly responseIssuer?: string | null;
  readonly audience?: string | null;
  readonly recipient?: string | null;
  readonly destination?: string | null;
  readonly inResponseTo?: string | null;
  /** In the signed assertion. */
  readonly subjectInResponseTo?: string | null;
  readonly method?: string;
  readonly assertionId?: string;
  /** Seconds from now. */
  readonly notBefore?: number;
  readonly notOnOrAfter?: number | null;
  readonly confirmationEnds?: number | null;
  readonly sessionEnds?: number;
  readonly authenticated?: boolean;
  /** A line for each element, as some products write. */
  readonly pretty?: boolean;
  /** Inside Conditions, behind the audience. */
  readonly conditions?: string;
  /** A status other than Success, without an assertion. */
  readonly status?: string;
  readonly statusWithAssertion?: string;
  /** Rewrites the assertion before it is signed; it has to stay canonical. */
  readonly rewrite?: (assertion: string) => string;
  /** After everything was signed. */
  readonly change?: (xml: string) => string;
}

export interface TestSamlIdp {
  readonly entityId: string;
  readonly entryPoint: string;
  readonly certificate: string;
  /** Signs from now on with another key. */
  rotate(): string;
  /** How answers of the server are from now on; what `answer` gets comes on top. */
  misbehave(how: SamlAnswer): void;
  read(url: string): SamlRequest;
  /** The form that a browser would post. */
  answer(request: SamlRequest, how?: SamlAnswer): URLSearchParams;
  close(): Promise<void>;
}

export async function startSamlIdp(now: () => number = Date.now): Promise<TestSamlIdp> {
  let own = selfSigned('identity provider');
  let always: SamlAnswer = {};
  let serial = 0;
  const server = createServer((request, response) => {
    const url = new URL(request.url ?? '/', 'http://localhost');
    if (url.pathname !== '/sso') return void response.writeHead(404).end();
    const asked = read(url.href);
    response.setHeader('content-type', 'text/html; charset=utf-8').end(page(asked.acs, answer(asked)));
  });
  await new Promise<void>((done) => server.listen(0, '127.0.0.1', done));
  const origin = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  const entityId = `${origin}/metadata`;

  function answer(request: SamlRequest, how: SamlAnswer = {}): URLSearchParams {
    serial++;
    const xml = write(request, { ...always, ...how }, { own, entityId, serial, now: now() });
    return new URLSearchParams({
      SAMLResponse: Buffer.from(xml).toString('base64'),
      RelayState: request.relayState,
    });
  }

  return {
    entityId,
    entryPoint: `${origin}/sso`,
    certificate: own.certificate,
    rotate() {
      own = selfSigned('identity provider, next');
      return own.certificate;
    },
    misbehave(how) {
      always = how;
    },
    read,
    answer,
    close: () => new Promise((done) => server.close(() => done())),
  };
}

function read(url: string): SamlRequest {
  const { searchParams } = new URL(url);
  const xml = inflateRawSync(Buffer.from(searchParams.get('SAMLRequest') ?? '', 'base64')).toString();
  const find = (pattern: RegExp): string => pattern.exec(xml)?.[1] ?? '';
  return {
    xml,
    id: find(/ ID="([^"]+)"/),
    issuer: find(/<saml:Issuer[^>]*>([^<]+)</),
    acs: find(/ AssertionConsumerServiceURL="([^"]+)"/),
    relayState: searchParams.get('RelayState') ?? '',
  };
}

interface World {
  readonly own: SelfSigned;
  readonly entityId: string;
  readonly serial: number;
  readonly now: number;
}

function write(request: SamlRequest, how: SamlAnswer, world: World): string {
  const { signed = 'assertion', key = world.own, algorithm = 'sha256', change = (xml: string) => xml } = how;
  const at = instant(world.now);
  const id = `_response${world.serial}`;
  const assertionId = how.assertionId ?? `_assertion${world.serial}`;
  const { rewrite = (xml: string) => xml } = how;
  const written = rewrite(assertion(request, how, world, assertionId));
  const plain = how.pretty === true ? written.replaceAll('><', '>\n<') : written;
  const inner = signed === 'assertion' || signed === 'both' ? signXml(plain, assertionId, key, algorithm) : plain;
  const responseIssuer = how.responseIssuer === undefined ? world.entityId : how.responseIssuer;
  const status = how.status ?? how.statusWithAssertion ?? `${STATUS}Success`;
  const response = [
    `<samlp:Response xmlns:samlp="${SAMLP}"`,
    attribute('Destination', how.destination, request.acs),
    ` ID="${id}"`,
    attribute('InResponseTo', how.inResponseTo, request.id),
    ` IssueInstant="${at}" Version="2.0">`,
    responseIssuer === null ? '' : `<saml:Issuer xmlns:saml="${SAML}">${responseIssuer}</saml:Issuer>`,
    `<samlp:Status><samlp:StatusCode Value="${status}"></samlp:StatusCode></samlp:Status>`,
    how.status === undefined ? inner : '',
    '</samlp:Response>',
  ].join('');
  return change(signed === 'response' || signed === 'both' ? signXml(response, id, key, algorithm) : response);
}

function assertion(request: SamlRequest, how: SamlAnswer, world: World, id: string): string {
  const { now, entityId } = world;
  const at = (seconds: number): string => instant(now + seconds * 1000);
  const format = how.nameIdFormat === undefined ? FORMAT : how.nameIdFormat;
  const audience = how.audience === undefined ? request.issuer : how.audience;
  const ends = (seconds: number | null | undefined): string =>
    seconds === null ? '' : ` NotOnOrAfter="${at(seconds ?? 300)}"`;
  const attributes = how.attributes ?? { email: ['ana@example.com'], groups: how.groups ?? ['analysts', 'staff'] };
  return [
    `<saml:Assertion xmlns:saml="${SAML}" ID="${id}" IssueInstant="${at(0)}" Version="2.0">`,
    `<saml:Issuer>${how.issuer ?? entityId}</saml:Issuer>`,
    `<saml:Subject><saml:NameID${format === null ? '' : ` Format="${format}"`}${how.nameIdQualifiers ?? ''}>`,
    `${how.nameId ?? '00u-ana'}</saml:NameID>`,
    `<saml:SubjectConfirmation Method="${how.method ?? BEARER}"><saml:SubjectConfirmationData`,
    attribute('InResponseTo', how.subjectInResponseTo, request.id),
    ends(how.confirmationEnds),
    attribute('Recipient', how.recipient, request.acs),
    '></saml:SubjectConfirmationData></saml:SubjectConfirmation></saml:Subject>',
    `<saml:Conditions NotBefore="${at(how.notBefore ?? -5)}"${ends(how.notOnOrAfter)}>`,
    audience === null
      ? ''
      : `<saml:AudienceRestriction><saml:Audience>${audience}</saml:Audience></saml:AudienceRestriction>`,
    `${how.conditions ?? ''}</saml:Conditions>`,
    how.authenticated === false ? '' : authentication(at(0), how.sessionEnds === undefined ? '' : at(how.sessionEnds)),
    attributeStatement(attributes),
    '</saml:Assertion>',
  ].join('');
}

function authentication(at: string, ends: string): string {
  return [
    `<saml:AuthnStatement AuthnInstant="${at}"${ends === '' ? '' : ` SessionNotOnOrAfter="${ends}"`}>`,
    '<saml:AuthnContext><saml:AuthnContextClassRef>urn:oasis:names:tc:SAML:2.0:ac:classes:X509',
    '</saml:AuthnContextClassRef></saml:AuthnContext></saml:AuthnStatement>',
  ].join('');
}

function attributeStatement(attributes: Readonly<Record<string, readonly string[]>>): string {
  const written = Object.entries(attributes).map(([name, values]) => {
    const all = values.map((value) => `<saml:AttributeValue>${value}</saml:AttributeValue>`);
    return `<saml:Attribute Name="${name}">${all.join('')}</saml:Attribute>`;
  });
  return written.length === 0 ? '' : `<saml:AttributeStatement>${written.join('')}</saml:AttributeStatement>`;
}

function attribute(name: string, asked: string | null | undefined, usual: string): string {
  return asked === null ? '' : ` ${name}="${asked ?? usual}"`;
}

function instant(milliseconds: number): string {
  return new Date(milliseconds).toISOString();
}

const DIGESTS = {
  sha1: `${DS}sha1`,
  sha256: 'http://www.w3.org/2001/04/xmlenc#sha256',
  sha512: 'http://www.w3.org/2001/04/xmlenc#sha512',
};
const SIGNATURES = {
  sha1: `${DS}rsa-sha1`,
  sha256: 'http://www.w3.org/2001/04/xmldsig-more#rsa-sha256',
  sha512: 'http://www.w3.org/2001/04/xmldsig-more#rsa-sha512',
};

/** Puts an enveloped signature behind the element's Issuer. `xml` is canonical and declares every prefix that it uses. */
function signXml(xml: string, id: string, { privateKey, certificate }: SelfSigned, hash: keyof typeof DIGESTS): string {
  const c14n = 'http://www.w3.org/2001/10/xml-exc-c14n#';
  const digest = createHash(hash).update(xml).digest('base64');
  const signedInfo = (declaration: string): string =>
    [
      `<ds:SignedInfo${declaration}><ds:CanonicalizationMethod Algorithm="${c14n}"></ds:CanonicalizationMethod>`,
      `<ds:SignatureMethod Algorithm="${SIGNATURES[hash]}"></ds:SignatureMethod><ds:Reference URI="#${id}">`,
      `<ds:Transforms><ds:Transform Algorithm="${DS}enveloped-signature"></ds:Transform>`,
      `<ds:Transform Algorithm="${c14n}"></ds:Transform></ds:Transforms>`,
      `<ds:DigestMethod Algorithm="${DIGESTS[hash]}"></ds:DigestMethod>`,
      `<ds:DigestValue>${digest}</ds:DigestValue></ds:Reference></ds:SignedInfo>`,
    ].join('');
  const value = sign(hash, Buffer.from(signedInfo(` xmlns:ds="${DS}"`)), privateKey).toString('base64');
  const der = certificate.replace(/-----[A-Z ]+-----|\s/g, '');
  const signature = [
    `<ds:Signature xmlns:ds="${DS}">${signedInfo('')}<ds:SignatureValue>${value}</ds:SignatureValue>`,
    `<ds:KeyInfo><ds:X509Data><ds:X509Certificate>${der}</ds:X509Certificate></ds:X509Data></ds:KeyInfo>`,
    '</ds:Signature>',
  ].join('');
  return xml.replace('</saml:Issuer>', () => `</saml:Issuer>${signature}`);
}

/** What a browser with scripts posts by itself. */
function page(acs: string, form: URLSearchParams): string {
  const inputs = [...form].map(([name, value]) => `<input type="hidden" name="${name}" value="${escaped(value)}">`);
  return [
    `<!doctype html><html lang="en"><title>Identity provider</title>`,
    `<body onload="document.forms[0].submit()"><form method="post" action="${escaped(acs)}">`,
    `${inputs.join('')}<button>Go on</button></form></body></html>`,
  ].join('');
}

function escaped(text: string): string {
  return text.replaceAll('&', '&amp;').replaceAll('"', '&quot;').replaceAll('<', '&lt;');
}
