import { Storage } from '@google-cloud/storage';
import { OAuth2Client } from 'google-auth-library';
import type { GcsDouble } from './gcs.ts';

/** The real client against a double: with a token, or as anonymous; without retries of its own unless asked for. */
export function clientOf(gcs: GcsDouble, options: { token?: string; retries?: number } = {}): Storage {
  const authClient = new OAuth2Client();
  if (options.token !== undefined) authClient.setCredentials({ access_token: options.token });
  const retries = options.retries ?? 0;
  return new Storage({
    projectId: 'test',
    apiEndpoint: gcs.url,
    authClient,
    useAuthWithCustomEndpoint: options.token !== undefined,
    retryOptions: { autoRetry: retries > 0, maxRetries: retries, retryDelayMultiplier: 1, maxRetryDelay: 1 },
  });
}
