/** A session as a person reads it: every message in order, its arguments and results as they were spelled. */
import { type DataFrame, type Frame, pieceBytes, type RequestFrame } from '../recording/frame.ts';
import type { ReadItem } from '../recording/read-strand.ts';
import { children, indentJson, member } from './json-text.ts';
import { createMessageLines, idKey, nameOf } from './message-line.ts';
import { cut, escapeForTerminal, type Terminal } from './terminal.ts';

/** What one value may take; the rest is one option away. */
const MOST_LINES = 40;
const MOST_POINTS = 400;

interface Open {
  readonly request?: RequestFrame;
  readonly asked: ReadonlyMap<string, string>;
  readonly stream: boolean;
  /** Body pieces from the client that still wait to be shown. */
  sent: Buffer[];
  /** Pieces that came back since the last message ended. */
  came: Buffer[];
}

export interface Transcript {
  /** The lines that this item adds; none while more of a message is to come. */
  add(item: ReadItem): string[];
  /** What was still open when the recording ended. */
  finish(): string[];
}

export function createTranscript(terminal: Terminal, options: { session: string; full: boolean }): Transcript {
  const lines = createMessageLines(terminal);
  const open = new Map<string, Open>();

  function add(item: ReadItem): string[] {
    if (item.kind === 'problem') return [lines.problem(item.problem)];
    if (item.kind === 'unknown') {
      return [`${lines.time(item.at)} ${escapeForTerminal(`? a frame of the unknown type ${item.type}`)}`];
    }
    return addFrame(item.frame);
  }

  function addFrame(frame: Frame): string[] {
    const at = lines.time(frame.at);
    switch (frame.type) {
      case 'request':
        return addRequest(frame);
      case 'response': {
        const before = flushSent(frame.exchange);
        const type = frame.headers.find((header) => header.name.toLowerCase() === 'content-type');
        const value = type !== undefined && 'value' in type ? type.value : '';
        const known = find(frame.exchange);
        open.set(key(frame), { ...known, stream: /^text\/event-stream\b/i.test(value) });
        const words = `← HTTP ${frame.status} from the ${frame.from}${value === '' ? '' : ` ${value}`}`;
        return [...before, `${at} ${terminal.paint('dim', escapeForTerminal(words))}`];
      }
      case 'data':
        return addData(frame);
      case 'end': {
        const left = [...flushSent(frame.exchange), ...flushCame(frame.exchange)];
        const { asked } = find(frame.exchange);
        open.delete(key(frame));
        return [...left, `${at} ${lines.ended(frame, asked)}`];
      }
      default: {
        const text = lines.other(frame);
        return text === undefined ? [] : [`${at} ${text}`];
      }
    }
  }

  function addRequest(frame: RequestFrame): string[] {
    const at = lines.time(frame.at);
    const asked = new Map<string, string>();
    for (const message of frame.messages) {
      if (message.kind === 'request' && message.id !== undefined) asked.set(idKey(message.id), nameOf(message));
    }
    open.set(key(frame), { request: frame, asked, stream: false, sent: [], came: [] });
    const out: string[] = [];
    if (frame.messages.length === 0) {
      const words = `→ ${frame.method} ${frame.path}`;
      out.push(`${at} ${terminal.paint('cyan', escapeForTerminal(words))}`);
    }
    if (frame.refused !== undefined) out.push(`${at} ${lines.refused(frame.refused)}`);
    const notes = lines.notes(frame).map((note) => `${at} ${note}`);
    if (frame.body !== undefined) return [...out, ...requestBody(frame, pieceBytes(frame.body)), ...notes];
    const waits = frame.messages.map((message) => `${at} ${lines.requested(message, frame.from)}`);
    return [...out, ...waits, ...notes];
  }

  function requestBody(frame: RequestFrame, body: Buffer): string[] {
    const at = lines.time(frame.at);
    const text = body.toString('utf8');
    const texts = messageTexts(text);
    if (frame.messages.length === 0) return body.length === 0 ? [] : value(text);
    return frame.messages.flatMap((message, index) => {
      const own = texts[index] ?? text;
      return [`${at} ${lines.requested(message, frame.from)}`, ...value(payload(own))];
    });
  }

  function addData(frame: DataFrame): string[] {
    const exchange = find(frame.exchange);
    open.set(key(frame), exchange);
    if (frame.from === 'client') {
      exchange.sent.push(pieceBytes(frame));
      return [];
    }
    const at = lines.time(frame.at);
    const before = flushSent(frame.exchange);
    const notes = lines.notes(frame).map((note) => `${at} ${note}`);
    exchange.came.push(pieceBytes(frame));
    const { messages } = frame;
    if (messages === undefined || messages.length === 0) {
      if (exchange.stream && frame.more !== true) return [...before, ...flushCame(frame.exchange), ...notes];
      return [...before, ...notes];
    }
    const body = Buffer.concat(exchange.came).toString('utf8');
    exchange.came = [];
    const texts = messageTexts(exchange.stream ? eventData(body) : body);
    const isDenied = messages.some(({ decision }) => decision?.effect === 'deny');
    const why = isDenied ? 'denied' : 'the client was gone';
    const shown = messages.flatMap((message, index) => {
      const own = texts[index] ?? body;
      const withheld = frame.released === false ? terminal.paint('yellow', `  recorded, not released: ${why}`) : '';
      return [`${at} ${lines.returned(message, exchange.asked, frame.from)}${withheld}`, ...value(payload(own))];
    });
    return [...before, ...shown, ...notes];
  }

  function find(exchange: string): Open {
    return open.get(exchange) ?? { asked: new Map(), stream: false, sent: [], came: [] };
  }

  /** A large request body, once something else follows it. */
  function flushSent(exchange: string): string[] {
    const found = open.get(exchange);
    if (found === undefined || found.sent.length === 0) return [];
    const text = Buffer.concat(found.sent).toString('utf8');
    found.sent = [];
    return messageTexts(text).flatMap((own) => value(payload(own)));
  }

  /** Bytes that ended no message: comments of a stream, a body that is not JSON-RPC. */
  function flushCame(exchange: string): string[] {
    const found = open.get(exchange);
    if (found === undefined || found.came.length === 0) return [];
    const text = Buffer.concat(found.came).toString('utf8');
    found.came = [];
    return value(text.trimEnd());
  }

  /** Indented, escaped and cut, with the way to see it whole. */
  function value(text: string): string[] {
    if (text === '') return [];
    const all = escapeForTerminal(indentJson(text) ?? text, { keepNewlines: true }).split('\n');
    if (options.full) return all.map((line) => `    ${line}`);
    const kept = all.slice(0, MOST_LINES);
    const shown = kept.map((line) => `    ${cut(line, MOST_POINTS)}`);
    const shortened =
      all.length > kept.length || kept.some((line) => line.length > MOST_POINTS && cut(line, MOST_POINTS) !== line);
    if (!shortened) return shown;
    const more = all.length > kept.length ? `… ${all.length - kept.length} more lines; ` : '… cut; ';
    return [...shown, terminal.paint('dim', `    ${more}whole: npx verbatim show ${options.session} --full`)];
  }

  return {
    add,
    finish: () =>
      [...open.entries()].flatMap(([exchange]) => [
        ...flushSent(exchange),
        ...flushCame(exchange),
        terminal.paint(
          'yellow',
          escapeForTerminal(`?  exchange ${exchange} has no end in what is sealed: its outcome is not known yet`),
        ),
      ]),
  };
}

function key(frame: { exchange: string }): string {
  return frame.exchange;
}

/** The texts of a body's messages: one, or the elements of a batch. */
function messageTexts(text: string): string[] {
  return /^[ \t\r\n]*\[/.test(text) ? children(text).map((child) => child.text) : [text];
}

/** What a message carries besides its envelope, as it is spelled; the whole text where it is not one. */
function payload(text: string): string {
  const parts = ['params', 'result', 'error'].flatMap((name) => member(text, name) ?? []);
  return parts.length === 1
    ? (parts[0] ?? '')
    : parts.length === 0 && member(text, 'jsonrpc') !== undefined
      ? ''
      : text;
}

/** The data of SSE events: the text of their `data` fields, joined as the HTML standard says (9.2.6). */
function eventData(text: string): string {
  return text
    .split(/\r\n|\n|\r/)
    .filter((line) => line.startsWith('data:'))
    .map((line) => line.slice(line[5] === ' ' ? 6 : 5))
    .join('\n');
}
