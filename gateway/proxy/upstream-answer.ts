import { GatewayError } from '../errors.ts';
import { contentEncodingOf } from './headers.ts';

/** Answers of an upstream that must not pass: nobody else's redirect, login or encoding reaches a client. */
export function refusedAnswer(status: number, raw: readonly (Buffer | string)[]): GatewayError | undefined {
  if (status >= 300 && status < 400) return new GatewayError('upstream_redirect', 'outcome_withheld');
  if (status === 401 || status === 403 || status === 407) {
    return new GatewayError('upstream_refused_credential', 'outcome_withheld', `It answered ${status}.`);
  }
  const encoded = contentEncodingOf(raw) !== undefined || hasTransferCoding(raw);
  return encoded ? new GatewayError('upstream_encoded', 'outcome_withheld') : undefined;
}

/** Chunks are taken off on the way; what else is in Transfer-Encoding (RFC 9112, section 7) would stay on the body. */
function hasTransferCoding(raw: readonly (Buffer | string)[]): boolean {
  return headersOf(raw).some(([name, value]) => name === 'transfer-encoding' && !/^\s*chunked\s*$/i.test(value));
}

/** Names in lower case, values as their bytes. */
export function headersOf(raw: readonly (Buffer | string)[]): [string, string][] {
  const found: [string, string][] = [];
  for (let index = 0; index + 1 < raw.length; index += 2) {
    found.push([String(raw[index]).toLowerCase(), raw[index + 1]?.toString('latin1') ?? '']);
  }
  return found;
}

/**
 * The upstream's `Mcp-Session-Id`: visible ASCII (2025-11-25, Transports, "Session Management"), one, and no longer than
 * what the gateway opens again once it is sealed. Throws `upstream_broken`.
 */
export function mcpSessionIn(headers: readonly (readonly [string, string])[]): string | undefined {
  const [id, another] = headers.flatMap(([name, value]) => (name === 'mcp-session-id' ? [value] : []));
  if (id === undefined) return undefined;
  if (another === undefined && /^[\x21-\x7e]{1,4096}$/.test(id)) return id;
  throw new GatewayError('upstream_broken', 'outcome_withheld', 'Its Mcp-Session-Id is not acceptable.');
}
