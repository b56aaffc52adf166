import { isUtf8 } from 'node:buffer';
import type { ClientMessage } from './message.ts';
import { nameOf, ownMember } from './methods.ts';

/**
 * Two eras of MCP (2026-07-28, Versioning, "Terminology"). Legacy opens a session with `initialize`; modern carries
 * version and capabilities in each request. They differ in what a disconnect means, in sessions, streams and batches,
 * and in which headers must mirror the body.
 */
export type Era = 'legacy' | 'modern';

/** The first revision of the modern era. */
export const MODERN = '2026-07-28';

/** Where a modern request's body says its version. */
export const VERSION_KEY = 'io.modelcontextprotocol/protocolVersion';

/** The one revision with JSON-RPC batches, and what an absent header stands for (2025-06-18 and later, Transports). */
const BATCHING = '2025-03-26';

/** A version is a date, or was a word while a revision was a draft: anything that can be one token of a header. */
const VERSION = /^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$/;

/** The header values as received, field names matched without regard to case. */
export interface MirrorHeaders {
  readonly protocolVersion?: string | undefined;
  readonly mcpMethod?: string | undefined;
  readonly mcpName?: string | undefined;
}

export interface HeaderRefusal {
  readonly code: 'header_mismatch' | 'unsupported_version';
  readonly words: string;
}

/**
 * Whether arrays may be read as batches, by the MCP-Protocol-Version header. SDK 1 servers run a batch under every
 * version, so "the upstream will refuse it" is no protection: elsewhere an array is refused here, and in a batch every
 * element is checked.
 */
export function allowsBatch(protocolVersion: string | undefined): boolean {
  return protocolVersion === undefined || withoutSpace(protocolVersion) === BATCHING;
}

/** Whether `params._meta` says a protocol version, be it well-formed or not. */
export function claimsVersion(params: unknown): boolean {
  const meta = ownMember(params, '_meta');
  return typeof meta === 'object' && meta !== null && Object.hasOwn(meta, VERSION_KEY);
}

/**
 * The era of a POST. The body decides where it says a version, else the header does; a request that says none is legacy
 * (an absent header stands for 2025-03-26). A header that contradicts the body is for `checkHeaders` to refuse.
 *
 * Versions compare as text, as the SDKs compare them, so a future date, a draft's name and a claim that is no string
 * are modern: the era with the stricter rules.
 */
export function eraOf(protocolVersion: string | undefined, messages: readonly ClientMessage[]): Era {
  const claimed = messages.filter(({ params }) => claimsVersion(params));
  if (claimed.length > 0) return claimed.some(({ params }) => isModern(claimOf(params))) ? 'modern' : 'legacy';
  return protocolVersion !== undefined && isModern(withoutSpace(protocolVersion)) ? 'modern' : 'legacy';
}

function isModern(version: unknown): boolean {
  return typeof version !== 'string' || version >= MODERN;
}

function claimOf(params: unknown): unknown {
  return ownMember(ownMember(params, '_meta'), VERSION_KEY);
}

/**
 * Compares the headers that mirror the body with the body (2026-07-28, Streamable HTTP, "Server Validation").
 * The body is the truth and policy decides on the body alone; but other hops route on the headers, so a header unlike
 * the body is refused in either era. Modern requests must have the headers; legacy ones may.
 *
 * Only a version that can't be one is refused as unsupported. A well-formed version that this gateway does not know
 * passes: the specification has the *server* answer -32022 with the versions which it supports, and a client picks its
 * next attempt from that list, which only the upstream can write. For the same reason a modern header over a body
 * without metadata passes: the server's answer is -32602.
 */
export function checkHeaders(
  headers: MirrorHeaders,
  messages: readonly ClientMessage[],
  era: Era,
): HeaderRefusal | undefined {
  const version = trimmed(headers.protocolVersion);
  if (version !== undefined && !VERSION.test(version)) {
    return isFieldValue(version)
      ? { code: 'unsupported_version', words: 'MCP-Protocol-Version is not one version.' }
      : mismatch('MCP-Protocol-Version holds characters that a header may not hold.');
  }
  if (era === 'modern' && version === undefined) return mismatch('MCP-Protocol-Version is missing.');
  for (const message of messages) {
    if (version !== undefined && claimsVersion(message.params) && claimOf(message.params) !== version) {
      return mismatch('MCP-Protocol-Version is not the version in the body.');
    }
    const refusal =
      checkMethod(trimmed(headers.mcpMethod), message, era) ?? checkName(trimmed(headers.mcpName), message, era);
    if (refusal !== undefined) return refusal;
  }
  return undefined;
}

/** Mcp-Method is never encoded, and compares with regard to case ("Case Sensitivity"). */
function checkMethod(header: string | undefined, message: ClientMessage, era: Era): HeaderRefusal | undefined {
  if (header === undefined) return isRequired(message, era) ? mismatch('Mcp-Method is missing.') : undefined;
  return header === message.method ? undefined : mismatch('Mcp-Method is not the method in the body.');
}

/** Where Mcp-Name is required: the table in "Standard Request Headers", and SEP-2663 for tasks. */
const NAME_REQUIRED: ReadonlySet<string> = new Set([
  'tools/call',
  'prompts/get',
  'resources/read',
  'tasks/get',
  'tasks/update',
  'tasks/cancel',
]);

function checkName(header: string | undefined, message: ClientMessage, era: Era): HeaderRefusal | undefined {
  const method = message.method ?? '';
  const name = nameOf(method, message.params);
  if (header === undefined) {
    // A body without the name is not a header's fault: the server answers -32602.
    const missing = name !== undefined && NAME_REQUIRED.has(method) && isRequired(message, era);
    return missing ? mismatch('Mcp-Name is missing.') : undefined;
  }
  const decoded = decodeHeaderValue(header);
  if (decoded === undefined) return mismatch('Mcp-Name is not validly encoded.');
  return decoded === name ? undefined : mismatch('Mcp-Name is not the name in the body.');
}

/** 2026-07-28 defines no header requirements for notifications (note in "Sending Messages"). */
function isRequired(message: ClientMessage, era: Era): boolean {
  return era === 'modern' && message.kind === 'request';
}

/**
 * Compares headers that mirror arguments with the arguments (2026-07-28, "Custom Headers from Tool Parameters"). Which of
 * them each one mirrors stands in a schema that is not at hand, so its value must be that of some argument: a server that
 * reads the header is told nothing that policy has not seen. `values`: of all headers whose name begins with Mcp-Param-.
 */
export function checkParams(
  values: readonly string[],
  messages: readonly Pick<ClientMessage, 'params'>[],
): HeaderRefusal | undefined {
  if (values.length === 0) return undefined;
  const known = new Set(messages.flatMap(({ params }) => scalarsIn(ownMember(params, 'arguments'))));
  for (const value of values) {
    const decoded = decodeHeaderValue(withoutSpace(value));
    if (decoded === undefined) return mismatch('A header of an argument is not validly encoded.');
    const number = /^-?\d/.test(decoded) ? String(Number(decoded)) : decoded;
    if (!known.has(decoded) && !known.has(number))
      return mismatch('A header of an argument is no argument of the body.');
  }
  return undefined;
}

function scalarsIn(root: unknown): string[] {
  const found: string[] = [];
  const waiting = [root];
  for (let value = waiting.pop(); value !== undefined; value = waiting.pop()) {
    if (typeof value !== 'object') found.push(String(value));
    else if (value !== null) for (const child of Object.values(value)) waiting.push(child);
  }
  return found;
}

const PREFIX = '=?base64?';
const SUFFIX = '?=';
const BASE64 = /^(?:[A-Za-z0-9+/]{4})*(?:[A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?$/;

/**
 * A header value as the body has it (2026-07-28, Streamable HTTP, "Value Encoding"): plain visible ASCII, or the Base64
 * of its UTF-8 between `=?base64?` and `?=`. `undefined` where it is neither, so that no two readers decode it unlike.
 */
export function decodeHeaderValue(value: string): string | undefined {
  if (!isFieldValue(value)) return undefined;
  if (!value.startsWith(PREFIX) || !value.endsWith(SUFFIX)) return value;
  // In `=?base64?=` prefix and suffix share a character; read as plain or as empty, it would have two meanings.
  if (value.length < PREFIX.length + SUFFIX.length) return undefined;
  const encoded = value.slice(PREFIX.length, -SUFFIX.length);
  if (!BASE64.test(encoded)) return undefined;
  const bytes = Buffer.from(encoded, 'base64');
  // Padding bits that are not zero would let two headers stand for one name.
  return bytes.toString('base64') === encoded && isUtf8(bytes) ? bytes.toString('utf8') : undefined;
}

/** RFC 9110, section 5.5, as the specification narrows it: visible ASCII, space and tab. */
function isFieldValue(value: string): boolean {
  return /^[\t\x20-\x7e]*$/.test(value);
}

/** White space around a field value is not part of it (RFC 9110, section 5.5). */
function withoutSpace(value: string): string {
  let start = 0;
  let end = value.length;
  while (start < end && isBlank(value[start])) start++;
  while (end > start && isBlank(value[end - 1])) end--;
  return value.slice(start, end);
}

function isBlank(character: string | undefined): boolean {
  return character === ' ' || character === '\t';
}

function trimmed(value: string | undefined): string | undefined {
  return value === undefined ? undefined : withoutSpace(value);
}

function mismatch(words: string): HeaderRefusal {
  return { code: 'header_mismatch', words };
}
