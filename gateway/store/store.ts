/**
 * A create-only object store: the one interface behind recordings, audit objects and state.
 *
 * Names are `/`-separated; no segment is empty, `.` or `..`. An object is never changed or overwritten once created:
 * "create if absent" is the store's only write, and its only lock.
 */
export interface Store {
  /** `file:///…`, `memory:`, `gs://…`: what a reading command takes as `--store`. */
  readonly url: string;
  /**
   * Creates the object with exactly these bytes, durably, or leaves the one that is there.
   * Resolves `created` only when the bytes would survive a power cut; rejects if that is not known: it may be there or not,
   * and a call with the same bytes and name is safe. Of callers who may read, exactly one is told `created`. Who may only
   * create in a bucket can be told `created` of what another created first, where an answer was lost; never `exists` of
   * what this very call created.
   */
  create(name: string, bytes: Uint8Array): Promise<'created' | 'exists'>;
  /** The object's whole bytes, or `undefined` where there is none. */
  get(name: string): Promise<Uint8Array | undefined>;
  /**
   * Names that begin with `prefix`, in ascending byte order. With `delimiter: '/'`, names are rolled up to the next `/`
   * after the prefix (each such `…/` once), as in object stores. `startAfter` skips what is ≤ it as it would be shown,
   * rolled up or not, so that the last one shown goes on behind itself.
   */
  list(prefix: string, options?: { delimiter?: '/'; startAfter?: string }): AsyncIterable<string>;
}
