/** What masking gives back. */

/** A value that was taken out. Never the value itself. */
export interface MaskSpan {
  /** Where its tag stands in the masked bytes, and how long it is there. */
  readonly at: number;
  readonly length: number;
  readonly detector: string;
  /** HMAC-SHA256 of the value, keyed per session: `hmac-sha256:<hex>`. */
  readonly hmac: string;
}

export interface Masked {
  readonly bytes: Buffer;
  readonly spans: readonly MaskSpan[];
}

/** Makes tags and witnesses of one session: the same value has the same tag. */
export interface Tagger {
  /** `[email:3f2a91c4]`, with the value's HMAC. */
  tag(detector: string, value: string): { readonly tag: string; readonly hmac: string };
}

/** The bytes can not be masked for certain: they may not pass. */
export class MaskError extends Error {
  override readonly name = 'MaskError';
  /** It holds what may not pass in any form. */
  readonly refused: boolean;

  constructor(message: string, options?: ErrorOptions & { readonly refused?: boolean }) {
    super(message, options);
    this.refused = options?.refused === true;
  }
}
