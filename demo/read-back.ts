/** Ana's conversation as the recording has it. Nothing here was remembered from the conversation itself. */
import { cut } from '../gateway/cli/terminal.ts';
import { createExchangeGrouping, type Exchange, releasedBytes, requestBytes } from '../gateway/recording/exchange.ts';
import type { ApprovalFrame, RequestMessage } from '../gateway/recording/frame.ts';
import type { Recordings } from '../gateway/recording/read.ts';

export interface ReadBack {
  /** The tools of the first list, and how many of the server's the gateway had taken out; undefined without a list. */
  readonly offered: { readonly names: readonly string[]; readonly hidden: number } | undefined;
  readonly calls: readonly ToolCall[];
}

export interface ToolCall {
  readonly name: string;
  readonly asked: string;
  /** The first text of the answer, or the error's words. */
  readonly got: string;
  readonly decision: RequestMessage['decision'];
  /** `complete`, or the code of the gateway's refusal. */
  readonly result: string | undefined;
  readonly isForwarded: boolean;
  /** Who approved it, by their subjects. */
  readonly approvedBy: readonly string[];
}

const WIDTH = 76;

/** @throws what `recordings` throw of segments that do not hold. */
export async function readBack(recordings: Recordings, session: string): Promise<ReadBack> {
  const grouping = createExchangeGrouping();
  const approvals = new Map<string, ApprovalFrame['approval']>();
  const calls: ToolCall[] = [];
  const hidden = new Map<unknown, number>();
  let offered: ReadBack['offered'];
  for await (const item of recordings.frames(session)) {
    if (item.kind !== 'frame') continue;
    const { frame } = item;
    if (frame.type === 'approval') approvals.set(frame.exchange, frame.approval);
    if (frame.type === 'event' && frame.event.name === 'list.filtered')
      hidden.set(frame.event.exchange, Number(frame.event.count));
    const exchange = grouping.add(frame);
    if (exchange === undefined) continue;
    const names = toolsIn(exchange);
    if (names !== undefined) offered ??= { names, hidden: hidden.get(exchange.id) ?? 0 };
    const call = toolCall(exchange, approvals.get(exchange.id));
    if (call !== undefined) calls.push(call);
  }
  return { offered, calls };
}

function toolsIn(exchange: Exchange): string[] | undefined {
  if (exchange.request?.messages.some(({ method }) => method === 'tools/list') !== true) return undefined;
  const answer = answerIn(releasedBytes(exchange).toString()) as { result?: { tools?: { name: string }[] } };
  return answer.result?.tools?.map(({ name }) => name);
}

function toolCall(exchange: Exchange, approval: ApprovalFrame['approval'] | undefined): ToolCall | undefined {
  const message = exchange.request?.messages.find(({ method }) => method === 'tools/call');
  if (message === undefined) return undefined;
  const asked = JSON.parse(requestBytes(exchange).toString()) as { params?: { arguments?: Record<string, unknown> } };
  const input = asked.params?.arguments ?? {};
  return {
    name: message.name ?? '',
    asked: typeof input.sql === 'string' ? input.sql : JSON.stringify(input),
    got: wordsIn(releasedBytes(exchange).toString()),
    decision: message.decision,
    result: exchange.end?.outcome.result,
    isForwarded: exchange.end?.outcome.fate !== 'not_forwarded',
    approvedBy: approval?.state === 'approved' ? (approval.by ?? []).map(({ subject }) => subject) : [],
  };
}

interface Answer {
  readonly result?: { readonly content?: readonly { readonly text?: string }[] };
  readonly error?: { readonly message?: string };
}

function wordsIn(body: string): string {
  const { result, error } = answerIn(body) as Answer;
  return result?.content?.[0]?.text ?? error?.message ?? cut(body, WIDTH);
}

/** The message that answers: a JSON body, or the data of the last event. */
function answerIn(body: string): object {
  const data = body.startsWith('{')
    ? body
    : (body.split('\n').findLast((line) => line.startsWith('data: {')) ?? 'data: {}').slice('data: '.length);
  return JSON.parse(data) as object;
}
