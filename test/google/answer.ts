import type { IncomingMessage, ServerResponse } from 'node:http';
import type { Trouble } from './google.ts';

/** A refusal as Google's APIs write it. Its words quote the request, as a careless server's would. */
export class GoogleError extends Error {
  override readonly name = 'GoogleError';
  readonly http: number;
  readonly status: string;

  constructor(http: number, status: string) {
    super(status);
    this.http = http;
    this.status = status;
  }
}

/** A refusal of a token endpoint: RFC 6749, section 5.2. */
export class OAuthError extends Error {
  override readonly name = 'OAuthError';
  readonly http: number;
  readonly code: string;

  constructor(http: number, code: string) {
    super(code);
    this.http = http;
    this.code = code;
  }
}

const STATUS: Partial<Record<Trouble, string>> = {
  400: 'FAILED_PRECONDITION',
  403: 'PERMISSION_DENIED',
  404: 'NOT_FOUND',
  429: 'RESOURCE_EXHAUSTED',
  500: 'INTERNAL',
  503: 'UNAVAILABLE',
};

export function answerOk(response: ServerResponse, body: unknown, headers: Record<string, string> = {}): void {
  answer(response, 200, body, headers);
}

export function answerError(response: ServerResponse, found: unknown, request: IncomingMessage, body: string): void {
  const echo = `You sent ${request.headers.authorization} ${body}`;
  if (found instanceof OAuthError) {
    answer(response, found.http, { error: found.code, error_description: echo });
  } else {
    const { http, status } = found instanceof GoogleError ? found : new GoogleError(500, 'INTERNAL');
    answer(response, http, { error: { code: http, message: echo, status } });
  }
}

export function answerTrouble(response: ServerResponse, what: Trouble, request: IncomingMessage, body: string): void {
  if (what === 'stall') return;
  if (what === 'redirect') response.writeHead(307, { location: '/elsewhere' }).end();
  else if (what === 'huge') answerOk(response, { padding: 'x'.repeat(1024 * 1024) });
  else if (what === 'garbage') response.writeHead(200, { 'content-type': 'application/json' }).end(`<${body}`);
  else if (what === 'echo') {
    const echo = `CANARY ${request.headers.authorization} ${body}`;
    const isOAuth = /token$/.test(request.url ?? '');
    answer(response, 400, { error: isOAuth ? echo : { code: echo, status: echo, message: echo } });
  } else answerError(response, new GoogleError(what, STATUS[what] ?? 'UNKNOWN'), request, body);
}

function answer(response: ServerResponse, status: number, body: unknown, headers: Record<string, string> = {}): void {
  response
    .writeHead(status, { 'content-type': 'application/json; charset=UTF-8', ...headers })
    .end(JSON.stringify(body));
}
