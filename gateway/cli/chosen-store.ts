/** Which store a reading command reads, and which session of it. */
import { existsSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { pathToFileURL } from 'node:url';
import { openRecordings, type Recordings } from '../recording/read.ts';
import { openStore } from '../store/open.ts';
import type { Store } from '../store/store.ts';
import { StoreError } from '../store/store-error.ts';
import { CommandError, type Context } from './context.ts';

export interface StoreOptions {
  readonly store?: string;
  readonly auditStore?: string;
}

/**
 * The recordings that `--store`, VERBATIM_STORE or the demo's folder give, in this order. `withoutAudit`: what to do where
 * the audit bucket beside them, which nobody named, may not be read; without it that is an error.
 */
export function openChosenStore(
  context: Context,
  options: StoreOptions,
  withoutAudit?: (error: StoreError) => Promise<void>,
): { url: string; recordings: Recordings } {
  const url = options.store ?? context.env.VERBATIM_STORE ?? demoStore(context.cwd);
  if (url === undefined) {
    throw new CommandError(
      2,
      'Which store? Give --store file:///absolute/path or --store gs://BUCKET, or set VERBATIM_STORE. (There is no demo in this folder: npx verbatim demo makes one.)',
    );
  }
  const named = options.auditStore ?? context.env.VERBATIM_AUDIT_STORE;
  const store = openGiven(context, url);
  mustExist(url);
  const auditUrl = named ?? auditBeside(url);
  const opened = auditUrl === undefined ? undefined : openGiven(context, auditUrl);
  const audit =
    opened === undefined || named !== undefined || withoutAudit === undefined
      ? opened
      : readIfAllowed(opened, withoutAudit);
  return { url: store.url, recordings: openRecordings(store, audit === undefined ? {} : { audit }) };
}

/** The store at an address that was typed. */
export function openGiven({ cwd }: Context, url: string): Store {
  try {
    return openStore(url);
  } catch (error) {
    if (!(error instanceof StoreError)) throw error;
    if (error.code !== 'invalid_url') throw new CommandError(2, error.message, { cause: error });
    if (url.startsWith('gs:')) throw new CommandError(2, error.message, { cause: error });
    // A path is what people type first.
    const isPath = !/^[a-z][a-z0-9+.-]*:/i.test(url);
    const fix = isPath ? pathToFileURL(resolve(cwd, url)).href : 'file:///absolute/path';
    throw new CommandError(2, `"${url}" is not the address of a store. Write ${fix}.`);
  }
}

/** Google asks who comes without any credentials (to an emulator) for some, where it would refuse others. */
const NOT_FOR_YOU: ReadonlySet<string> = new Set(['no_bucket', 'permission_denied', 'no_credentials']);

/** A store that is empty for who may not read it. Whether a bucket is there is known once it was asked. */
function readIfAllowed(store: Store, without: (error: StoreError) => Promise<void>): Store {
  return {
    ...store,
    async *list(prefix, options) {
      try {
        yield* store.list(prefix, options);
      } catch (error) {
        if (!(error instanceof StoreError && NOT_FOR_YOU.has(error.code))) throw error;
        await without(error);
      }
    },
  };
}

/** An empty listing would look like "nothing was recorded"; a folder that is not there is a mistake. */
function mustExist(url: string): void {
  if (url.startsWith('file:') && !existsSync(new URL(url))) {
    throw new CommandError(1, `There is no store at ${url}.`);
  }
}

function demoStore(cwd: string): string | undefined {
  const folder = join(cwd, '.verbatim', 'demo', 'store');
  return existsSync(folder) ? pathToFileURL(folder).href : undefined;
}

/** Audit objects have a store of their own: by default the configuration puts it at the same address with `-audit`. */
export function auditBeside(url: string): string | undefined {
  if (url.startsWith('gs://')) return `${url}-audit`;
  if (!url.startsWith('file:')) return undefined;
  const audit = `${url.replace(/\/+$/, '')}-audit`;
  return existsSync(new URL(audit)) ? audit : undefined;
}

/** The one session that a prefix, a whole id or `latest` means. */
export async function resolveSession(recordings: Recordings, wanted: string): Promise<string> {
  if (wanted === 'latest') {
    for await (const info of recordings.sessions()) return info.session;
    throw new CommandError(1, 'There is no session in this store.');
  }
  const found = await recordings.find(wanted);
  const exact = found.find((session) => session === wanted);
  const [only, ...others] = found;
  if (exact !== undefined) return exact;
  if (only === undefined) throw new CommandError(1, `No session begins with ${wanted}. See npx verbatim sessions.`);
  if (others.length > 0) {
    throw new CommandError(
      2,
      `${found.length} sessions or more begin with ${wanted}: ${found.slice(0, 5).join(', ')}.`,
    );
  }
  return only;
}
