/** Versions of Google Secret Manager's secrets, read by its REST API. */
import { type GoogleApi, isRecord } from './google-api.ts';
import { crc32c } from './google-crc32c.ts';
import { credentialError } from './proxy/credential-error.ts';

export interface GoogleSecretVersion {
  readonly bytes: Buffer;
  /** `projects/…/secrets/…/versions/7`: what `latest` was when it was read. */
  readonly name: string;
}

export interface GoogleSecrets {
  /** `projects/P/secrets/S/versions/N|latest`. Throws `credential_unavailable`, as google-api.ts does. */
  access(resource: string, signal?: AbortSignal): Promise<GoogleSecretVersion>;
}

export function createGoogleSecrets(api: GoogleApi): GoogleSecrets {
  return {
    async access(resource, signal) {
      const ref = `gcp-secret:${resource}`;
      const { name, payload } = await api.call('secretManager', `/v1/${resource}:access`, ref, { signal });
      const bad = (what: string) =>
        credentialError("Secret Manager's answer is not a secret's version.", `${ref}: ${what}`, true);
      if (typeof name !== 'string' || !isVersionOf(name, resource)) throw bad('the answer names another version');
      if (!isRecord(payload) || typeof payload.data !== 'string') throw bad('the answer has no data');
      const bytes = Buffer.from(payload.data, 'base64');
      const { dataCrc32c } = payload;
      if (dataCrc32c !== undefined && String(dataCrc32c) !== String(crc32c(bytes))) throw bad('the checksum is wrong');
      return { bytes, name };
    },
  };
}

/** Google answers with the project's number in the place of its id. */
function isVersionOf(name: string, asked: string): boolean {
  const [, secret, version] = /^projects\/[^/]+\/secrets\/([^/]+)\/versions\/([1-9][0-9]*)$/.exec(name) ?? [];
  const [, askedSecret, askedVersion] = /^projects\/[^/]+\/secrets\/([^/]+)\/versions\/([^/]+)$/.exec(asked) ?? [];
  return secret !== undefined && secret === askedSecret && (askedVersion === 'latest' || askedVersion === version);
}
