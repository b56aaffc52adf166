/**
 * Signing a ledger's checkpoints, whichever of its keys is in force. A signature is asked for beside whatever else goes on:
 * a signer far away may take seconds, and rounds that calls wait for must not.
 */
import { setImmediate } from 'node:timers/promises';
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
  /** Asks for the note over the whole tree of that state, and says so; not where one is asked for already. */
  ask(state: LedgerState): boolean;
  /** Resolves when the one that is asked for is there, or is not to be had; undefined where none is. */
  answered(): Promise<void> | undefined;
  /** The one that was asked for, once, if it is there by now. Rejects with `SignerDownError`. */
  take(): Promise<{ readonly at: LedgerState; readonly note: string } | undefined>;
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

  async function sign(state: LedgerState): Promise<string> {
    const { ledger, frontier } = state;
    const key = inForce(state);
    try {
      const text = formatCheckpoint({ ledger, size: frontier.size, root: rootOf(frontier) });
      return await signCheckpoint(text, signerOf(key));
    } catch (error) {
      throw new SignerDownError(key, error);
    }
  }

  let asked: { readonly at: LedgerState; readonly note: Promise<string>; answered: boolean } | undefined;

  return {
    keys,
    inForce,
    announced: (state) => keys(state).at(-1)?.verifierKey ?? signer.verifierKey,
    ask(state) {
      if (asked !== undefined) return false;
      const asking = { at: state, note: sign(state), answered: false };
      const answer = (): void => {
        asking.answered = true;
      };
      asking.note.then(answer, answer);
      asked = asking;
      return true;
    },
    answered: () =>
      asked?.note.then(
        () => {},
        () => {},
      ),
    async take() {
      // A key on this machine has answered by then.
      await setImmediate();
      if (asked?.answered !== true) return undefined;
      const { at, note } = asked;
      asked = undefined;
      return { at, note: await note };
    },
  };
}
