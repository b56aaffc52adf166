/** The versions of a rolling update: the present one, and the newest that is kept before it. */
import { join } from 'node:path';
import { bundleProgram } from '../../../bundle/bundle.ts';
import { VERSION } from '../../../gateway/version.ts';
import { keptVersions, unpackBundle } from '../../stores/kept.ts';
import type { Program } from './fleet.ts';

/** From the sources, as they are. */
export const PRESENT: Program = { name: 'present', args: ['gateway/cli/bin.js'] };

/**
 * The newest kept version but the present one, or the one that is asked for; where none is kept, a bundle of the present
 * sources. Its file is put into `folder`.
 *
 * @throws Error where the version that is asked for is not kept.
 */
export async function previousProgram(folder: string, wanted?: string): Promise<Program> {
  const kept = await keptVersions();
  const found = kept.findLast(({ version }) => (wanted === undefined ? version !== VERSION : version === wanted));
  if (found === undefined && wanted !== undefined) throw new Error(`test/stores holds no version ${wanted}.`);
  // A version that is the only one kept is the one before what is being worked on.
  const chosen = found ?? kept.at(-1);
  if (chosen === undefined) {
    const { file } = await bundleProgram('verbatim', {
      root: join(import.meta.dirname, '..', '..', '..'),
      out: folder,
    });
    return { name: 'bundle', args: [file] };
  }
  const file = join(folder, `verbatim-${chosen.version}.mjs`);
  await unpackBundle(chosen.folder, file);
  return { name: chosen.version, args: [file] };
}
