/** What a mask looks for. */

export const BUILT_IN = ['email', 'phone', 'card', 'iban', 'ssn', 'ip', 'secret', 'privateKey', 'jwt'] as const;

export type BuiltIn = (typeof BUILT_IN)[number];

/** A built-in detector, or a named pattern of the policies (`patterns:`), compiled on a linear-time engine. */
export type Detector =
  | { readonly name: BuiltIn }
  | { readonly name: string; readonly pattern: { find(text: string): readonly { start: number; end: number }[] } };

/** Where in a text, in UTF-16 units. */
export interface Finding {
  readonly start: number;
  readonly end: number;
  readonly detector: string;
}
