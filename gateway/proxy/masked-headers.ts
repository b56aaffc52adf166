/** What stands beside a body that is masked: headers and a query would carry around the mask what it takes out. */
import { decodeHeaderValue } from '../mcp/eras.ts';
import { finds, isNone, type Masks } from './masking.ts';

/** Sealed by the gateway, or compared with the body: of a name that is kept there the header is kept too. */
const OF_THE_PROTOCOL = new Set(['mcp-session-id', 'mcp-protocol-version', 'mcp-method', 'mcp-name', 'last-event-id']);
/** The gateway's own, and what it records as a fingerprint anyway. */
const OWN = new Set(['host', 'authorization', 'content-length', 'connection']);

export interface Beside {
  /** Names in lower case: recorded as fingerprints, and not forwarded. */
  readonly hidden: ReadonlySet<string>;
  /** One of them has a meaning for the server, so the call can't go without it. */
  readonly isMeant: boolean;
}

export function findBeside(rawHeaders: readonly string[], search: string, masks: Masks): Beside {
  const hidden = new Set<string>();
  if (isNone(masks)) return { hidden, isMeant: false };
  let isMeant = finds(masks, unescaped(search));
  for (let index = 0; index + 1 < rawHeaders.length; index += 2) {
    const name = (rawHeaders[index] ?? '').toLowerCase();
    if (OF_THE_PROTOCOL.has(name) || OWN.has(name)) continue;
    if (holds(masks, rawHeaders[index + 1] ?? '')) {
      hidden.add(name);
      isMeant ||= name.startsWith('mcp-') || name === 'accept';
    } else if (name.startsWith('mcp-param-')) hidden.add(name);
  }
  return { hidden, isMeant };
}

/** Of an answer's headers. */
export function holdMasked(headers: readonly string[], masks: Masks): boolean {
  if (isNone(masks)) return false;
  return headers.some((value, index) => {
    const name = (headers[index - 1] ?? '').toLowerCase();
    return index % 2 === 1 && !OF_THE_PROTOCOL.has(name) && holds(masks, value);
  });
}

function holds(masks: Masks, value: string): boolean {
  // Node gives a header's bytes as ISO 8859-1; who writes more than ASCII into one writes UTF-8.
  const text = Buffer.from(value, 'latin1').toString('utf8');
  const decoded = decodeHeaderValue(value);
  return finds(masks, text) || (decoded !== undefined && decoded !== value && finds(masks, decoded));
}

function unescaped(search: string): string {
  try {
    return decodeURIComponent(search.replaceAll('+', ' '));
  } catch {
    return search;
  }
}
