/**
 * What a verified assertion says, and whether it was made for this login (SAML 2.0 profiles, section 4.1.4.3). node-saml
 * leaves out what is checked here: the issuer (it compares it at logout alone), Recipient, that the signed part itself
 * names the request (a response around it may be anybody's), and times by the gateway's own clock.
 */
import { z } from 'zod';
import { invalid } from './saml-refusal.ts';

export interface Expected {
  readonly issuer: string;
  readonly audience: string;
  /** Where this login's answer had to be sent. */
  readonly callback: string;
  /** The id of this login's request. */
  readonly request: string;
  /** Milliseconds since the epoch. */
  readonly now: number;
}

export interface Assertion {
  readonly id: string;
  /** From here on it is refused anyway: milliseconds since the epoch. */
  readonly until: number;
  /** Seconds since the epoch: when the person proved who they are. Of several the first. */
  readonly authenticated?: number;
  readonly nameId: { readonly format: string | undefined; readonly value: string };
  /** Every value of an attribute, in order; `undefined` for what is not a text. Elements of one name count as one. */
  readonly attributes: ReadonlyMap<string, readonly (string | undefined)[]>;
}

/** Clocks of identity provider and gateway may differ that much. */
const SKEW = 60_000;
const BEARER = 'urn:oasis:names:tc:SAML:2.0:cm:bearer';

/** xml2js makes a text of an element that has nothing in it, and a list of every element that has others beside it. */
const element = <S extends z.ZodRawShape>(shape: S) =>
  z.preprocess((value) => (typeof value === 'string' ? {} : value), z.looseObject(shape));
const attributes = z.record(z.string(), z.string()).default({});
const validity = element({ $: attributes });

const schema = z.object({
  $: z.object({ ID: z.string().min(1).max(1024), Version: z.literal('2.0') }),
  Issuer: z.tuple([z.object({ _: z.string() })]),
  Subject: z.tuple([
    z.object({
      NameID: z.tuple([z.object({ $: attributes, _: z.string() })]),
      SubjectConfirmation: z
        .array(element({ $: attributes, SubjectConfirmationData: z.tuple([validity]).optional() }))
        .min(1),
    }),
  ]),
  // A condition that is not known makes the assertion's validity indeterminate (core, section 2.5.1.1).
  Conditions: z.tuple([
    z.strictObject({
      $: attributes,
      AudienceRestriction: z.array(z.unknown()).min(1),
      OneTimeUse: z.array(z.unknown()).optional(),
      ProxyRestriction: z.array(z.unknown()).optional(),
    }),
  ]),
  AuthnStatement: z.array(validity).min(1),
  AttributeStatement: z
    .array(
      element({
        Attribute: z
          .array(element({ $: z.looseObject({ Name: z.string() }), AttributeValue: z.array(z.unknown()).default([]) }))
          .default([]),
      }),
    )
    .default([]),
});

/** `tree` is xml2js's of the verified bytes. Throws `LoginRefused` `answer_invalid`. */
export function readAssertion(tree: unknown, expected: Expected): Assertion {
  const parsed = schema.safeParse(tree);
  if (!parsed.success) throw invalid('lacks what a login needs, or has it twice');
  const { $, Issuer, Subject, Conditions, AuthnStatement, AttributeStatement } = parsed.data;
  if (Issuer[0]._ !== expected.issuer) throw invalid('is of another identity provider');

  const [{ NameID, SubjectConfirmation }] = Subject;
  const [nameId] = NameID;
  const until = timeOf(Conditions[0].$, 'NotOnOrAfter');
  if (until === undefined) throw invalid('does not say how long it is valid');
  checkTimes(Conditions[0].$, expected.now);
  for (const { $: times } of AuthnStatement) {
    checkEnd(timeOf(times, 'SessionNotOnOrAfter'), expected.now);
  }
  const instants = AuthnStatement.flatMap(({ $: times }) => timeOf(times, 'AuthnInstant') ?? []);
  confirm(SubjectConfirmation, expected);
  checkQualifiers(nameId.$, expected);

  return {
    id: $.ID,
    until: until + SKEW,
    ...(instants.length === 0 ? {} : { authenticated: Math.min(...instants) / 1000 }),
    nameId: { format: nameId.$.Format, value: nameId._ },
    attributes: gather(AttributeStatement.flatMap(({ Attribute }) => Attribute)),
  };
}

type Times = Readonly<Record<string, string>>;
type Confirmation = z.output<typeof schema>['Subject'][0]['SubjectConfirmation'][number];

/** Other methods may stand beside it; two of this one would be two opinions on what this login is. */
function confirm(confirmations: readonly Confirmation[], expected: Expected): void {
  const [bearer, another] = confirmations.filter(({ $ }) => $.Method === BEARER);
  if (bearer === undefined || another !== undefined) throw invalid('is not for whoever brings it');
  const data: Times = bearer.SubjectConfirmationData?.[0].$ ?? {};
  if (data.Recipient !== expected.callback) throw invalid('was made for another address');
  if (data.InResponseTo !== expected.request) throw invalid('is not to this login');
  if (data.NotOnOrAfter === undefined) throw invalid('does not say how long it is valid');
  checkTimes(data, expected.now);
}

function checkTimes(times: Times, now: number): void {
  const from = timeOf(times, 'NotBefore');
  if (from !== undefined && now + SKEW < from) {
    throw invalid("is not valid yet: the gateway's clock and the identity provider's differ");
  }
  checkEnd(timeOf(times, 'NotOnOrAfter'), now);
}

function checkEnd(end: number | undefined, now: number): void {
  if (end !== undefined && now - SKEW >= end) throw invalid('has expired');
}

/** Times are UTC, whether or not they say so with a Z (core, section 1.3.3). */
function timeOf(times: Times, name: string): number | undefined {
  const written = times[name];
  if (written === undefined) return undefined;
  const time = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,9})?Z?$/.test(written)
    ? Date.parse(written.endsWith('Z') ? written : `${written}Z`)
    : Number.NaN;
  if (Number.isNaN(time)) throw invalid('has a time that is none');
  return time;
}

/**
 * A NameID is unique within its qualifiers alone. Those of others would let a provider that speaks for several
 * directories name two people alike.
 */
function checkQualifiers(name: Times, expected: Expected): void {
  const { NameQualifier = expected.issuer, SPNameQualifier = expected.audience } = name;
  if (NameQualifier !== expected.issuer || SPNameQualifier !== expected.audience) {
    throw invalid('names you as another system would');
  }
}

interface WrittenAttribute {
  readonly $: { readonly Name: string };
  readonly AttributeValue: readonly unknown[];
}

/** Some providers write an element for each value, others one with all of them. */
function gather(written: readonly WrittenAttribute[]): Map<string, (string | undefined)[]> {
  const gathered = new Map<string, (string | undefined)[]>();
  for (const { $, AttributeValue } of written) {
    const values = gathered.get($.Name) ?? [];
    gathered.set($.Name, values);
    values.push(...AttributeValue.map(textOf));
  }
  return gathered;
}

function textOf(value: unknown): string | undefined {
  if (typeof value !== 'object' || value === null) return undefined;
  // Elements inside are no text, whatever text stands around them.
  if (Object.keys(value).some((key) => key !== '_' && key !== '$')) return undefined;
  return '_' in value && typeof value._ === 'string' ? value._ : undefined;
}
