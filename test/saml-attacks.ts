/**
 * What an attacker does to an answer that a real identity provider signed. Wrapping: the signed assertion stays in the
 * document for the signature to verify, and another one stands where a careless reader looks. The numbers are those of
 * "On Breaking SAML: Be Whoever You Want to Be" (Somorovsky et al., USENIX Security 2012).
 */
import { DS, SAML, SAMLP } from './saml-idp.ts';

/** Who the attacker wants to be. */
export const EVE = '00u-eve';

type Attack = (xml: string) => string;

interface Parts {
  readonly signed: string;
  readonly signature: string;
  readonly unsigned: string;
  readonly evil: string;
}

function partsOf(xml: string): Parts {
  const [signed = ''] = /<saml:Assertion .*<\/saml:Assertion>/s.exec(xml) ?? [];
  const [signature = ''] = /<ds:Signature .*<\/ds:Signature>/s.exec(signed) ?? [];
  const unsigned = signed.replace(signature, '');
  return { signed, signature, unsigned, evil: evilOf(unsigned) };
}

function evilOf(xml: string): string {
  return xml.replace(/ ID="[^"]+"/, ' ID="_evil"').replace(/(<saml:NameID[^>]*>)[^<]+/, `$1${EVE}`);
}

function instead(replace: (parts: Parts) => string): Attack {
  return (xml) => {
    const parts = partsOf(xml);
    return xml.replace(parts.signed, () => replace(parts));
  };
}

const withSignature = (assertion: string, signature: string): string =>
  assertion.replace('</saml:Issuer>', () => `</saml:Issuer>${signature}`);
const inside = (assertion: string, more: string): string =>
  assertion.replace('</saml:Assertion>', () => `${more}</saml:Assertion>`);
const inSignature = (signature: string, more: string): string =>
  signature.replace('</ds:Signature>', () => `${more}</ds:Signature>`);
const sameId = (evil: string, of: string): string => evil.replace(' ID="_evil"', / ID="[^"]+"/.exec(of)?.[0] ?? '');

/** For answers with a signed assertion. */
export const WRAPPINGS: Readonly<Record<string, Attack>> = {
  'XSW3, before': instead(({ evil, signed }) => evil + signed),
  behind: instead(({ evil, signed }) => signed + evil),
  'XSW4, around': instead(({ evil, signed }) => inside(evil, signed)),
  'XSW5, its signature': instead(({ evil, signature, unsigned }) => withSignature(evil, signature) + unsigned),
  'XSW6, in its signature': instead(({ evil, signature, unsigned }) =>
    withSignature(evil, inSignature(signature, unsigned)),
  ),
  'XSW7, in extensions': instead(
    ({ evil, signed }) =>
      `<samlp:Extensions xmlns:samlp="${SAMLP}">${sameId(evil, signed)}</samlp:Extensions>${signed}`,
  ),
  'the signed one in extensions': instead(
    ({ evil, signed }) => `<samlp:Extensions xmlns:samlp="${SAMLP}">${signed}</samlp:Extensions>${evil}`,
  ),
  'XSW8, in an object': instead(({ evil, signature, unsigned }) =>
    withSignature(evil, inSignature(signature, `<ds:Object xmlns:ds="${DS}">${unsigned}</ds:Object>`)),
  ),
  'the same id': instead(({ evil, signed }) => sameId(evil, signed) + signed),
  'in advice': instead(({ evil, signed }) => inside(evil, `<saml:Advice xmlns:saml="${SAML}">${signed}</saml:Advice>`)),
  'under another name': instead(({ evil, signed }) => evil + signed.replace(/saml:Assertion/g, 'saml:Evidence')),
};

/** For answers that are signed as a whole. */
export const RESPONSE_WRAPPINGS: Readonly<Record<string, Attack>> = {
  'XSW1, in its signature': (xml) => aroundResponse(xml, (signature, whole) => inSignature(signature, whole)),
  'XSW2, beside its signature': (xml) => aroundResponse(xml, (signature, whole) => signature + whole),
};

function aroundResponse(xml: string, place: (signature: string, whole: string) => string): string {
  const [signature = ''] = /<ds:Signature .*?<\/ds:Signature>/s.exec(xml) ?? [];
  const whole = xml.replace(signature, '');
  const { evil } = partsOf(whole);
  return whole
    .replace(/ ID="[^"]+"/, ' ID="_outer"')
    .replace(/<saml:Assertion .*<\/saml:Assertion>/s, () => evil)
    .replace('</saml:Issuer>', () => `</saml:Issuer>${place(signature, whole)}`);
}

/** Changes to what was signed, or to the signature. */
export const TAMPERINGS: Readonly<Record<string, Attack>> = {
  'another name': (xml) => xml.replace('00u-ana', EVE),
  'another group': (xml) => xml.replace('>analysts<', '>admins<'),
  'one group more': (xml) =>
    xml.replace('<saml:AttributeValue>', '<saml:AttributeValue>admins</saml:AttributeValue><saml:AttributeValue>'),
  'without its signature': (xml) => xml.replace(/<ds:Signature .*<\/ds:Signature>/s, ''),
  'with the signature of nothing': (xml) => xml.replace(/URI="#[^"]+"/, 'URI=""'),
  'with another signature value': (xml) => xml.replace(/<ds:SignatureValue>.{8}/, '<ds:SignatureValue>AAAAAAAA'),
  'with the signature twice': (xml) => xml.replace(/<ds:Signature .*<\/ds:Signature>/s, (whole) => whole + whole),
  'with a keyed hash for a signature': (xml) =>
    xml.replace('http://www.w3.org/2001/04/xmldsig-more#rsa-sha256', `${DS}hmac-sha1`),
};

/** What two parsers may read differently, what expands, and what is too much. */
export const MARKUP: Readonly<Record<string, Attack>> = {
  'a comment in the name': (xml) => xml.replace('00u-ana', '00u-<!-- -->ana'),
  'CDATA in the name': (xml) => xml.replace('00u-ana', '00u-<![CDATA[ana]]>'),
  'a processing instruction': (xml) => xml.replace('00u-ana', '00u-<?a b?>ana'),
  'a DTD': (xml) => `<!DOCTYPE samlp:Response>${xml}`,
  'an external entity': (xml) =>
    `<!DOCTYPE r [<!ENTITY x SYSTEM "file:///etc/passwd">]>${xml.replace('00u-ana', '00u-&x;')}`,
  'entities that expand': (xml) =>
    `<!DOCTYPE r [<!ENTITY a "aaaaaaaaaa"><!ENTITY b "&a;&a;&a;&a;">]>${xml.replace('00u-ana', '&b;')}`,
  'more than it may be': (xml) => xml.replace('</samlp:Status>', `</samlp:Status>${' '.repeat(200_000)}`),
  'more elements than it may have': (xml) => xml.replace('</samlp:Status>', `${'<a/>'.repeat(1000)}</samlp:Status>`),
  'an entity of no DTD': (xml) => xml.replace('00u-ana', '00u-&nbsp;ana'),
};
