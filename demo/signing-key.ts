import { createPrivateKey, generateKeyPairSync, type KeyObject, randomUUID } from 'node:crypto';
import { link, mkdir, open, readFile, rm, stat } from 'node:fs/promises';
import { dirname } from 'node:path';
import { z } from 'zod';

const SigningKey = z.strictObject({
  kty: z.literal('EC'),
  crv: z.literal('P-256'),
  x: z.base64url(),
  y: z.base64url(),
  d: z.base64url(),
});

/** An ES256 private key as a JWK (RFC 7518, section 6.2). Secret. */
export type SigningKey = z.infer<typeof SigningKey>;

/** A new key, or the one in `file`, which is created with mode 0600 where there is none. */
export async function signingKey(file?: string): Promise<SigningKey> {
  if (file === undefined) return generate();
  return (await read(file)) ?? (await create(file));
}

function generate(): SigningKey {
  const { privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
  return SigningKey.parse(privateKey.export({ format: 'jwk' }));
}

async function read(file: string): Promise<SigningKey | undefined> {
  let text: string;
  try {
    // Windows has no mode bits: there the data directory's own access list is the guard.
    if (process.platform !== 'win32' && ((await stat(file)).mode & 0o077) !== 0)
      throw new Error(`The signing key ${file} is open to other users of this machine. Run: chmod 600 ${file}`);
    text = await readFile(file, 'utf8');
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return undefined;
    throw error;
  }
  try {
    const key = SigningKey.parse(JSON.parse(text));
    assertUsable(createPrivateKey({ format: 'jwk', key }));
    return key;
  } catch {
    // No cause: a parser's message may quote what it read, and this is a secret.
    throw new Error(
      `The signing key ${file} is not an ES256 private key in JWK form. ` +
        'Delete it to get a new one; tokens that are out then stop working.',
    );
  }
}

function assertUsable(key: KeyObject): void {
  if (key.asymmetricKeyDetails?.namedCurve !== 'prime256v1') throw new Error('not P-256');
}

async function create(file: string): Promise<SigningKey> {
  const key = generate();
  await mkdir(dirname(file), { recursive: true, mode: 0o700 });
  const draft = `${file}.${randomUUID()}`;
  const handle = await open(draft, 'wx', 0o600);
  try {
    await handle.writeFile(`${JSON.stringify(key)}\n`);
    await handle.sync();
    await handle.close();
    // A link either appears whole or fails: a crash leaves no torn key, and of two starts at once one wins.
    await link(draft, file);
    return key;
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'EEXIST') {
      const theirs = await read(file);
      if (theirs !== undefined) return theirs;
    }
    throw error;
  } finally {
    await handle.close();
    await rm(draft, { force: true });
  }
}
