/** Addresses of the gateway as an OAuth client of upstreams: where their consents come back to, and its own document. */
import { clientDocument } from '../../proxy/credential-user-client.ts';
import { LoginRefused } from '../broker/identity-provider.ts';
import { messagePage } from '../pages/message.ts';
import type { Accounts } from './accounts.ts';
import type { GatewayVisit } from './routes.ts';
import { redirect, sendPage } from './web.ts';

/** Whether the request is one of these; if so it is answered. */
export async function serveUpstreams(accounts: Accounts, visit: GatewayVisit): Promise<boolean> {
  const { login, request, response, path, query } = visit;
  if (request.method !== 'GET') return false;
  const [, callback] = /^\/oauth\/upstream\/callback\/([a-z][a-z0-9-]*)$/.exec(path) ?? [];
  if (callback !== undefined) {
    try {
      redirect(response, await accounts.onward(login, callback, `?${query}`));
    } catch (error) {
      if (!(error instanceof LoginRefused)) throw error;
      const action = { label: 'Your connections', href: `${login.config.publicUrl}/connect` };
      const page = { status: 400, title: 'Your account is not connected', words: error.message, action };
      sendPage(response, messagePage(page));
    }
    return true;
  }
  const [, document] = /^\/oauth\/client\/([a-z][a-z0-9-]*)\.json$/.exec(path) ?? [];
  const connection = login.config.connections[document ?? ''];
  if (document === undefined || connection === undefined) return false;
  const bytes = Buffer.from(JSON.stringify(clientDocument(login.config.publicUrl, connection)));
  response.writeHead(200, {
    'content-type': 'application/json',
    'cache-control': 'max-age=3600',
    'content-length': String(bytes.length),
  });
  response.end(bytes);
  return true;
}
