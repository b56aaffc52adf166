import { conditionNotMet, GcsError, noSuchObject } from './error.ts';
import { createNames, type Names } from './names.ts';
import { type Attributes, crc32cOf, md5Of, type StoredObject } from './object.ts';

export interface Retention {
  readonly seconds: number;
  readonly locked: boolean;
  readonly effective: number;
}

export interface Bucket {
  readonly name: string;
  readonly created: number;
  metageneration: number;
  updated: number;
  retention: Retention | undefined;
  defaultEventBasedHold: boolean;
  labels: Readonly<Record<string, string>>;
  readonly objects: ReadonlyMap<string, StoredObject>;
  readonly names: Names;
  /** Until when this object can be neither deleted nor replaced; `undefined` where no policy says so (yet). */
  retainedUntil(object: StoredObject): number | undefined;
  /** The live object, also by its generation. */
  get(name: string, generation?: string | null): StoredObject;
  /** Replaces what is there, unless that is retained or held. */
  put(write: Write): StoredObject;
  /** Attributes alone: a new metageneration of the same bytes. */
  amend(name: string, attributes: Attributes, now: number): StoredObject;
  remove(name: string, now: number): void;
}

export interface Write {
  readonly name: string;
  readonly bytes: Buffer;
  readonly attributes: Attributes;
  readonly now: number;
  readonly componentCount?: number;
}

/** The longest that a policy may say: 100 years. */
const MAX_RETENTION = 3_155_760_000;

export function createBucket(name: string, now: number, nextGeneration: (now: number) => bigint): Bucket {
  const objects = new Map<string, StoredObject>();
  const names = createNames();

  const bucket: Bucket = {
    name,
    created: now,
    metageneration: 1,
    updated: now,
    retention: undefined,
    defaultEventBasedHold: false,
    labels: {},
    objects,
    names,

    retainedUntil(object) {
      // While the event has not come, nobody can say when the time after it ends.
      if (bucket.retention === undefined || object.attributes.eventBasedHold === true) return undefined;
      return object.retainedFrom + bucket.retention.seconds * 1000;
    },

    get(name, generation) {
      const object = objects.get(name);
      if (object === undefined || (generation != null && generation !== String(object.generation))) {
        throw noSuchObject(bucket.name, name);
      }
      return object;
    },

    put({ name, bytes, attributes, now, componentCount }) {
      checkName(name);
      const before = objects.get(name);
      if (before !== undefined) release(bucket, before, now);
      const object: StoredObject = {
        name,
        bytes,
        generation: nextGeneration(now),
        metageneration: 1,
        attributes: bucket.defaultEventBasedHold ? { eventBasedHold: true, ...attributes } : attributes,
        crc32c: crc32cOf(bytes),
        md5: componentCount === undefined ? md5Of(bytes) : undefined,
        componentCount,
        created: now,
        updated: now,
        retainedFrom: now,
      };
      objects.set(name, object);
      names.add(name);
      return object;
    },

    amend(name, attributes, now) {
      const before = bucket.get(name);
      const released = before.attributes.eventBasedHold === true && attributes.eventBasedHold !== true;
      const object: StoredObject = {
        ...before,
        metageneration: before.metageneration + 1,
        attributes,
        updated: now,
        retainedFrom: released ? now : before.retainedFrom,
      };
      objects.set(name, object);
      return object;
    },

    remove(name, now) {
      release(bucket, bucket.get(name), now);
      objects.delete(name);
      names.remove(name);
    },
  };
  return bucket;
}

/** Refuses what may be neither deleted nor replaced. */
function release(bucket: Bucket, object: StoredObject, now: number): void {
  const { temporaryHold, eventBasedHold } = object.attributes;
  const what = `Object '${bucket.name}/${object.name}'`;
  if (temporaryHold === true || eventBasedHold === true) {
    const hold = temporaryHold === true ? 'Temporary hold' : 'Event-Based hold';
    throw new GcsError(
      403,
      'objectUnderActiveHold',
      `${what} is under active ${hold} and cannot be deleted, overwritten or archived until hold is removed.`,
    );
  }
  const until = bucket.retainedUntil(object);
  if (until !== undefined && now < until) {
    throw new GcsError(
      403,
      'retentionPolicyNotMet',
      `${what} is subject to bucket's retention policy or object retention and cannot be deleted or overwritten ` +
        `until ${new Date(until).toISOString()}`,
    );
  }
}

/** Sets, raises or removes the policy; what is locked can only be raised. */
export function setRetention(bucket: Bucket, seconds: number | undefined, now: number): void {
  const before = bucket.retention;
  if (seconds !== undefined && (!Number.isSafeInteger(seconds) || seconds < 1 || seconds > MAX_RETENTION)) {
    throw new GcsError(400, 'invalid', 'Invalid retention period.');
  }
  if (before?.locked === true && (seconds === undefined || seconds < before.seconds)) {
    const how = seconds === undefined ? 'remove' : 'reduce the retention duration of';
    throw new GcsError(403, 'forbidden', `Cannot ${how} a locked Retention Policy for bucket '${bucket.name}'.`);
  }
  // Retroactive: `effective` is when the policy was last set, each object counts from its own time.
  bucket.retention = seconds === undefined ? undefined : { seconds, locked: before?.locked ?? false, effective: now };
}

export function lockRetention(bucket: Bucket, metageneration: string | null): void {
  if (metageneration === null) {
    throw new GcsError(400, 'required', 'Required parameter: ifMetagenerationMatch', {
      location: 'ifMetagenerationMatch',
    });
  }
  if (metageneration !== String(bucket.metageneration)) throw conditionNotMet();
  if (bucket.retention === undefined) {
    throw new GcsError(400, 'invalid', `Bucket '${bucket.name}' does not have a retention policy to lock.`);
  }
  bucket.retention = { ...bucket.retention, locked: true };
}

/** A name is 1 to 1,024 bytes of UTF-8, without line ends, and neither `.` nor `..`. */
function checkName(name: string): void {
  const bad = name === '' || name === '.' || name === '..' || /[\r\n]/.test(name) || !name.isWellFormed();
  if (bad || name.startsWith('.well-known/acme-challenge/') || Buffer.byteLength(name) > 1024) {
    throw new GcsError(400, name === '' ? 'required' : 'invalid', 'Invalid object name.');
  }
}
