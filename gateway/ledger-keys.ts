/**
 * The keys of a disk's ledger: the disk's own, and key versions of Cloud KMS. Public keys of versions are kept on the disk,
 * so that a start needs KMS once for each version and never again.
 *
 *     keys/ledger.pem     the disk's own key; where KMS signs from the beginning there is none
 *     keys/kms.json       versions that signed or may sign, with their public keys
 */
import { generateKeyPairSync } from 'node:crypto';
import { join } from 'node:path';
import { z } from 'zod';
import type { Config } from './config.ts';
import type { Disk } from './disk.ts';
import { readIfThere, writeDurably } from './durable-file.ts';
import { type GoogleKms, KmsError, type KmsVersion } from './google-kms.ts';
import { keyNameOf } from './ledger/checkpoint.ts';
import { keyInForce } from './ledger/keys.ts';
import { createLocalSigner, type Signer } from './ledger/signer.ts';
import { readOpened } from './ledger-opened.ts';
import type { Signers } from './recording/ledger-signing.ts';
import { createWriteAhead } from './recording/write-ahead.ts';

/** `describe` says for a log which key it is: a version's name, or the disk's file. */
export type LedgerKeys = Required<Signers> & { describe(verifierKey: string): string };

const versions = z.looseObject({
  v: z.literal(1),
  versions: z.array(z.looseObject({ version: z.string(), publicKey: z.base64() })),
});

export async function openLedgerKeys(deps: {
  readonly disk: Pick<Disk, 'path' | 'ledger'>;
  readonly signing: Config['signing'];
  readonly kms: GoogleKms;
}): Promise<LedgerKeys> {
  const { disk, signing, kms } = deps;
  const name = keyNameOf(disk.ledger);
  const file = diskKeyFile(disk.path);
  const known = new Map<string, { signer: Signer; from: string }>();
  const add = (signer: Signer, from: string): Signer => {
    known.set(signer.verifierKey, { signer, from });
    return signer;
  };
  const pem = await readIfThere(file);
  let own = pem === undefined ? undefined : add(createLocalSigner(name, pem.toString()), file);
  const kept = await readVersions(disk.path);
  for (const key of kept) add(kms.signer(name, key), key.version);

  let signer: Signer | undefined;
  if (signing !== undefined) {
    const there = kept.find(({ version }) => version === signing.kms);
    const key = there ?? (await fetchKey(kms, signing.kms));
    if (there === undefined) await keepVersions(disk.path, [...kept, key]);
    signer = add(kms.signer(name, key), key.version);
  }

  const first = await readOpened(disk.path);
  if (first !== undefined) {
    const state = await createWriteAhead(disk.path).readState();
    const keys = state?.keys ?? [];
    const inForce = keyInForce(keys, state?.checkpointed ?? 0)?.verifierKey ?? first.verifierKey ?? own?.verifierKey;
    // A new key in its place could not announce itself: every checkpoint from here on would be a stranger's.
    if (inForce === undefined || !known.has(inForce) || keys.some(({ verifierKey }) => !known.has(verifierKey))) {
      throw new Error(
        `A key that signs this ledger is missing from a disk that has been in use: ${file} or ${versionsFile(disk.path)} is not there, or not as it was. Restore it.`,
      );
    }
  }
  if (signer === undefined) {
    own ??= add(await makeDiskKey(name, file), file);
    signer = own;
  }
  return {
    signer,
    firstKey: first?.verifierKey ?? (first === undefined ? undefined : own?.verifierKey) ?? signer.verifierKey,
    formerSigner: (verifierKey) => known.get(verifierKey)?.signer,
    describe: (verifierKey) => known.get(verifierKey)?.from ?? 'a key that is not known here',
  };
}

/**
 * What signs on a disk that has no key of its own, for who has the disk and not its configuration: the version of Cloud
 * KMS that was kept last. `undefined` where there is a key on the disk: those that come into force besides it are known.
 */
export async function keptSigning(path: string): Promise<Config['signing']> {
  if ((await readIfThere(diskKeyFile(path))) !== undefined) return undefined;
  const last = (await readVersions(path)).at(-1);
  return last === undefined ? undefined : { kms: last.version };
}

function diskKeyFile(path: string): string {
  return join(path, 'keys', 'ledger.pem');
}

async function makeDiskKey(name: string, file: string): Promise<Signer> {
  const pem = generateKeyPairSync('ed25519').privateKey.export({ type: 'pkcs8', format: 'pem' }).toString();
  await writeDurably(file, [Buffer.from(pem)]);
  return createLocalSigner(name, pem);
}

async function fetchKey(kms: GoogleKms, version: string): Promise<KmsVersion> {
  try {
    return await kms.publicKey(version);
  } catch (error) {
    if (!(error instanceof KmsError)) throw error;
    throw new Error(
      `The signing key can't be used (${error.code}): ${error.message}. Its public key is read once for each disk; after that a start goes on without Cloud KMS.`,
      { cause: error },
    );
  }
}

function versionsFile(path: string): string {
  return join(path, 'keys', 'kms.json');
}

async function readVersions(path: string): Promise<readonly KmsVersion[]> {
  const bytes = await readIfThere(versionsFile(path));
  if (bytes === undefined) return [];
  return versions
    .parse(JSON.parse(bytes.toString()))
    .versions.map(({ version, publicKey }) => ({ version, publicKey: Buffer.from(publicKey, 'base64') }));
}

async function keepVersions(path: string, all: readonly KmsVersion[]): Promise<void> {
  const kept = all.map(({ version, publicKey }) => ({ version, publicKey: publicKey.toString('base64') }));
  await writeDurably(versionsFile(path), [Buffer.from(`${JSON.stringify({ v: 1, versions: kept })}\n`)]);
}
