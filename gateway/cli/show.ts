/** `verbatim show SESSION`: what was said, readable, as recorded, or as bytes. */
import { createExchangeGrouping, type Exchange, releasedBytes, requestBytes } from '../recording/exchange.ts';
import type { Recordings } from '../recording/read.ts';
import type { Problem } from '../recording/read-problem.ts';
import type { SessionInfo } from '../recording/read-sessions.ts';
import { openChosenStore, resolveSession, type StoreOptions } from './chosen-store.ts';
import { CommandError, type Context } from './context.ts';
import { createMessageLines } from './message-line.ts';
import { durationOf, silentSince, whoOf } from './sessions.ts';
import { escapeForTerminal } from './terminal.ts';
import { createTranscript } from './transcript.ts';

export interface ShowOptions extends StoreOptions {
  readonly json?: boolean;
  readonly raw?: boolean;
  readonly exchange?: string;
  readonly side?: 'request' | 'response';
  readonly full?: boolean;
}

export async function runShow(context: Context, wanted: string, options: ShowOptions): Promise<number> {
  if (options.raw !== true && (options.exchange !== undefined || options.side !== undefined)) {
    throw new CommandError(2, '--exchange and --side choose what --raw writes: add --raw.');
  }
  if (options.raw === true && options.json === true) throw new CommandError(2, 'Either --json or --raw.');
  const { url, recordings } = openChosenStore(context, options);
  const session = await resolveSession(recordings, wanted);
  const broken = await warnOfLedgers(context, recordings);
  const sound =
    options.json === true
      ? await showLines(context, recordings, session)
      : options.raw === true
        ? await showBytes(context, recordings, session, options)
        : await showTranscript(context, recordings, session, { url, full: options.full === true });
  return sound && !broken ? 0 : 1;
}

async function warnOfLedgers(context: Context, recordings: Recordings): Promise<boolean> {
  const problems = await recordings.problems();
  for (const problem of problems) await tell(context, problem);
  return problems.length > 0;
}

function tell(context: Context, problem: Problem): Promise<void> {
  return context.err.write(`${createMessageLines(context.err).problem(problem)}\n`);
}

/** The frames exactly as they were recorded, one a line. What is wrong goes to stderr. */
async function showLines(context: Context, recordings: Recordings, session: string): Promise<boolean> {
  let sound = true;
  for await (const item of recordings.frames(session)) {
    if (item.kind !== 'problem') await context.out.write(`${item.line}\n`);
    else {
      sound = false;
      await tell(context, item.problem);
    }
  }
  return sound;
}

/** Exact bytes: request and released response of each exchange, or what was chosen of them. */
async function showBytes(
  context: Context,
  recordings: Recordings,
  session: string,
  options: ShowOptions,
): Promise<boolean> {
  const grouping = createExchangeGrouping();
  let sound = true;
  let found = false;
  const write = async (exchange: Exchange): Promise<void> => {
    if (options.exchange !== undefined && exchange.id !== options.exchange) return;
    found = true;
    if (options.side !== 'response') await context.out.write(requestBytes(exchange));
    if (options.side !== 'request') await context.out.write(releasedBytes(exchange));
  };
  for await (const item of recordings.frames(session)) {
    if (item.kind === 'problem') {
      sound = false;
      await tell(context, item.problem);
    }
    if (item.kind !== 'frame') continue;
    // Exchanges that are not wanted are not even gathered.
    if (options.exchange !== undefined && !('exchange' in item.frame && item.frame.exchange === options.exchange))
      continue;
    const whole = grouping.add(item.frame);
    if (whole !== undefined) await write(whole);
  }
  for (const exchange of grouping.rest()) await write(exchange);
  if (options.exchange !== undefined && !found) {
    throw new CommandError(1, `Session ${session} has no exchange ${options.exchange}.`);
  }
  return sound;
}

async function showTranscript(
  context: Context,
  recordings: Recordings,
  session: string,
  { url, full }: { url: string; full: boolean },
): Promise<boolean> {
  const info = await recordings.session(session);
  if (info === undefined) throw new CommandError(1, `There is no session ${session}.`);
  await context.out.write(`${heading(context, info, url).join('\n')}\n\n`);
  const transcript = createTranscript(context.out, { session, full });
  let sound = info.problems.length === 0;
  for await (const item of recordings.frames(session)) {
    if (item.kind === 'problem') sound = false;
    for (const line of transcript.add(item)) await context.out.write(`${line}\n`);
  }
  for (const line of transcript.finish()) await context.out.write(`${line}\n`);
  return sound;
}

function heading(context: Context, info: SessionInfo, url: string): string[] {
  const { paint } = context.out;
  const { principal, client } = info;
  const who =
    principal === undefined
      ? '-'
      : `${whoOf(info)} (${[
          principal.kind,
          `groups ${principal.groups.join(', ') || 'none'}`,
          ...(principal.owner === undefined ? [] : [`owner ${principal.owner}`]),
          ...(principal.onBehalfOf === undefined ? [] : [`for ${principal.onBehalfOf}`]),
          `${principal.subject} of ${principal.issuer}`,
        ].join('; ')})`;
  const software = [client?.name ?? client?.id ?? '-', ...(client?.version === undefined ? [] : [client.version])].join(
    ' ',
  );
  const silent = silentSince(info, context.now());
  const rows: [string, string][] = [
    ['who', who],
    ['connection', info.connection],
    [
      'when',
      `${info.started} to ${info.ended ?? 'now'} (${durationOf(info, context.now())})${info.reason === undefined ? '' : `, ${info.reason}`}`,
    ],
    ['client', client?.address === undefined ? software : `${software} from ${client.address}`],
    ['recorded', `${url}, ${info.strands.map((strand) => `strand ${strand}`).join(', ')}`],
    [
      'holds',
      `${info.frames} frames in ${info.segments} segments: ${info.exchanges} exchanges, ${info.messages} messages, ${info.denied} denied, ${info.refused} refused, ${info.approvals} held for approval, ${info.masked} masked ${info.masked === 1 ? 'value' : 'values'}, ${info.errors} JSON-RPC errors, ${info.toolErrors} tool errors, ${info.gaps} gaps`,
    ],
    ['sealed', sealed(info)],
    ...(silent === undefined
      ? []
      : ([
          [
            'silent',
            `since ${silent}: a replica has not ended its strand and seals nothing; what it holds is on its disk`,
          ],
        ] satisfies [string, string][])),
  ];
  const lines = rows.map(([title, text]) => `  ${paint('dim', title.padEnd(10))}  ${escapeForTerminal(text)}`);
  const problems = info.problems.map((problem) => createMessageLines(context.out).problem(problem));
  return [paint('bold', escapeForTerminal(`Session ${info.session}`)), ...lines, ...problems];
}

function sealed(info: SessionInfo): string {
  const live =
    info.state === 'live' ? 'The session goes on; what is newer than the newest checkpoint is not shown. ' : '';
  return `${live}Every frame below lies under a checkpoint. To prove it: npx verbatim verify --all`;
}
