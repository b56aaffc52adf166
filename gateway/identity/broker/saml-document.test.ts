import assert from 'node:assert/strict';
import { test } from 'node:test';
import { LoginRefused } from './identity-provider.ts';
import { MAX_SAML_RESPONSE, readDocument, type SamlDocument } from './saml-document.ts';

const CALLBACK = new URL('https://mcp.example.com/oauth/callback/corp');

function read(xml: string | Uint8Array): SamlDocument {
  return readForm({ SAMLResponse: Buffer.from(xml).toString('base64') });
}

function readForm(form: ConstructorParameters<typeof URLSearchParams>[0]): SamlDocument {
  return readDocument({ url: CALLBACK, form: new URLSearchParams(form) });
}

function refused(attempt: () => unknown, what: string): void {
  assert.throws(attempt, (error) => error instanceof LoginRefused && error.code === 'answer_invalid', what);
}

const response = (body: string, attributes = ''): string =>
  `<p:Response xmlns:p="urn:p"${attributes}>${body}</p:Response>`;
const c14n = 'http://www.w3.org/2001/10/xml-exc-c14n#';

test('what surrounds the assertion is read', () => {
  const xml = response(
    `<Issuer>a&amp;b</Issuer><p:Status><p:StatusCode Value='ok'><p:StatusCode Value="no"/></p:StatusCode></p:Status>
     <Assertion ID="a"><Issuer>c</Issuer><Signature/></Assertion>`,
    ' Destination="https://x/?a=1&#38;b=2" InResponseTo = "_q"',
  );
  const expected = {
    signed: false,
    destination: 'https://x/?a=1&b=2',
    inResponseTo: '_q',
    issuer: 'a&b',
    status: 'ok',
  };
  assert.deepEqual(read(xml), { xml, ...expected });
  assert.equal(read(response('<Signature/>')).signed, true);
  const least = {
    signed: false,
    destination: undefined,
    inResponseTo: undefined,
    issuer: undefined,
    status: undefined,
  };
  assert.deepEqual(read('<Response/>'), { xml: '<Response/>', ...least });
  for (const around of [
    `<?xml version='1.0'?>\n<Response/>\n`,
    '\ufeff<Response/>',
    '<Response />',
    '<Response\n></Response >',
  ]) {
    assert.deepEqual(read(around), { xml: around.replace('\ufeff', ''), ...least }, around);
  }
});

test('base64 may have lines; the form has one response, of a size', () => {
  const lines = Buffer.from(response('')).toString('base64').replace(/.{20}/g, '$&\r\n');
  assert.equal(readForm({ SAMLResponse: lines }).xml, response(''));
  const text = response('x'.repeat(MAX_SAML_RESPONSE * 0.75 - 60));
  assert.equal(read(text).xml, text);
  refused(() => read(response('x'.repeat(MAX_SAML_RESPONSE * 0.75))), 'size');
  for (const form of [
    '',
    'SAMLResponse=',
    'SAMLResponse=PFJlc3BvbnNlLz4%3D&SAMLResponse=PFJlc3BvbnNlLz4%3D',
    'SAMLResponse=PFJlc3BvbnNlLz4',
    'SAMLResponse=PFJlc3BvbnNlLz4-',
    'SAMLResponse=PFJlc3B*bnNlLz4%3D',
    'SAMLRequest=PFJlc3BvbnNlLz4%3D',
  ]) {
    refused(() => readForm(form), form);
  }
  refused(() => readDocument({ url: new URL(`${CALLBACK.href}?SAMLResponse=PFJlc3BvbnNlLz4%3D`) }), 'no form');
  refused(() => read(Buffer.from(response('\xff'), 'latin1')), 'not UTF-8');
  refused(() => read(Buffer.from(response(''), 'utf16le')), 'UTF-16');
});

test('XML that is more than elements, attributes and text is refused', () => {
  const bodies = {
    comment: '<!-- -->',
    CDATA: '<![CDATA[x]]>',
    instruction: '<?x?>',
    'late declaration': '<?xml version="1.0"?>',
    'unknown reference': '&x;',
    'bare ampersand': 'R&D',
    'reference without end': '&amp',
    'reference to NUL': '&#0;',
    'reference to a surrogate': '&#xD800;',
    'reference beyond Unicode': '&#x110000;',
    'reference in an attribute': '<a b="&x;"/>',
    'control character': '\u0000',
    'open element': '<a>',
    'closed twice': '<a></a></a>',
    crossed: '<a><b></a></b>',
    'another prefix': '<x:a></y:a>',
    'less-than in an attribute': '<a b="<"/>',
    unquoted: '<a b=c/>',
    'attribute without value': '<a b/>',
    'attribute twice': '<a b="" b=""/>',
    'two attributes in one': '<a b=""c=""/>',
    'attribute of an end': '<a></a b="">',
    'empty end': '<a></a/>',
    'no name': '<>',
    'not closed': '<a ',
    'name with two prefixes': '<a:b:c/>',
  };
  for (const [what, body] of Object.entries(bodies)) refused(() => read(response(body)), what);
  for (const xml of [
    '',
    'text',
    'x<Response/>',
    '<Response/>x',
    '<Response/><Response/>',
    '<!DOCTYPE Response><Response/>',
    '<!DOCTYPE Response [<!ENTITY x "y">]><Response/>',
    '<LogoutResponse/>',
    '<a><Response/></a>',
    '</Response>',
    '<Response>',
    '<Response><a/>',
  ]) {
    refused(() => read(xml), xml);
  }
});

test('what wrapping and weak signatures are made of is refused', () => {
  const bodies = {
    'two assertions': '<Assertion/><x:Assertion/>',
    'an assertion in another': '<Assertion><Advice><Assertion/></Advice></Assertion>',
    'a response inside': '<Response/>',
    'three signatures': '<Signature/><Assertion><Signature/></Assertion><Signature/>',
    'an object': '<Signature><Object/></Signature>',
    'one id twice': '<a ID="x"/><b ID="x"/>',
    'one id by two names': '<a ID="x"/><b xml:id="x"/>',
    encrypted: '<EncryptedAssertion/>',
    'an encrypted name': '<Assertion><EncryptedID/></Assertion>',
    'SHA-1': '<SignatureMethod Algorithm="http://www.w3.org/2000/09/xmldsig#rsa-sha1"/>',
    'a digest by SHA-1': '<DigestMethod Algorithm="http://www.w3.org/2000/09/xmldsig#sha1"/>',
    'a keyed hash': '<SignatureMethod Algorithm="http://www.w3.org/2000/09/xmldsig#hmac-sha1"/>',
    XSLT: '<Transform Algorithm="http://www.w3.org/TR/1999/REC-xslt-19991116"/>',
    'inclusive canonical form': '<Transform Algorithm="http://www.w3.org/TR/2001/REC-xml-c14n-20010315"/>',
  };
  for (const [what, body] of Object.entries(bodies)) refused(() => read(response(body)), what);
  read(response(`<Signature/><Assertion ID="a"><Signature><Transform Algorithm="${c14n}"/></Signature></Assertion>`));
});

test('what costs the libraries behind it more than a moment is refused', () => {
  const nested = (depth: number): string => '<a>'.repeat(depth) + '</a>'.repeat(depth);
  const many = (count: number): string => Array.from({ length: count }, (_, index) => ` a${index}=""`).join('');
  read(response('<a/>'.repeat(999)));
  refused(() => read(response('<a/>'.repeat(1000))), 'siblings');
  refused(() => read(response('<a/>'.repeat(45_000))), 'a minute of siblings');
  read(response(nested(23)));
  refused(() => read(response(nested(24))), 'depth');
  read(response(`<a${many(16)}/>`));
  refused(() => read(response(`<a${many(17)}/>`)), 'attributes');
  read(response(`<a${many(4)}/>`.repeat(999)));
  refused(() => read(response(`<a${many(16)}/>`.repeat(250))), 'attributes in all');
  for (const [what, body] of Object.entries({
    'open tags': '<'.repeat(190_000),
    'spaces in a tag': `<a${' '.repeat(190_000)}`,
    'attributes that never end': `<a${' b=""'.repeat(30_000)}`,
    quotes: `<a b="${"'".repeat(190_000)}`,
    ampersands: '&'.repeat(190_000),
    references: '&#1'.repeat(60_000),
    names: `<${'a:'.repeat(90_000)}`,
  })) {
    refused(() => read(response(body)), what);
  }
});
