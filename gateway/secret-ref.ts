import { createHash } from 'node:crypto';
import { type FileHandle, open } from 'node:fs/promises';
import { GatewayError } from './errors.ts';

const MAX_SECRET = 64 * 1024;

/** What a reference names, now. `version` tells two credentials apart in a recording without holding either. */
export interface Secret {
  readonly value: string;
  readonly version: string;
}

/**
 * Reads a credential by its reference, `file:PATH` or `env:NAME`. One trailing line end is not part of it.
 *
 * Throws `GatewayError('credential_unavailable')` where it is missing, empty, over 64 KiB, not UTF-8 or holds control
 * characters (a line end inside would let it forge headers). The words name no path: a client reads them. The cause
 * names the reference, for the log. A file's permissions are not judged: secret volumes of Kubernetes and systemd
 * credentials differ; docs say `0400`.
 */
export async function readSecret(ref: string): Promise<Secret> {
  const { text, modified } = await read(ref);
  const value = text.replace(/\r?\n$/, '');
  if (value === '') throw unavailable(ref, 'It is empty.');
  if (/[\u0000-\u001f\u007f-\u009f]/.test(value)) throw unavailable(ref, 'It holds control characters.');
  return { value, version: versionOf(value, modified) };
}

/** The whole text that a reference names, as it stands: for PEM files, which are no secret and have lines. */
export async function readReferenced(ref: string): Promise<string> {
  return (await read(ref)).text;
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

async function read(ref: string): Promise<{ text: string; modified: number | undefined }> {
  if (ref.startsWith('env:')) {
    const text = process.env[ref.slice(4)];
    if (text === undefined) throw unavailable(ref, 'Its environment variable is not set.');
    if (Buffer.byteLength(text) > MAX_SECRET) throw unavailable(ref, 'It is larger than 64 KiB.');
    return { text, modified: undefined };
  }
  if (!ref.startsWith('file:')) throw unavailable('(unknown scheme)', 'It is neither file: nor env:.');
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
    if (length > MAX_SECRET) throw unavailable(ref, 'It is larger than 64 KiB.');
    const text = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(buffer.subarray(0, length));
    return { text, modified: stat.mtimeMs };
  } catch (error) {
    if (error instanceof GatewayError) throw error;
    const { code } = error as NodeJS.ErrnoException;
    throw unavailable(ref, code === 'ENOENT' ? 'Its file does not exist.' : 'Its file can not be read.', code);
  } finally {
    await file?.close();
  }
}

function unavailable(ref: string, detail: string, code?: string): GatewayError {
  const cause = new Error(code === undefined ? ref : `${ref} (${code})`);
  return new GatewayError('credential_unavailable', 'not_forwarded', detail, { cause });
}
