import { GoogleError } from './answer.ts';
import type { Answering, Ground } from './google.ts';
import { idToken } from './iam-credentials.ts';

const EMAIL = 'gateway@verbatim.iam.gserviceaccount.com';

/** https://cloud.google.com/compute/docs/metadata/overview: refuses who does not send `Metadata-Flavor: Google`. */
export function createMetadata({ ownToken, now }: Ground): Answering {
  return (request, url) => {
    if (request.headers['metadata-flavor'] !== 'Google' || request.headers['x-forwarded-for'] !== undefined) {
      throw new GoogleError(403, 'PERMISSION_DENIED');
    }
    const path = url.pathname.slice('/computeMetadata/v1/'.length);
    const account = 'instance/service-accounts/default';
    if (path === `${account}/token`) {
      return { access_token: ownToken(), expires_in: 3599, token_type: 'Bearer' };
    }
    if (path === `${account}/email`) return EMAIL;
    if (path === `${account}/identity`) {
      const audience = url.searchParams.get('audience');
      if (audience === null) throw new GoogleError(400, 'INVALID_ARGUMENT');
      return idToken({ audience, account: EMAIL, expires: now() + 3_600_000, serial: 0, email: false });
    }
    if (path === 'project/project-id') return 'verbatim';
    if (path === 'universe/universe-domain') return 'googleapis.com';
    throw new GoogleError(404, 'NOT_FOUND');
  };
}
