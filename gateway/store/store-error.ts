/**
 * Why a store refused or failed. Stable.
 *
 * | code | means |
 * |---|---|
 * | `invalid_name` | no name of an object, or no prefix of one |
 * | `invalid_url` | no address of a store |
 * | `no_store` | read from a place where no store has been made |
 * | `name_conflict` | the name is a folder of other objects, or goes through an object |
 * | `unsafe_path` | something in the store is a symbolic link or no plain file |
 * | `no_bucket` | there is no such bucket, or the credentials may not know of it |
 * | `no_credentials` | no Google credentials, or none that Google accepts |
 * | `permission_denied` | the credentials may not do this in this bucket |
 * | `unavailable` | the bucket could not be reached, or did not serve, within the budget of the call |
 * | `io` | the file system failed (`cause` holds its error), or what came from a bucket is not what it said |
 *
 * After `io` and `unavailable` a failed create may or may not have persisted: see `Store.create`.
 */
export type StoreErrorCode =
  | 'invalid_name'
  | 'invalid_url'
  | 'no_store'
  | 'name_conflict'
  | 'unsafe_path'
  | 'no_bucket'
  | 'no_credentials'
  | 'permission_denied'
  | 'unavailable'
  | 'io';

export class StoreError extends Error {
  override readonly name = 'StoreError';
  readonly code: StoreErrorCode;

  constructor(code: StoreErrorCode, words: string, options?: ErrorOptions) {
    super(words, options);
    this.code = code;
  }
}
