/** One line for each thing that happened: what `tail` prints, and the headings of `show`. */
import type {
  ApprovalFrame,
  EndFrame,
  Frame,
  RecordedDecision,
  RecordedMask,
  RecordedVerdict,
  RequestMessage,
  ReturnedMessage,
} from '../recording/frame.ts';
import type { Problem } from '../recording/read-problem.ts';
import { escapeForTerminal, type Terminal } from './terminal.ts';

/** Which request an exchange's responses answer, by JSON-RPC id. */
export type Asked = ReadonlyMap<string, string>;

export function idKey(id: string | number): string {
  return JSON.stringify(id);
}

export function nameOf(message: { method?: string; name?: string }): string {
  return [message.method ?? 'response', ...(message.name === undefined ? [] : [message.name])].join(' ');
}

export function createMessageLines(terminal: Terminal) {
  const { paint } = terminal;
  const safe = (text: string): string => escapeForTerminal(text);

  const idOf = (id: string | number | undefined): string =>
    id === undefined ? '' : paint('dim', ` id ${safe(JSON.stringify(id))}`);

  return {
    time: (at: string): string => paint('dim', safe(at.slice(11, 23))),

    /** `from`: the gateway itself, which declines what a server may not ask. */
    requested(message: RequestMessage, from?: 'gateway'): string {
      const arrow =
        from === undefined ? paint('cyan', '→') : `${paint('cyan', '→')} ${paint('yellow', 'gateway declines')}`;
      return [`${arrow} ${paint('bold', safe(nameOf(message)))}${idOf(message.id)}`, decided(message.decision)].join(
        '  ',
      );
    },

    returned(message: ReturnedMessage, asked: Asked, from: string): string {
      const arrow = from === 'gateway' ? `${paint('green', '←')} ${paint('yellow', 'gateway')}` : paint('green', '←');
      if (message.kind === 'unreadable') return `${arrow} ${paint('red', 'not a JSON-RPC message')}`;
      const said = saysSomething(message.decision) ? `  ${decided(message.decision)}` : '';
      if (message.kind !== 'response')
        return `${arrow} ${paint('bold', safe(nameOf(message)))}${idOf(message.id)}${said}`;
      const request = message.id === undefined ? undefined : asked.get(idKey(message.id));
      const what = request === undefined ? 'response' : `answer to ${request}`;
      return `${arrow} ${paint('bold', safe(what))}${idOf(message.id)}  ${outcomeOf(message)}${said}`;
    },

    /** HTTP, JSON-RPC and tool outcome, kept apart: each can fail while the others are fine. */
    ended(frame: EndFrame, asked: Asked): string {
      const { outcome, bytes, duration, abortedBy } = frame;
      const parts = [
        outcome.http === undefined
          ? paint('red', 'HTTP no status released')
          : paint(outcome.http < 400 ? 'dim' : 'yellow', `HTTP ${outcome.http}`),
        jsonRpcOutcome(outcome.messages),
        toolOutcome(outcome.messages, asked),
      ];
      const complete = outcome.result === 'complete';
      const result = safe([outcome.result, ...(outcome.fate === undefined ? [] : [outcome.fate])].join(', '));
      parts.push(paint(complete ? 'dim' : outcome.result === 'unknown' ? 'red' : 'yellow', result));
      if (abortedBy !== undefined) parts.push(paint('yellow', safe(`aborted by the ${abortedBy}`)));
      if (duration !== undefined) parts.push(paint('dim', `${duration.total} ms`));
      if (bytes !== undefined) parts.push(paint('dim', `${bytes.released} bytes released`));
      parts.push(paint('dim', safe(`exchange ${frame.exchange}`)));
      return `${paint('dim', '·')} ${parts.join(paint('dim', ' · '))}`;
    },

    /** What was taken out of what a frame ends, and what its screening said: lines of their own, or none. */
    notes(frame: Frame): string[] {
      const { masks = [], screened = [] } = frame.type === 'request' || frame.type === 'data' ? notesOf(frame) : {};
      const counted = masks.length === 0 ? [] : [`${paint('yellow', '▪')} ${safe(maskWords(masks))}`];
      return [...counted, ...screened.map(verdictLine)];
    },

    /** What is neither a message nor an end; `undefined` for frames that have other lines. */
    other(frame: Frame): string | undefined {
      switch (frame.type) {
        case 'session.start': {
          const { principal, connection, upstream } = frame.start;
          const who = principal === undefined ? 'nobody' : (principal.email ?? principal.subject);
          const to = upstream === undefined ? connection : `${connection} (${upstream})`;
          return paint('dim', safe(`── session ${frame.session} of ${who} on ${to} started`));
        }
        case 'event': {
          const { name, ...details } = frame.event;
          if (name === 'list.filtered') return `${paint('yellow', '▪')} ${safe(filteredWords(details))}`;
          return `${paint('cyan', '•')} ${paint('bold', safe(name))} ${safe(JSON.stringify(details))}`;
        }
        case 'approval':
          return approvalLine(frame);
        case 'gap':
          return paint('yellow', safe(`!! gap: ${frame.gap.reason} (${frame.gap.from} to ${frame.gap.to})`));
        case 'strand.end':
          return paint('dim', safe(`── ended: ${frame.reason}`));
        default:
          return undefined;
      }
    },

    refused: (code: string): string => `${paint('cyan', '→')} ${paint('yellow', safe(`refused: ${code}`))}`,

    problem: ({ code, object, words }: Problem): string =>
      `${paint('red', safe(`!! ${code}`))} ${safe(object)}: ${safe(words)}`,
  };

  function decided({ effect, rules, shadow }: RecordedDecision): string {
    const would = shadow === undefined ? [] : [paint('yellow', safe(`shadow: ${ruled(shadow)}`))];
    return [paint(effect === 'allow' ? 'dim' : 'yellow', safe(ruled({ effect, rules }))), ...would].join('  ');
  }

  function verdictLine({ rule, part, verdict, details = [] }: RecordedVerdict): string {
    const why = details.length === 0 ? '' : `: ${details.join(', ')}`;
    const words = `screened ${part}  ${verdict === 'none' ? 'no verdict' : verdict}${why} (${rule})`;
    return `${paint('yellow', '▪')} ${paint(verdict === 'clean' ? 'dim' : 'yellow', safe(words))}`;
  }

  function approvalLine({ approval }: ApprovalFrame): string {
    const { id, state, by = [] } = approval;
    const who = by.length === 0 ? '' : ` by ${by.map(({ rule, subject }) => `${subject} (${rule})`).join(', ')}`;
    const words = `approval ${state}${who}`;
    return `${paint('cyan', '•')} ${paint(state === 'approved' ? 'green' : 'yellow', safe(words))}${paint('dim', safe(`  ${id}`))}`;
  }

  function jsonRpcOutcome(messages: EndFrame['outcome']['messages']): string {
    if (messages.length === 0) return paint('dim', 'JSON-RPC no response');
    const errors = messages.flatMap((message) => message.error ?? []);
    return errors.length === 0 ? paint('dim', 'JSON-RPC ok') : paint('yellow', `JSON-RPC error ${errors.join(', ')}`);
  }

  /** Only a result of a tool has a tool's outcome. */
  function toolOutcome(messages: EndFrame['outcome']['messages'], asked: Asked): string {
    const results = messages.filter(
      ({ id, error }) =>
        error === undefined && id !== undefined && (asked.get(idKey(id)) ?? '').startsWith('tools/call'),
    );
    if (results.length === 0) return paint('dim', 'tool -');
    const failed = results.some((message) => message.isError === true);
    return failed ? paint('yellow', 'tool isError') : paint('dim', 'tool ok');
  }

  function outcomeOf(message: ReturnedMessage): string {
    if (message.error !== undefined) return paint('yellow', `JSON-RPC error ${message.error}`);
    return message.isError === true ? paint('yellow', 'tool isError') : paint('dim', 'ok');
  }
}

function ruled({ effect, rules }: Pick<RecordedDecision, 'effect' | 'rules'>): string {
  return `${effect} (${rules.length === 0 ? 'no rule' : rules.join(', ')})`;
}

/** That a notification of the protocol passes is nothing to read about. */
function saysSomething(decision: RecordedDecision | undefined): decision is RecordedDecision {
  if (decision === undefined) return false;
  const isPlain = decision.rules.every((rule) => rule === 'base-protocol' || rule === 'no-policy');
  return decision.effect !== 'allow' || decision.shadow !== undefined || !isPlain;
}

interface Notes {
  readonly masks?: readonly RecordedMask[];
  readonly screened?: readonly RecordedVerdict[];
}

/** Of a request each of its messages says what was said of it; a verdict is about all of the body. */
function notesOf(frame: Extract<Frame, { type: 'request' | 'data' }>): Notes {
  const { masks = [] } = frame;
  if (frame.type === 'data') return { masks, screened: frame.screened ?? [] };
  const verdicts = frame.messages.flatMap(({ decision }) => decision.screened ?? []);
  return { masks, screened: [...new Map(verdicts.map((one) => [JSON.stringify(one), one])).values()] };
}

/** Names of what was taken out are in no recording: ADR 0021. */
function filteredWords({ count, exchange }: Readonly<Record<string, unknown>>): string {
  const taken =
    count === 1 ? '1 entry that the rules do not allow was' : `${count} entries that the rules do not allow were`;
  return `${taken} taken out of the list that follows (list.filtered, exchange ${exchange})`;
}

/** `3 masked: email×2, card`. */
function maskWords(masks: readonly RecordedMask[]): string {
  const counts = new Map<string, number>();
  for (const { detector } of masks) counts.set(detector, (counts.get(detector) ?? 0) + 1);
  const each = [...counts].map(([detector, count]) => (count === 1 ? detector : `${detector}×${count}`));
  return `${masks.length} masked: ${each.join(', ')}`;
}
