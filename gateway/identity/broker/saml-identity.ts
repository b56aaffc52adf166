/** Who an assertion is about. What is not known here refuses the login: a rule that denies a group would fail open. */
import type { SamlConfig } from '../../config-login.ts';
import { type BrokeredIdentity, LoginRefused } from './identity-provider.ts';
import type { Assertion } from './saml-assertion.ts';
import { invalid } from './saml-refusal.ts';

const FORMAT = 'urn:oasis:names:tc:SAML:';
const TRANSIENT = `${FORMAT}2.0:nameid-format:transient`;
/** `emailAddress` is reused where an address is: docs/identity/saml.md says what follows from that. */
const FORMATS: ReadonlySet<string> = new Set([
  `${FORMAT}2.0:nameid-format:persistent`,
  `${FORMAT}1.1:nameid-format:unspecified`,
  `${FORMAT}1.1:nameid-format:emailAddress`,
]);
/** Entra ID's, in the place of more than 150 groups. */
const GROUPS_LINK = 'http://schemas.microsoft.com/claims/groups.link';
const MAX_SUBJECT = 1024;
const ADDRESS = /^[^\s@\p{Cc}]{1,256}@[^\s@\p{Cc}]{1,253}$/u;

/** Throws `LoginRefused`. */
export function identityOf(assertion: Assertion, config: SamlConfig): BrokeredIdentity {
  const emails = assertion.attributes.get(config.emailAttribute) ?? [];
  // Of several none is the person's.
  const [email] = emails.length === 1 ? emails : [];
  return {
    issuer: config.entityId,
    subject: subjectOf(assertion),
    ...(email !== undefined && ADDRESS.test(email) ? { email } : {}),
    groups: groupsOf(assertion, config.groupsAttribute),
    ...(assertion.authenticated === undefined ? {} : { authenticated: assertion.authenticated }),
  };
}

function subjectOf({ nameId: { format, value } }: Assertion): string {
  if (format === TRANSIENT) {
    throw invalid('names you anew at each login (a transient NameID), so nothing could be said about you later');
  }
  if (format !== undefined && !FORMATS.has(format)) throw invalid('names you in a format that is not accepted here');
  if (value.trim() !== value || value.length > MAX_SUBJECT || /\p{Cc}/u.test(value)) {
    throw invalid('holds no name that could be yours');
  }
  return value;
}

function groupsOf({ attributes }: Assertion, name: string): readonly string[] {
  const unknown = (why: string) =>
    new LoginRefused(
      'groups_unknown',
      `Your groups are unknown: ${why}. Ask the identity provider's administrator to send them.`,
    );
  if (attributes.has(GROUPS_LINK)) throw unknown('there are too many for one answer');
  const groups = attributes.get(name);
  if (groups === undefined) throw unknown(`the identity provider's answer lacks the attribute ${name}`);
  if (!groups.every((group) => group !== undefined)) throw unknown(`the attribute ${name} is not a list of names`);
  return groups;
}
