/** What the recording says of a scenario: what was called, in which revision, with what outcome. */
import type { Exchange } from '../../gateway/recording/exchange.ts';
import { type DataFrame, pieceBytes, type RequestMessage } from '../../gateway/recording/frame.ts';
import type { GatewayUnderTest } from '../gateway-under-test.ts';
import { exchangesOf, framesOf } from '../recorded.ts';

export interface Observed {
  /** The first request: `server/discover` in the modern era, `initialize` in the legacy one. */
  readonly opening: string;
  /** The request that went furthest: `tools/call`, else the last one. */
  readonly call: string;
  readonly revision: string;
  /** The name that the client gave itself. */
  readonly name: string;
  /** What went wrong, by the recording. */
  readonly failures: readonly string[];
}

const REVISION = /"protocolVersion"\s*:\s*"(\d{4}-\d{2}-\d{2})"/g;

export async function observe(gateway: GatewayUnderTest): Promise<Observed> {
  const exchanges = await exchangesOf(gateway);
  const requests = exchanges.flatMap((exchange) => requestsOf(exchange).map((message) => ({ exchange, message })));
  const called = requests.findLast(({ message }) => message.method === 'tools/call') ?? requests.at(-1);
  return {
    opening: requests[0]?.message.method ?? 'nothing',
    call: called?.message.method ?? 'nothing',
    revision: headerOf(called?.exchange, 'mcp-protocol-version') ?? agreedOn(exchanges) ?? 'unknown',
    name: await clientName(gateway),
    failures: exchanges.flatMap(failuresOf),
  };
}

function requestsOf({ request }: Exchange): readonly RequestMessage[] {
  return (request?.messages ?? []).filter(({ kind }) => kind === 'request');
}

function headerOf(exchange: Exchange | undefined, name: string): string | undefined {
  const header = exchange?.request?.headers.find((one) => one.name.toLowerCase() === name);
  return header !== undefined && 'value' in header ? header.value : undefined;
}

/** The revision of the last `initialize` result: in the 2024-11-05 transport it stands on the GET's stream. */
function agreedOn(exchanges: readonly Exchange[]): string | undefined {
  const text = exchanges.flatMap(({ data }) => data.filter(fromUpstream)).map((piece) => pieceBytes(piece).toString());
  return [...text.join('\n').matchAll(REVISION)].at(-1)?.[1];
}

const fromUpstream = ({ from }: DataFrame): boolean => from === 'upstream';

/** The last one counts: mcp-remote opens a session to try the server before its host opens one. */
async function clientName(gateway: GatewayUnderTest): Promise<string> {
  const names = (await framesOf(gateway)).flatMap((frame) =>
    frame.type === 'event' && frame.event.name === 'client' ? [(frame.event.client as { name: string }).name] : [],
  );
  return names.at(-1) ?? 'unknown';
}

/**
 * A refusal or failure of the gateway, a JSON-RPC error or a tool's own error, each in words. A server of the legacy era
 * is right to refuse `server/discover`.
 */
function failuresOf(exchange: Exchange): string[] {
  const { request, end } = exchange;
  const [asked] = requestsOf(exchange);
  if (end === undefined || asked?.method === 'server/discover') return [];
  const own = ['complete', 'cancelled'].includes(end.outcome.result) ? [] : [end.outcome.result];
  const returned = end.outcome.messages.flatMap(({ error, isError }) =>
    isError ? ['isError'] : error === undefined ? [] : [String(error)],
  );
  const reasons = [...own, ...(asked === undefined ? [] : returned)];
  return reasons.map((reason) => `${asked?.method ?? request?.method}: ${reason}`);
}
