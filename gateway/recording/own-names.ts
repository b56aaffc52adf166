/**
 * Names of a ledger belong to one disk, so that a name that exists already is one that this disk has stored. It is not
 * where the disk was copied while in use, or a copy was restored beside it: then two owners number the same ledger, and
 * whoever comes second would take the other's bytes for its own and let go of what it recorded. That is noticed here: by the
 * bytes where they can be read, else by the name alone where nothing of this disk can have been there.
 */
import type { Store } from '../store/store.ts';
import { StoreError } from '../store/store-error.ts';
import type { StoredObject } from './write-ahead.ts';

/** Somebody else stores under this disk's names. */
export class LedgerTakenError extends Error {
  override readonly name = 'LedgerTakenError';
  readonly object: string;

  constructor(object: string, cause?: unknown) {
    super(
      `Another owner of this disk's ledger has stored ${object}: this disk is a copy of another, or was copied. ` +
        'Nothing more is sealed from it and nothing on it is removed. Keep it and see docs/operations.md.',
      { cause },
    );
    this.object = object;
  }
}

export interface OwnNames {
  /** Stores an object of this ledger. Rejects with `LedgerTakenError` where another's bytes have its name. */
  create(object: StoredObject): Promise<void>;
  /** The round is stored, all of it: none of its names is tried again. */
  done(): void;
}

/** `tried` are names that an earlier process may have stored. */
export function createOwnNames(store: Store, tried: Iterable<string>): OwnNames {
  const mayBeOurs = new Set(tried);

  async function isOurs({ name, bytes }: StoredObject, before: boolean): Promise<boolean> {
    let there: Uint8Array | undefined;
    try {
      there = await store.get(name);
    } catch (error) {
      // A gateway may be allowed to create and not to read. What it never tried to store it can't have stored.
      if (error instanceof StoreError && error.code === 'permission_denied') return before;
      throw error;
    }
    return there !== undefined && Buffer.from(there).equals(bytes);
  }

  return {
    async create(object) {
      const before = mayBeOurs.has(object.name);
      // Before the attempt: it may fail and have stored all the same. And it stays: where another object of the round fails,
      // all of them are tried again.
      mayBeOurs.add(object.name);
      if ((await store.create(object.name, object.bytes)) === 'exists' && !(await isOurs(object, before))) {
        throw new LedgerTakenError(object.name);
      }
    },
    done: () => mayBeOurs.clear(),
  };
}
