import { OAuthError } from './answer.ts';
import type { Answering, Ground } from './google.ts';

export interface OAuthServer {
  readonly url: string;
  readonly clientId: string;
  /** Rotated: the one before is refused. */
  rotate(secret: string): void;
  /** How clients must authenticate; the other way is refused. */
  authMethod: 'client_secret_basic' | 'client_secret_post';
  /** What it adds to or takes from (`undefined`) its answers. */
  answers: Record<string, unknown>;
  /** The parameters of the last grant, without credentials. */
  last(): Record<string, string>;
  readonly answer: Answering;
}

/** RFC 6749, sections 2.3.1 and 4.4. The client's id has characters that Basic authentication must encode. */
export function createOAuthServer({ secrets }: Ground, url: string): OAuthServer {
  const clientId = 'verbatim:orders+mcp';
  let secret = '';
  let last: Record<string, string> = {};
  let serial = 0;
  const server: OAuthServer = {
    url,
    clientId,
    rotate(value) {
      secret = value;
      secrets.add(value);
    },
    authMethod: 'client_secret_basic',
    answers: {},
    last: () => last,
    answer(request, _url, body) {
      const form = new URLSearchParams(body);
      if (request.method !== 'POST' || form.get('grant_type') !== 'client_credentials') {
        throw new OAuthError(400, 'unsupported_grant_type');
      }
      const [, sent] = request.headers.authorization?.split(' ') ?? [];
      if (sent !== undefined) secrets.add(sent);
      const byBasic = !form.has('client_secret') && isBasic(request.headers.authorization, clientId, secret);
      const byPost =
        request.headers.authorization === undefined &&
        form.get('client_id') === clientId &&
        form.get('client_secret') === secret;
      if (secret === '' || !(server.authMethod === 'client_secret_basic' ? byBasic : byPost)) {
        throw new OAuthError(401, 'invalid_client');
      }
      last = Object.fromEntries([...form].filter(([name]) => !/^(grant_type|client_id|client_secret)$/.test(name)));
      serial++;
      const token = `CANARY-oauth-token-${serial}`;
      secrets.add(token);
      return { access_token: token, token_type: 'Bearer', expires_in: 3600, ...server.answers };
    },
  };
  return server;
}

/** Id and secret are form-encoded before they are joined (RFC 6749, section 2.3.1), so any encoding of them is right. */
function isBasic(header = '', clientId: string, secret: string): boolean {
  const joined = Buffer.from(header.replace(/^Basic /, ''), 'base64').toString();
  const [id, value, ...more] = joined.split(':').map((part) => new URLSearchParams(`x=${part}`).get('x'));
  return header.startsWith('Basic ') && id === clientId && value === secret && more.length === 0;
}
