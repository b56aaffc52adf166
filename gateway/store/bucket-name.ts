import { StoreError } from './store-error.ts';

const PART = /^[a-z0-9](?:[a-z0-9_-]{0,61}[a-z0-9])?$/;

/**
 * Whether Google Cloud Storage takes it as the name of a bucket: 3 to 63 characters, or 222 in parts of 63 with dots
 * between them; no IP address, nothing that says it is Google's (https://cloud.google.com/storage/docs/buckets#naming).
 */
export function isBucketName(name: string): boolean {
  return (
    name.length >= 3 &&
    name.length <= 222 &&
    name.split('.').every((part) => PART.test(part)) &&
    !/^\d+(\.\d+){3}$/.test(name) &&
    !/^goog|g[o0]{2}gle/.test(name)
  );
}

/** Throws `StoreError` `invalid_url`. */
export function bucketOf(url: string): string {
  const name = /^gs:\/\/([^/]+)$/.exec(url)?.[1];
  if (name !== undefined && isBucketName(name)) return name;
  throw new StoreError(
    'invalid_url',
    'This is no address of a bucket. Write gs://BUCKET with the name alone: no folder and no slash behind it.',
  );
}
