import { createHash } from 'node:crypto';
import { type FileHandle, open } from 'node:fs/promises';
import { GatewayError } from './errors.ts';
import type { GoogleSecrets } from './google-secret.ts';
import { credentialError } from './proxy/credential-error.ts';

const MAX_SECRET = 64 * 1024;

/** What a reference names, now. `version` tells two credentials apart in a recording without holding either. */
export interface Secret {
  readonly value: string;
  readonly version: string;
}

/** Who reads `gcp-secret:` references; without one they can not be read. */
export interface SecretSources {
  readonly secrets?: GoogleSecrets | undefined;
  readonly signal?: AbortSignal | undefined;
}

/**
 * Reads a credential by its reference, `file:PATH`, `env:NAME` or `gcp-secret:RESOURCE`. One trailing line end is not
 * part of it.
 *
 * Throws `GatewayError('credential_unavailable')` where it is missing, empty, over 64 KiB, not UTF-8 or holds control
 * characters (a line end inside would let it forge headers). The words name no path: a client reads them. The cause
 * names the reference, for the log. A file's permissions are not judged: secret volumes of Kubernetes and systemd
 * credentials differ; docs say `0400`. The version of a `gcp-secret:` is the resource name that `latest` stood for.
 */
export async function readSecret(ref: string, sources: SecretSources = {}): Promise<Secret> {
  const { text, modified, resource } = await read(ref, sources);
  const value = text.replace(/\r?\n$/, '');
  if (value === '') throw unavailable(ref, 'It is empty.');
  if (/[\u0000-\u001f\u007f-\u009f]/.test(value)) throw unavailable(ref, 'It holds control characters.');
  return { value, version: resource ?? versionOf(value, modified) };
}

/** The whole text that a reference names, as it stands: for what has lines, such as PEM and JSON files. */
export async function readReferenced(ref: string, sources: SecretSources = {}): Promise<string> {
  return (await read(ref, sources)).text;
}

/**
 * A hash of a short secret could be turned back by trying all of them, and recordings are read by people who must not
 * have it. From 16 bytes on a generated secret is out of reach; a shorter one is told apart by its file's time instead.
 */
function versionOf(value: string, modified: number | undefined): string {
  if (Buffer.byteLength(value) >= 16) {
    return createHash('sha256').update('verbatim-credential-version\0').update(value).digest('hex').slice(0, 12);
  }
  return modified === undefined ? 'unversioned' : `mtime-${Math.trunc(modified)}`;
}

interface Read {
  readonly text: string;
  readonly modified?: number;
  readonly resource?: string;
}

async function read(ref: string, { secrets, signal }: SecretSources): Promise<Read> {
  if (ref.startsWith('gcp-secret:')) {
    if (secrets === undefined) throw unavailable(ref, 'References to Secret Manager are not read here.');
    const { bytes, name } = await secrets.access(ref.slice(11), signal);
    return { text: decode(ref, bytes), resource: name };
  }
  if (ref.startsWith('env:')) {
    const text = process.env[ref.slice(4)];
    if (text === undefined) throw unavailable(ref, 'Its environment variable is not set.');
    if (Buffer.byteLength(text) > MAX_SECRET) throw unavailable(ref, 'It is larger than 64 KiB.');
    return { text };
  }
  if (!ref.startsWith('file:')) throw unavailable('(unknown scheme)', 'It is neither file: nor env: nor gcp-secret:.');
  let file: FileHandle | undefined;
  try {
    file = await open(ref.slice(5), 'r');
    const stat = await file.stat();
    if (!stat.isFile()) throw unavailable(ref, 'It is not a file.');
    // One byte more than allowed: a file that grows after stat is still refused.
    const buffer = Buffer.alloc(MAX_SECRET + 1);
    let length = 0;
    for (;;) {
      const { bytesRead } = await file.read(buffer, length, buffer.length - length);
      length += bytesRead;
      if (bytesRead === 0 || length === buffer.length) break;
    }
    return { text: decode(ref, buffer.subarray(0, length)), modified: stat.mtimeMs };
  } catch (error) {
    if (error instanceof GatewayError) throw error;
    const { code } = error as NodeJS.ErrnoException;
    throw unavailable(ref, code === 'ENOENT' ? 'Its file does not exist.' : 'Its file can not be read.', code);
  } finally {
    await file?.close();
  }
}

function decode(ref: string, bytes: Buffer): string {
  if (bytes.length > MAX_SECRET) throw unavailable(ref, 'It is larger than 64 KiB.');
  try {
    return new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes);
  } catch {
    throw unavailable(ref, 'It is not UTF-8.');
  }
}

function unavailable(ref: string, detail: string, code?: string): GatewayError {
  const why = `${detail.charAt(0).toLowerCase()}${detail.slice(1).replace(/\.$/, '')}`;
  return credentialError(detail, `${ref}: ${why}${code === undefined ? '' : ` (${code})`}`);
}
