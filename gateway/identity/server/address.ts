/** Where a request to the authorization server is addressed: a connection's issuer, or the gateway's own pages. */
import type { IncomingMessage } from 'node:http';
import type { Config, ConnectionConfig } from '../../config.ts';

export type LoginAddress =
  /** `prefix`: what stands in front of `path` at the issuer's host, '' or `/<connection>`. */
  | {
      readonly kind: 'connection';
      readonly connection: ConnectionConfig;
      readonly prefix: string;
      readonly path: string;
      readonly query: URLSearchParams;
    }
  | { readonly kind: 'gateway'; readonly path: string; readonly query: URLSearchParams };

const METADATA = ['/.well-known/oauth-authorization-server', '/.well-known/openid-configuration'] as const;

/** undefined for addresses that are none of the authorization server's. The host only chooses among configured ones. */
export function loginAddressOf(config: Config, request: IncomingMessage): LoginAddress | undefined {
  const host = (request.headers.host ?? '').toLowerCase().replace(/:\d+$/, '');
  const url = request.url ?? '/';
  const mark = url.indexOf('?');
  const whole = mark < 0 ? url : url.slice(0, mark);
  const query = new URLSearchParams(mark < 0 ? '' : url.slice(mark + 1));
  for (const connection of Object.values(config.connections)) {
    if (connection.host !== host) continue;
    return isServed(whole) ? { kind: 'connection', connection, prefix: '', path: whole, query } : undefined;
  }
  const { name, path } = splitIssuer(whole);
  const connection = config.connections[name];
  if (connection !== undefined && connection.host === undefined) {
    return isServed(path) ? { kind: 'connection', connection, prefix: `/${name}`, path, query } : undefined;
  }
  return /^\/(oauth|connect|approvals|access)(\/|$)/.test(whole) ? { kind: 'gateway', path: whole, query } : undefined;
}

function isServed(path: string): boolean {
  return path.startsWith('/oauth/') || METADATA.some((one) => one === path);
}

/** RFC 8414 puts the issuer's path behind the well-known part; OpenID Connect Discovery puts that behind the issuer. */
function splitIssuer(whole: string): { name: string; path: string } {
  for (const metadata of METADATA) {
    if (whole.startsWith(`${metadata}/`)) return { name: whole.slice(metadata.length + 1), path: metadata };
  }
  const [, name = ''] = whole.split('/', 2);
  return { name, path: whole.slice(name.length + 1) };
}
