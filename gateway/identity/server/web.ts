/** HTTP for the pages that people see: forms in, pages and cookies out. */
import type { IncomingMessage, ServerResponse } from 'node:http';

interface Page {
  readonly status: number;
  readonly html: string;
  readonly headers: Readonly<Record<string, string>>;
}

export function sendPage(response: ServerResponse, { status, html, headers }: Page): void {
  response.writeHead(status, { ...headers, 'content-length': String(Buffer.byteLength(html)) });
  response.end(html);
}

/** For programs, never kept. */
export function sendJson(
  response: ServerResponse,
  status: number,
  body: unknown,
  headers: Readonly<Record<string, string>> = {},
): void {
  const bytes = Buffer.from(JSON.stringify(body));
  response.writeHead(status, {
    'content-type': 'application/json',
    'cache-control': 'no-store',
    'x-content-type-options': 'nosniff',
    'content-length': String(bytes.length),
    ...headers,
  });
  response.end(bytes);
}

/** 303: the browser goes on with a GET, whatever it came with. */
export function redirect(response: ServerResponse, url: string): void {
  response.writeHead(303, { location: url, 'cache-control': 'no-store', 'content-length': '0' });
  response.end();
}

/** A body of at most `most` bytes; undefined for a longer one, of which nothing more is read. */
export async function readBytes(request: IncomingMessage, most: number): Promise<Buffer | undefined> {
  const pieces: Buffer[] = [];
  let length = 0;
  for await (const piece of request as AsyncIterable<Buffer>) {
    length += piece.length;
    if (length > most) return undefined;
    pieces.push(piece);
  }
  return Buffer.concat(pieces);
}

/** The fields of a form; undefined for another content type or a body beyond `most` bytes. */
export async function readForm(request: IncomingMessage, most: number): Promise<URLSearchParams | undefined> {
  const type = (request.headers['content-type'] ?? '').split(';', 1)[0]?.trim().toLowerCase();
  if (type !== 'application/x-www-form-urlencoded') return undefined;
  const bytes = await readBytes(request, most);
  return bytes === undefined ? undefined : new URLSearchParams(bytes.toString('utf8'));
}

/**
 * Whether a form came from a page of this gateway. Browsers say where a form comes from; one that says nothing is old,
 * and the form's own secret decides.
 */
export function isFromHere(request: IncomingMessage, origin: string): boolean {
  const { origin: from, 'sec-fetch-site': site } = request.headers;
  if (site !== undefined && site !== 'same-origin' && site !== 'none') return false;
  return from === undefined || from === origin;
}

/** The value of a cookie; undefined where there is none, or several of that name. */
export function cookieOf(request: IncomingMessage, name: string): string | undefined {
  const values = (request.headers.cookie ?? '')
    .split(';')
    .map((pair) => pair.trim())
    .filter((pair) => pair.startsWith(`${name}=`))
    .map((pair) => pair.slice(name.length + 1));
  return values.length === 1 ? values[0] : undefined;
}

/**
 * A cookie of this host alone. `__Host-` cookies need TLS; on a loopback address, where there is none, the name goes
 * without: no other host can set cookies for it.
 */
export function hostCookieName(publicUrl: string, name: string): string {
  return publicUrl.startsWith('https:') ? `__Host-${name}` : name;
}

export function setCookie(
  response: ServerResponse,
  publicUrl: string,
  cookie: { readonly name: string; readonly value: string; readonly seconds: number },
): void {
  const secure = publicUrl.startsWith('https:') ? '; Secure' : '';
  const { name, value, seconds } = cookie;
  const line = `${hostCookieName(publicUrl, name)}=${value}; Path=/; Max-Age=${seconds}; HttpOnly; SameSite=Lax${secure}`;
  response.appendHeader('set-cookie', line);
}
