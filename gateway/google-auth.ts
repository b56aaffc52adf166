/** Google's authentication library, loaded at its first use, without what it does beyond what one asks for. */

/** Without a project id the library runs `gcloud` to find one; the gateway starts no processes, and nothing asks for it. */
export const NO_PROJECT = 'not-asked-for';

let quiet = false;

export async function loadGoogleAuth(): Promise<typeof import('google-auth-library')> {
  // With this variable set, Google's libraries print requests and answers, tokens and all, to stderr. They read it
  // when they are loaded.
  delete process.env.GOOGLE_SDK_NODE_LOGGING;
  dropMetadataWarnings();
  const library = await import('google-auth-library');
  // "There is no metadata server" is remembered for the life of the process, but it may only be late at start.
  library.gcpMetadata.resetIsAvailableCache();
  return library;
}

/** That no metadata server answers is said once, by the error: the library's warning would stand before it on stderr. */
function dropMetadataWarnings(): void {
  if (quiet) return;
  quiet = true;
  const emit = process.emitWarning.bind(process) as (...given: unknown[]) => void;
  process.emitWarning = (...given: unknown[]): void => {
    if (given[1] !== 'MetadataLookupWarning') emit(...given);
  };
}
