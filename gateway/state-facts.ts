/**
 * Reading a state object that some version of Verbatim has written, perhaps a later one: several share a state store while they
 * are updated. What later versions add is passed over. Where they changed a meaning they raise `v`, and then nothing is guessed.
 */

/** What state objects of this version say as their `v`, and those before there was one do not say. */
const KNOWN = 1;

/** Throws in words where it is no object, or one of a later format. `name` is the object's. */
export function stateFacts<T extends object>(bytes: Uint8Array, name: string): T {
  const value: unknown = JSON.parse(Buffer.from(bytes).toString());
  if (typeof value !== 'object' || value === null) throw new Error(`State object ${name} holds no facts.`);
  const format = 'v' in value ? value.v : KNOWN;
  if (format !== KNOWN) {
    throw new Error(
      `State object ${name} has format ${String(format).slice(0, 20)}, and this version of Verbatim knows ${KNOWN}. Run the version that wrote it.`,
    );
  }
  return value as T;
}
