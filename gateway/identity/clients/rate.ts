/**
 * How often who may ask, where nobody is known yet: registration, authorize and token endpoints. Per replica and in
 * memory: it keeps a flood away from the work behind it, it is no promise to anybody.
 */
import { isIPv4, isIPv6 } from 'node:net';
import { keepNewest } from '../../keep-newest.ts';
import { groupsOf } from '../../proxy/address.ts';

export interface Rate {
  /** Whether one more request of this address may go on; if so, it is counted. */
  take(address: string): boolean;
}

/** 2 MB at most. Whoever is forgotten starts with a full bucket, so the bucket for all is what holds many addresses. */
const MOST_NAMES = 10_000;
const MINUTE = 60_000;

interface Bucket {
  tokens: number;
  at: number;
}

/**
 * Token buckets: one per client address (IPv6: per /64, which is what one customer gets) of `burst` requests that fills
 * again at `perMinute`, and one for all addresses together of `overall` a minute. `now` in milliseconds.
 */
export function createRate(deps: BucketsDeps): Rate {
  const buckets = createBuckets(deps);
  return { take: (address) => buckets.take(bucketOf(address)) };
}

export interface BucketsDeps {
  readonly perMinute: number;
  readonly burst: number;
  readonly overall: number;
  readonly now: () => number;
}

/** The same by any name of bounded length. */
export function createBuckets({ perMinute, burst, overall, now }: BucketsDeps): { take(name: string): boolean } {
  const buckets = new Map<string, Bucket>();
  const all: Bucket = { tokens: overall, at: now() };

  return {
    take(name) {
      const at = now();
      const own = buckets.get(name) ?? { tokens: burst, at };
      fill(own, perMinute, burst, at);
      fill(all, overall, overall, at);
      keepNewest(buckets, name, own, MOST_NAMES);
      // Both or neither: one address that asks too often must not use up what is there for the others.
      if (own.tokens < 1 || all.tokens < 1) return false;
      own.tokens--;
      all.tokens--;
      return true;
    },
  };
}

function fill(bucket: Bucket, perMinute: number, most: number, at: number): void {
  // A clock that was set back fills nothing.
  const elapsed = Math.max(0, at - bucket.at);
  bucket.tokens = Math.min(most, bucket.tokens + (elapsed * perMinute) / MINUTE);
  bucket.at = at;
}

/** What is no address shares one bucket: its length and number are the caller's choice. */
function bucketOf(address: string): string {
  const bare = address.replace(/%.*$/s, '');
  if (isIPv4(bare)) return bare;
  if (!isIPv6(bare)) return 'unknown';
  const groups = groupsOf(bare);
  const mapped = groups.slice(0, 5).every((group) => group === 0) && groups[5] === 0xffff;
  const [high = 0, low = 0] = groups.slice(6);
  if (mapped) return [high >> 8, high & 255, low >> 8, low & 255].join('.');
  return groups.slice(0, 4).join(':');
}
