/**
 * Why a store refused or failed. Stable.
 *
 * | code | means |
 * |---|---|
 * | `invalid_name` | no name of an object, or no prefix of one |
 * | `invalid_url` | no address of a store |
 * | `unsupported` | an address of a store that this version does not have |
 * | `no_store` | read from a place where no store has been made |
 * | `name_conflict` | the name is a folder of other objects, or goes through an object |
 * | `unsafe_path` | something in the store is a symbolic link or no plain file |
 * | `io` | the file system failed; `cause` holds its error. A failed create may or may not have persisted: retry it |
 */
export type StoreErrorCode =
  | 'invalid_name'
  | 'invalid_url'
  | 'unsupported'
  | 'no_store'
  | 'name_conflict'
  | 'unsafe_path'
  | 'io';

export class StoreError extends Error {
  override readonly name = 'StoreError';
  readonly code: StoreErrorCode;

  constructor(code: StoreErrorCode, words: string, options?: ErrorOptions) {
    super(words, options);
    this.code = code;
  }
}
