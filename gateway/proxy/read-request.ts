/** Reads what a client sent, strictly: what two parsers could read differently is refused before anybody acts on it. */
import type { IncomingMessage } from 'node:http';
import { GatewayError } from '../errors.ts';
import { allowsBatch, checkHeaders, checkParams, type Era, eraOf } from '../mcp/eras.ts';
import { parseStrictJson } from '../mcp/json.ts';
import { type ClientMessage, readMessages } from '../mcp/message.ts';
import type { Asked } from './answer.ts';

export interface ReadRequest {
  readonly messages: readonly ClientMessage[];
  readonly batch: boolean;
  readonly era: Era;
  /** Set for messages of the 2024-11-05 transport, which are answered on its stream. */
  readonly elsewhere?: boolean;
  /** Why it may not pass. */
  readonly refused?: GatewayError;
}

/** How long a body may take: so much, and more the more of it has come, so that byte by byte is too slow. */
export interface Patience {
  /** Milliseconds. */
  readonly first: number;
  readonly bytesPerSecond: number;
}

/** A place among the calls that a principal may have, and what has come of the body, are held meanwhile. */
const PATIENCE: Patience = { first: 60_000, bytesPerSecond: 8 * 1024 };

/**
 * The whole body. Throws `body_too_large`, `bad_http` (trailers, the client went away before the end, or it came too
 * slowly), or the signal's reason.
 */
export function readBody(
  request: IncomingMessage,
  limit: number,
  signal: AbortSignal,
  patience: Patience = PATIENCE,
): Promise<Buffer> {
  return new Promise((done, fail) => {
    const chunks: Buffer[] = [];
    let size = 0;
    const began = performance.now();
    let late: NodeJS.Timeout | undefined;
    // Listeners and no async iterator, which costs more than the rest of the reading.
    const stop = (error: GatewayError | undefined): void => {
      request.off('data', onData).off('end', onEnd).off('error', onBroken).off('close', onBroken);
      signal.removeEventListener('abort', onAbort);
      clearTimeout(late);
      if (error === undefined) done(chunks.length === 1 && chunks[0] !== undefined ? chunks[0] : Buffer.concat(chunks));
      // Not destroyed: that would take the connection down before the refusal is out.
      else fail(error);
    };
    const onData = (chunk: Buffer): void => {
      size += chunk.length;
      chunks.push(chunk);
      if (size > limit) {
        request.pause();
        stop(tooLarge(limit));
      }
    };
    const onEnd = (): void => {
      const trailers = request.rawTrailers.length > 0;
      stop(trailers ? new GatewayError('bad_http', 'not_forwarded', 'Trailers are not accepted.') : undefined);
    };
    const onBroken = (cause?: Error): void =>
      stop(new GatewayError('bad_http', 'not_forwarded', 'The body ended early.', { cause }));
    const onAbort = (): void => {
      request.pause();
      const { reason } = signal;
      stop(reason instanceof GatewayError ? reason : tooSlow());
    };
    const look = (): void => {
      const left = patience.first + (size / patience.bytesPerSecond) * 1000 - (performance.now() - began);
      if (left > 0) late = setTimeout(look, Math.ceil(left)).unref();
      else {
        request.pause();
        stop(tooSlow());
      }
    };
    if (Number(request.headers['content-length'] ?? 0) > limit) return fail(tooLarge(limit));
    if (signal.aborted) return onAbort();
    if (request.destroyed) return onBroken();
    signal.addEventListener('abort', onAbort);
    late = setTimeout(look, patience.first).unref();
    request.on('data', onData).on('end', onEnd).on('error', onBroken).on('close', onBroken);
  });
}

function tooSlow(): GatewayError {
  return new GatewayError('bad_http', 'not_forwarded', 'The body came too slowly.');
}

function tooLarge(limit: number): GatewayError {
  return new GatewayError('body_too_large', 'not_forwarded', `The limit is ${limit} bytes.`);
}

/** GET and DELETE carry no message; a body there would be one that nobody reads. */
export function readBodiless(request: IncomingMessage, body: Buffer): ReadRequest {
  const era = eraOf(single(request, 'mcp-protocol-version'), []);
  if (body.length === 0) return { messages: [], batch: false, era };
  const refused = new GatewayError('bad_http', 'not_forwarded', `${request.method} takes no body.`);
  return { messages: [], batch: false, era, refused };
}

export function readPost(request: IncomingMessage, body: Buffer): ReadRequest {
  const version = single(request, 'mcp-protocol-version');
  const nothing = { messages: [], batch: false, era: eraOf(version, []) } as const;
  const media = checkMediaType(request);
  if (media !== undefined) return { ...nothing, refused: media };
  const json = parseStrictJson(body);
  if (!json.ok)
    return { ...nothing, refused: new GatewayError('parse_error', 'not_forwarded', `${json.words} (byte ${json.at})`) };
  const read = readMessages(json.value, { batch: allowsBatch(version) });
  if (!read.ok) return { ...nothing, refused: new GatewayError('invalid_request', 'not_forwarded', read.words) };
  const era = eraOf(version, read.messages);
  const mirror = {
    protocolVersion: version,
    mcpMethod: single(request, 'mcp-method'),
    mcpName: single(request, 'mcp-name'),
  };
  const params = Object.keys(request.headers).filter((name) => name.startsWith('mcp-param-'));
  const unlike =
    checkHeaders(mirror, read.messages, era) ??
    checkParams(
      params.map((name) => single(request, name) ?? ''),
      read.messages,
    );
  const { messages, batch } = read;
  if (unlike === undefined) return { messages, batch, era };
  return { messages, batch, era, refused: new GatewayError(unlike.code, 'not_forwarded', unlike.words) };
}

function checkMediaType(request: IncomingMessage): GatewayError | undefined {
  const type = single(request, 'content-type') ?? '';
  const encoding = single(request, 'content-encoding');
  if (encoding !== undefined && encoding.trim().toLowerCase() !== 'identity') {
    return new GatewayError('unsupported_media_type', 'not_forwarded');
  }
  // RFC 8259: JSON between systems is UTF-8; another charset parameter would be read two ways.
  const match = /^application\/json\s*(?:;\s*charset\s*=\s*"?([^";\s]+)"?\s*)?$/i.exec(type.trim());
  if (match === null || (match[1] !== undefined && match[1].toLowerCase() !== 'utf-8')) {
    return new GatewayError('unsupported_media_type', 'not_forwarded');
  }
  return undefined;
}

function single(request: IncomingMessage, name: string): string | undefined {
  const value = request.headers[name];
  return Array.isArray(value) ? value.join(', ') : value;
}

/** The requests in it that await an answer. */
export function askedOf(read: ReadRequest): Asked {
  const ids = read.messages.flatMap(({ kind, id }) => (kind === 'request' && id !== undefined ? [id] : []));
  return { ids, batch: read.batch, ...(read.elsewhere === true ? { elsewhere: true } : {}) };
}
