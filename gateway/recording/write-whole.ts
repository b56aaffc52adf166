import type { FileSystem } from './file-system.ts';

/** Writes all of the buffers, however few bytes each call takes. */
export async function writeWhole(fs: FileSystem, fd: number, buffers: Buffer[], position: number): Promise<void> {
  let rest = buffers;
  let at = position;
  while (rest.length > 0) {
    const written = await fs.writev(fd, rest, at);
    if (written <= 0) throw new Error('The journal wrote nothing.');
    at += written;
    rest = dropBytes(rest, written);
  }
}

function dropBytes(buffers: Buffer[], count: number): Buffer[] {
  let left = count;
  let index = 0;
  for (const buffer of buffers) {
    if (left < buffer.length) break;
    left -= buffer.length;
    index++;
  }
  const rest = buffers.slice(index);
  if (left > 0 && rest[0] !== undefined) rest[0] = rest[0].subarray(left);
  return rest;
}
