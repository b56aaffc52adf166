import { crc32c } from '../../gateway/google-crc32c.ts';
import { GoogleError } from './answer.ts';
import type { Answering, Ground } from './google.ts';

export interface SecretManager {
  /** Adds a version; returns the resource that a reference names it by. */
  add(secret: string, value: string | Buffer): string;
  setState(secret: string, version: number, state: 'ENABLED' | 'DISABLED' | 'DESTROYED'): void;
  /** The next answers carry a checksum of something else, or none. */
  checksum(kind: 'right' | 'wrong' | 'none'): void;
  readonly answer: Answering;
}

/** https://cloud.google.com/secret-manager/docs/reference/rest/v1/projects.secrets.versions/access */
export function createSecretManager({ ownToken, secrets }: Ground): SecretManager {
  const versions = new Map<string, { bytes: Buffer; state: string }[]>();
  let checksum: 'right' | 'wrong' | 'none' = 'right';
  return {
    add(secret, value) {
      const bytes = Buffer.from(value);
      if (typeof value === 'string' && value !== '') secrets.add(value);
      const all = versions.get(secret) ?? [];
      versions.set(secret, [...all, { bytes, state: 'ENABLED' }]);
      return `projects/verbatim/secrets/${secret}/versions/${all.length + 1}`;
    },
    setState(secret, version, state) {
      const found = versions.get(secret)?.[version - 1];
      if (found === undefined) throw new Error('no such version');
      found.state = state;
    },
    checksum(kind) {
      checksum = kind;
    },
    answer(request, url) {
      if (request.method !== 'GET') throw new GoogleError(404, 'NOT_FOUND');
      if (request.headers.authorization !== `Bearer ${ownToken()}`) throw new GoogleError(401, 'UNAUTHENTICATED');
      const pattern = /^\/v1\/projects\/verbatim\/secrets\/([^/]+)\/versions\/(latest|\d+):access$/;
      const [, secret = '', asked = ''] = pattern.exec(url.pathname) ?? [];
      const all = versions.get(secret) ?? [];
      const number = asked === 'latest' ? all.length : Number(asked);
      const found = all[number - 1];
      if (found === undefined) throw new GoogleError(404, 'NOT_FOUND');
      if (found.state !== 'ENABLED') throw new GoogleError(400, 'FAILED_PRECONDITION');
      const right = crc32c(found.bytes);
      return {
        // Google answers with the project's number.
        name: `projects/123456789/secrets/${secret}/versions/${number}`,
        payload: {
          data: found.bytes.toString('base64'),
          ...(checksum === 'none' ? {} : { dataCrc32c: String(checksum === 'right' ? right : right + 1) }),
        },
      };
    },
  };
}
