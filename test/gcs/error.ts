/** A refusal as the JSON API writes it: `{"error": {code, message, errors: [{reason, …}]}}`. */
export class GcsError extends Error {
  override readonly name = 'GcsError';
  readonly status: number;
  readonly reason: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly location: string | undefined;

  constructor(
    status: number,
    reason: string,
    message: string,
    more: { location?: string; headers?: Readonly<Record<string, string>> } = {},
  ) {
    super(message);
    this.status = status;
    this.reason = reason;
    this.headers = more.headers ?? {};
    this.location = more.location;
  }

  body(): unknown {
    const { status: code, message, reason, location } = this;
    const where =
      location === undefined ? {} : { locationType: location === 'If-Match' ? 'header' : 'parameter', location };
    return { error: { code, message, errors: [{ message, domain: 'global', reason, ...where }] } };
  }
}

export const invalid = (message: string, location?: string): GcsError =>
  new GcsError(400, 'invalid', message, location === undefined ? {} : { location });

export const noSuchBucket = (): GcsError => new GcsError(404, 'notFound', 'The specified bucket does not exist.');

export const noSuchObject = (bucket: string, name: string): GcsError =>
  new GcsError(404, 'notFound', `No such object: ${bucket}/${name}`);

export const conditionNotMet = (): GcsError =>
  new GcsError(412, 'conditionNotMet', 'At least one of the pre-conditions you specified did not hold.', {
    location: 'If-Match',
  });

export const notImplemented = (what: string): GcsError =>
  new GcsError(501, 'notImplemented', `This double does not speak ${what}.`);
