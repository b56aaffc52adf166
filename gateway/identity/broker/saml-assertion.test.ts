/** What is checked twice, by node-saml and here, is tested here: signed answers are in saml.test.ts. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { LoginRefused } from './identity-provider.ts';
import { type Assertion, readAssertion } from './saml-assertion.ts';

const EXPECTED = {
  issuer: 'https://idp.example.com',
  audience: 'https://mcp.example.com/oauth/saml/corp',
  callback: 'https://mcp.example.com/oauth/callback/corp',
  request: '_request',
  now: Date.parse('2026-11-22T10:00:00Z'),
};

interface Given {
  readonly conditions?: Readonly<Record<string, string>>;
  readonly confirmation?: Readonly<Record<string, string>>;
}

const END = { NotOnOrAfter: '2026-11-22T10:05:00Z' };

/** As xml2js writes it. */
function read({ conditions = END, confirmation = END }: Given): Assertion {
  const data = { $: { Recipient: EXPECTED.callback, InResponseTo: EXPECTED.request, ...confirmation } };
  const bearer = { $: { Method: 'urn:oasis:names:tc:SAML:2.0:cm:bearer' }, SubjectConfirmationData: [data] };
  return readAssertion(
    {
      $: { ID: '_a', Version: '2.0' },
      Issuer: [{ _: EXPECTED.issuer }],
      Subject: [{ NameID: [{ _: 'ana' }], SubjectConfirmation: [bearer] }],
      Conditions: [{ $: conditions, AudienceRestriction: [{}] }],
      AuthnStatement: [''],
      AttributeStatement: [{ Attribute: [{ $: { Name: 'groups' }, AttributeValue: [{ _: 'a' }, ''] }] }, ''],
    },
    EXPECTED,
  );
}

test('a plain assertion is read', () => {
  assert.deepEqual(read({}), {
    id: '_a',
    until: EXPECTED.now + 360_000,
    nameId: { format: undefined, value: 'ana' },
    attributes: new Map([['groups', ['a', undefined]]]),
  });
});

test('times have to be there, in the one form that SAML has', (context) => {
  const zone = process.env.TZ;
  context.after(() => {
    if (zone === undefined) delete process.env.TZ;
    else process.env.TZ = zone;
  });
  // A time without a zone would be this machine's own.
  process.env.TZ = 'Asia/Tokyo';
  for (const written of ['2026-11-22T10:05:00', '2026-11-22T10:05:00.000Z', '2026-11-22T10:05:00.0000000Z']) {
    assert.equal(read({ conditions: { NotOnOrAfter: written } }).until, EXPECTED.now + 360_000, written);
  }
  for (const written of [
    undefined,
    '',
    'soon',
    '2026-11-22',
    '2026-11-22T10:05Z',
    'Sun, 22 Nov 2026 10:05:00 Z',
    '2026-11-22T10:05:00+00:00',
    '2026-11-22T25:05:00Z',
    '2026-11-22T09:58:00Z',
  ]) {
    const times = written === undefined ? {} : { NotOnOrAfter: written };
    for (const given of [{ conditions: times }, { confirmation: times }]) {
      assert.throws(
        () => read(given),
        (error) => error instanceof LoginRefused && error.code === 'answer_invalid',
        written,
      );
    }
  }
});

test('what is no assertion is refused', () => {
  for (const tree of [undefined, null, '', {}, [], { $: { ID: '_a', Version: '2.0' } }]) {
    assert.throws(() => readAssertion(tree, EXPECTED), LoginRefused);
  }
});
