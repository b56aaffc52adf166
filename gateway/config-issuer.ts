/** The section `issuers`: who signs tokens that are presented directly, and what their claims mean. */
import { z } from 'zod';
import { type ConfigProblem, nearest } from './config-problems.ts';
import { asArray, asRecord } from './config-shape.ts';
import { oneOf, safeUrl, section, text } from './config-values.ts';
import { compileExpression, type ExpressionType } from './identity/claims-expression.ts';

const claim = text(
  /^[\x21-\x7e]{1,128}$/,
  'is not the name of a claim',
  'Write the name of a claim, for example groups.',
);

/** A CEL expression that gives this type; it stays text here, and is compiled once for each configuration. */
const expression = (type: ExpressionType) =>
  z.unknown().transform((value, context): string => {
    const compiled = compileExpression(value, type);
    if (compiled.ok) return String(value);
    context.addIssue({ code: 'custom', message: compiled.problem, params: { fix: compiled.fix } });
    return z.NEVER;
  });

const MAX_ATTRIBUTES = 32;
const ATTRIBUTE = /^[a-z][A-Za-z0-9_]{0,62}$/;

const attributes = z.record(z.string(), expression('text')).superRefine((written, context) => {
  const add = (path: string[], message: string, fix: string) =>
    context.addIssue({ code: 'custom', message, path, params: { fix } });
  const names = Object.keys(written);
  if (names.length > MAX_ATTRIBUTES) add([], 'are too many', `Write at most ${MAX_ATTRIBUTES}.`);
  for (const name of names) {
    if (ATTRIBUTE.test(name)) continue;
    add([name], 'is not the name of an attribute', 'Write a lower-case letter, then up to 62 letters, digits or _.');
  }
});

const mapping = section({
  condition: expression('bool').optional(),
  subject: expression('text').optional(),
  groups: expression('texts').optional(),
  email: expression('text').optional(),
  owner: expression('text').optional(),
  onBehalfOf: expression('text').optional(),
  session: expression('text').optional(),
  attributes: attributes.optional(),
});

export const issuer = section({
  issuer: safeUrl,
  jwksUri: safeUrl.optional(),
  audience: z
    .array(text(/^[\x21-\x7e]{1,512}$/, 'is not an audience', 'Write the value of the aud claim.'))
    .default([]),
  typ: z
    .array(
      text(
        /^[A-Za-z0-9!#$&^_.+/-]{1,64}$/,
        'is not a token type',
        'Write for example at+jwt or JWT; none is for tokens without one.',
      ),
    )
    .min(1)
    .default(['at+jwt', 'application/at+jwt']),
  // Symmetric algorithms and none are not on the list on purpose: RFC 8725, section 3.1.
  algorithms: z
    .array(oneOf('ES256', 'ES384', 'ES512', 'RS256', 'RS384', 'RS512', 'PS256', 'PS384', 'PS512', 'EdDSA', 'Ed25519'))
    .min(1)
    .default(['ES256', 'RS256', 'EdDSA', 'PS256']),
  claims: section({
    subject: claim.default('sub'),
    email: claim.default('email'),
    groups: claim.default('groups'),
    session: claim.default('jti'),
    kind: claim.optional(),
  }).prefault({}),
  mapping: mapping.optional(),
  kind: oneOf('human', 'agent').default('human'),
});

/** Whose tokens a connection takes: names that are there, and never two that the same token could mean. */
export function issuerProblems(
  root: Record<string, unknown>,
  connection: Record<string, unknown>,
  path: readonly (string | number)[],
): ConfigProblem[] {
  const issuers = asRecord(root.issuers);
  const names = Object.keys(issuers);
  const known = names.length === 0 ? 'none' : names.join(', ');
  const one = connection.issuer;
  if (one !== undefined && connection.issuers !== undefined) {
    const fix = 'Write all of them under `issuers`, and no `issuer`.';
    return [{ path: [...path, 'issuer'], problem: 'says again what issuers says', fix }];
  }
  if (one === undefined && connection.issuers === undefined) {
    if (names.length < 2 || root.login !== undefined) return [];
    const fix = `There are several issuers: name one of ${known}.`;
    return [{ path: [...path, 'issuer'], problem: 'is missing', fix }];
  }
  const named = one === undefined ? asArray(connection.issuers) : [one];
  const at = (index: number) => (one === undefined ? [...path, 'issuers', index] : [...path, 'issuer']);
  if (named.length === 0 && Array.isArray(connection.issuers) && root.login === undefined) {
    const fix = `Nobody could enter: name some of ${known}, or let people log in at the gateway (\`login\`).`;
    return [{ path: [...path, 'issuers'], problem: 'is empty', fix }];
  }
  return named.flatMap((name, index) => {
    if (!names.includes(String(name))) {
      const near = nearest(String(name), names);
      const fix = near === undefined ? `Name one of issuers: ${known}.` : `Did you mean ${near}?`;
      return [{ path: at(index), problem: 'is not one of the issuers', fix }];
    }
    const { issuer, mapping } = asRecord(issuers[String(name)]);
    const twins = named.filter((other) => other !== name && asRecord(issuers[String(other)]).issuer === issuer);
    if (twins.length === 0 || asRecord(mapping).condition !== undefined) return [];
    const fix = 'Give each of them a mapping.condition, so that a token is of exactly one.';
    return [{ path: at(index), problem: 'has the same issuer as another of this connection', fix }];
  });
}
