import { createHash } from 'node:crypto';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { LoginError, reason } from './login-error.ts';

const PATH = '/callback';
const STYLE =
  ':root{color-scheme:light dark}body{margin:0;min-height:100vh;display:grid;place-items:center;font:16px/1.5 system-ui,sans-serif}main{padding:24px;text-align:center}h1{font-size:22px;margin:0 0 4px}p{margin:0;opacity:.75}';
const HEADERS = {
  'Content-Type': 'text/html; charset=utf-8',
  'Content-Security-Policy': `default-src 'none'; style-src 'sha256-${createHash('sha256').update(STYLE).digest('base64')}'; form-action 'none'; frame-ancestors 'none'; base-uri 'none'`,
  // This page's own address holds the code.
  'Referrer-Policy': 'no-referrer',
  'X-Content-Type-Options': 'nosniff',
  'Cache-Control': 'no-store',
  Connection: 'close',
};

export interface LoginCallback {
  /** `http://127.0.0.1:<any free port>/callback` (RFC 8252, section 7.3). */
  readonly redirectUri: string;
  /** The authorization response: the whole URL that the browser was sent to, once. */
  readonly answer: Promise<URL>;
  /** Shows the person in the browser how it ended. */
  finish(outcome: 'done' | 'failed'): void;
  close(): void;
}

/**
 * Waits on this machine for the browser to come back from the authorization server.
 *
 * Only an answer with this login's `state` counts: any page in the person's browser can send requests here, and none of
 * them may end the login or slip in a code of its own.
 *
 * @throws LoginError `no_loopback` where the machine does not let it listen.
 */
export async function listenForCallback(state: string): Promise<LoginCallback> {
  let host = '';
  let waiting: ServerResponse | undefined;
  let arrive: (url: URL) => void = () => {};
  const answer = new Promise<URL>((resolve) => {
    arrive = resolve;
  });

  function handle(request: IncomingMessage, response: ServerResponse): void {
    const url = URL.parse(request.url ?? '', `http://${host}`);
    if (request.headers.host !== host || request.method !== 'GET' || url?.pathname !== PATH) {
      show(response, 404, 'Nothing here', 'A login of verbatim waits at this address.');
      return;
    }
    const states = url.searchParams.getAll('state');
    if (waiting !== undefined || states.length !== 1 || states[0] !== state) {
      show(response, 400, 'Not this login', 'This answer does not belong to the login that waits here.');
      return;
    }
    waiting = response;
    arrive(url);
  }

  const server = createServer(handle);
  await new Promise<void>((resolve, reject) => {
    server.once('error', (error) =>
      reject(new LoginError('no_loopback', `Could not listen on 127.0.0.1 (${reason(error)}).`, { cause: error })),
    );
    server.listen(0, '127.0.0.1', resolve);
  });
  host = `127.0.0.1:${(server.address() as AddressInfo).port}`;

  return {
    redirectUri: `http://${host}${PATH}`,
    answer,
    finish(outcome) {
      if (waiting === undefined || waiting.writableEnded) return;
      if (outcome === 'done') show(waiting, 200, 'You are logged in', 'You can close this page.');
      else show(waiting, 400, 'The login failed', 'Your terminal says why. You can close this page.');
    },
    close() {
      server.close();
      // Browsers open connections ahead of need and keep them: none of them may hold the program.
      if (waiting === undefined || waiting.writableFinished) server.closeAllConnections();
      else waiting.once('finish', () => server.closeAllConnections());
    },
  };
}

function show(response: ServerResponse, status: number, title: string, words: string): void {
  response.writeHead(status, HEADERS);
  response.end(
    `<!doctype html><html lang="en"><head><meta charset="utf-8"><title>${title} · Verbatim</title><style>${STYLE}</style></head><body><main><h1>${title}</h1><p>${words}</p></main></body></html>`,
  );
}
