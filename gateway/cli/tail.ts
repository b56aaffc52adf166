/** `verbatim tail`: what happens, as checkpoints cover it. */
import { keepNewest } from '../keep-newest.ts';
import type { Frame } from '../recording/frame.ts';
import { readSegmentName } from '../recording/read-name.ts';
import type { ReadItem } from '../recording/read-strand.ts';
import { openChosenStore, resolveSession, type StoreOptions } from './chosen-store.ts';
import type { Context } from './context.ts';
import { createMessageLines, idKey, nameOf } from './message-line.ts';
import { escapeForTerminal } from './terminal.ts';

export interface TailOptions extends StoreOptions {
  readonly json?: boolean;
}

/** Runs until the signal aborts, which is its orderly end. */
export async function runTail(
  context: Context,
  wanted: string | undefined,
  options: TailOptions,
  signal: AbortSignal,
): Promise<number> {
  const { url, recordings } = openChosenStore(context, options);
  const session = wanted === undefined ? undefined : await resolveSession(recordings, wanted);
  const onReady = (): void => {
    const what = session === undefined ? '' : ` session ${session} in`;
    void context.err.write(context.err.paint('dim', `Following${what} ${escapeForTerminal(url)}. Ctrl-C ends.\n`));
  };
  const render = createTailLines(context);
  for await (const item of recordings.follow({ signal, onReady, ...(session === undefined ? {} : { session }) })) {
    if (options.json === true) {
      if (item.kind !== 'problem') await context.out.write(`${item.line}\n`);
      else await context.err.write(`${createMessageLines(context.err).problem(item.problem)}\n`);
    } else for (const line of render(item)) await context.out.write(`${line}\n`);
  }
  return 0;
}

/** How many exchanges the names of asked methods are kept for: a session that never ends them takes no more. */
const MOST_ASKED = 10_000;

function createTailLines(context: Context): (item: ReadItem) => string[] {
  const lines = createMessageLines(context.out);
  const asked = new Map<string, Map<string, string>>();

  function describe(frame: Frame): string[] {
    switch (frame.type) {
      case 'request': {
        const names = new Map<string, string>();
        for (const message of frame.messages) {
          if (message.kind === 'request' && message.id !== undefined) names.set(idKey(message.id), nameOf(message));
        }
        keepNewest(asked, frame.exchange, names, MOST_ASKED);
        return [
          ...(frame.refused === undefined ? [] : [lines.refused(frame.refused)]),
          ...frame.messages.map((message) => lines.requested(message, frame.from)),
          ...lines.notes(frame),
        ];
      }
      case 'data':
        if (frame.from === 'client') return [];
        return [
          ...(frame.messages ?? []).map((message) =>
            lines.returned(message, asked.get(frame.exchange) ?? new Map(), frame.from),
          ),
          ...lines.notes(frame),
        ];
      case 'end': {
        const names = asked.get(frame.exchange) ?? new Map();
        asked.delete(frame.exchange);
        return frame.outcome.result === 'complete' ? [] : [lines.ended(frame, names)];
      }
      default:
        return [lines.other(frame) ?? []].flat();
    }
  }

  return (item) => {
    if (item.kind === 'problem') return [lines.problem(item.problem)];
    if (item.kind === 'unknown') return [];
    const connection = readSegmentName(item.object)?.connection ?? '';
    const place = context.out.paint('dim', escapeForTerminal(`${connection} …${item.frame.session.slice(-8)}`));
    return describe(item.frame).map((text) => `${lines.time(item.frame.at)} ${place} ${text}`);
  };
}
