/** The keyring of a configuration: of the secrets that all replicas share, or of this gateway's own disk. */
import type { Config } from '../config.ts';
import { createGoogleApi } from '../google-api.ts';
import { createGoogleSecrets } from '../google-secret.ts';
import { readSecret } from '../secret-ref.ts';
import { createKeyring, type Keyring, LEAST_SECRET_BYTES } from './keyring.ts';

/** References to the secrets that replicas share, and the key of the configuration that names them. Empty where none does. */
export function sharedSecrets({ secrets, login }: Pick<Config, 'secrets' | 'login'>): {
  readonly references: readonly string[];
  readonly key: string;
} {
  return secrets.length > 0
    ? { references: secrets, key: 'secrets' }
    : { references: login?.secrets ?? [], key: 'login.secrets' };
}

/** Throws in words, without a secret in them, where a secret can't be used. `ownSecret`: of this gateway's own disk. */
export async function openKeyring(config: Config, ownSecret: Buffer): Promise<Keyring> {
  const { references, key } = sharedSecrets(config);
  if (references.length === 0) return createKeyring([ownSecret]);
  const secrets = createGoogleSecrets(createGoogleApi({ google: config.google }));
  const read = await Promise.all(references.map((ref) => readSecret(ref, { secrets })));
  const bytes = read.map(({ value }) => Buffer.from(value));
  const short = bytes.findIndex((one) => one.length < LEAST_SECRET_BYTES);
  if (short >= 0) {
    throw new Error(
      `${key}.${short} names a secret of less than ${LEAST_SECRET_BYTES} bytes. Make one: openssl rand -base64 48.`,
    );
  }
  const twice = bytes.findIndex((one, index) => bytes.findIndex((other) => other.equals(one)) < index);
  if (twice >= 0) {
    const first = bytes.findIndex((one) => one.equals(bytes[twice] ?? one));
    throw new Error(`${key}.${twice} names the same secret as ${key}.${first}. Take one of the two out.`);
  }
  return createKeyring(bytes);
}
