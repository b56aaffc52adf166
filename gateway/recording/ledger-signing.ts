/** Signing a ledger's checkpoints, whichever of its keys is in force. */
import { formatCheckpoint, signCheckpoint } from '../ledger/checkpoint.ts';
import { keyInForce, type LedgerKey } from '../ledger/keys.ts';
import type { Signer } from '../ledger/signer.ts';
import { rootOf } from '../ledger/tree.ts';
import type { LedgerState } from './write-ahead.ts';

export interface Signers {
  /** What is to sign: where the ledger has another key, this one's is announced. */
  readonly signer: Signer;
  /** The ledger's first key; absent where it is the signer's own. */
  readonly firstKey?: string;
  /** The signer of a key that was announced before: its last checkpoint covers the announcement of the next. */
  readonly formerSigner?: (verifierKey: string) => Signer | undefined;
}

/** All is stored, the checkpoint is not signed. */
export class SignerDownError extends Error {
  override readonly name = 'SignerDownError';
  /** The key that should have signed. */
  readonly verifierKey: string;

  constructor(verifierKey: string, cause: unknown) {
    super('The checkpoint could not be signed.', { cause });
    this.verifierKey = verifierKey;
  }
}

export interface LedgerSigning {
  /** The keys of a state, oldest first; never none. */
  keys(state: LedgerState): readonly LedgerKey[];
  /** The key that signs the next checkpoint of that state. */
  inForce(state: LedgerState): string;
  /** The key that signs once all announcements are covered. */
  announced(state: LedgerState): string;
  /** The note over the whole tree of that state. Rejects with `SignerDownError`. */
  sign(state: LedgerState): Promise<string>;
}

export function createLedgerSigning({ signer, firstKey, formerSigner }: Signers): LedgerSigning {
  const first: readonly LedgerKey[] = [{ verifierKey: firstKey ?? signer.verifierKey, leaf: -1 }];
  const keys = (state: LedgerState): readonly LedgerKey[] => state.keys ?? first;
  const inForce = (state: LedgerState): string =>
    keyInForce(keys(state), state.checkpointed)?.verifierKey ?? signer.verifierKey;

  function signerOf(verifierKey: string): Signer {
    const found = verifierKey === signer.verifierKey ? signer : formerSigner?.(verifierKey);
    if (found === undefined) throw new Error('The key in force is not known on this disk any more.');
    return found;
  }

  return {
    keys,
    inForce,
    announced: (state) => keys(state).at(-1)?.verifierKey ?? signer.verifierKey,
    async sign(state) {
      const { ledger, frontier } = state;
      const key = inForce(state);
      try {
        const text = formatCheckpoint({ ledger, size: frontier.size, root: rootOf(frontier) });
        return await signCheckpoint(text, signerOf(key));
      } catch (error) {
        throw new SignerDownError(key, error);
      }
    },
  };
}
