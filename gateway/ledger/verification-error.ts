/**
 * What a verification found. A code is stable: the CLI, alerts and tests name it.
 *
 * | code | found |
 * |---|---|
 * | `key_malformed` | a verifier or signing key that is not one |
 * | `frontier_malformed` | a stored frontier whose hashes do not fit its size |
 * | `manifest_malformed` | a line that is no manifest, or a known kind with a wrong field |
 * | `entries_malformed`, `entries_gap`, `entries_missing` | not whole lines of UTF-8; a number skipped; fewer leaves than a checkpoint signed |
 * | `checkpoint_malformed`, `checkpoint_signature`, `checkpoint_origin` | no C2SP checkpoint; not signed by the key, or wrongly; another ledger's |
 * | `checkpoint_gap`, `checkpoint_shrunk`, `checkpoint_root` | a number skipped; a smaller tree than before; another tree |
 * | `key_chain` | a key announced that does not follow the one in force |
 * | `heartbeat_chain` | a heartbeat that does not name the checkpoint stored before it |
 * | `segment_size`, `segment_hash`, `segment_gzip`, `segment_too_large` | other bytes than the manifest's; not one gzip member; inflates beyond the cap |
 * | `segment_lines`, `segment_session`, `segment_seq` | not NDJSON objects; a frame of another session; frames missing, doubled or out of order |
 */
export type VerificationCode =
  | 'key_malformed'
  | 'frontier_malformed'
  | 'manifest_malformed'
  | 'entries_malformed'
  | 'entries_gap'
  | 'entries_missing'
  | 'checkpoint_malformed'
  | 'checkpoint_signature'
  | 'checkpoint_origin'
  | 'checkpoint_gap'
  | 'checkpoint_shrunk'
  | 'checkpoint_root'
  | 'key_chain'
  | 'heartbeat_chain'
  | 'segment_size'
  | 'segment_hash'
  | 'segment_gzip'
  | 'segment_too_large'
  | 'segment_lines'
  | 'segment_session'
  | 'segment_seq';

/** Evidence that does not hold. `words` never quote the evidence: a recording's bytes belong in no log. */
export class VerificationError extends Error {
  override readonly name = 'VerificationError';
  readonly code: VerificationCode;
  /** The object (or thing) that failed; hostile where it comes from a manifest, so escape it for a terminal. */
  readonly object: string;
  readonly words: string;

  constructor(code: VerificationCode, object: string, words: string) {
    super(`${object}: ${words}`);
    this.code = code;
    this.object = object;
    this.words = words;
  }
}
