/** `verbatim sessions`: who ran what, newest first. */
import type { SessionFilter, SessionInfo } from '../recording/read-sessions.ts';
import { openChosenStore, type StoreOptions } from './chosen-store.ts';
import { CommandError, type Context } from './context.ts';
import { type Column, escapeForTerminal, table } from './terminal.ts';

export interface SessionsOptions extends StoreOptions {
  readonly user?: string;
  readonly connection?: string;
  readonly credential?: string;
  readonly since?: string;
  readonly denied?: boolean;
  readonly live?: boolean;
  readonly system?: boolean;
  readonly json?: boolean;
}

export async function runSessions(context: Context, options: SessionsOptions): Promise<number> {
  const filter: SessionFilter = {
    ...(options.user === undefined ? {} : { user: options.user }),
    ...(options.connection === undefined ? {} : { connection: options.connection }),
    ...(options.credential === undefined ? {} : { credential: options.credential }),
    ...(options.since === undefined ? {} : { since: parseSince(options.since, context.now()) }),
    ...(options.denied === true ? { denied: true } : {}),
    ...(options.live === true ? { live: true } : {}),
    ...(options.system === true ? { system: true } : {}),
  };
  const { url, recordings } = openChosenStore(context, options);
  const sessions: SessionInfo[] = [];
  for await (const info of recordings.sessions(filter)) sessions.push(info);
  const problems = [...(await recordings.problems()), ...sessions.flatMap((info) => info.problems)];

  if (options.json === true) await context.out.write(`${JSON.stringify(sessions, null, 2)}\n`);
  else if (sessions.length > 0) {
    await context.out.write(`${table(context.out, columns(context.now()), sessions).join('\n')}\n`);
  } else await context.err.write(`No session in ${escapeForTerminal(url)} fits.\n`);
  for (const { code, object, words } of problems) {
    const text = escapeForTerminal(`${code} ${object}: ${words}`);
    await context.err.write(`${context.err.paint('red', 'problem')} ${text}\n`);
  }
  return problems.length === 0 ? 0 : 1;
}

function columns(now: number): Column<SessionInfo>[] {
  return [
    { title: 'SESSION', value: (info) => info.session },
    { title: 'STARTED (UTC)', value: (info) => info.started.slice(0, 19).replace('T', ' ') },
    { title: 'WHO', value: whoOf, flexible: true },
    { title: 'CONNECTION', value: (info) => info.connection, flexible: true },
    { title: 'CALLS', value: (info) => String(info.calls), align: 'right' },
    {
      title: 'DENIED',
      value: (info) => String(info.denied),
      style: (info) => (info.denied > 0 ? 'yellow' : undefined),
      align: 'right',
    },
    {
      title: 'ERRORS',
      value: (info) => String(info.errors + info.toolErrors),
      style: (info) => (info.errors + info.toolErrors > 0 ? 'yellow' : undefined),
      align: 'right',
    },
    { title: 'DURATION', value: (info) => durationOf(info, now), align: 'right' },
    {
      title: 'STATE',
      value: (info) => stateOf(info, now),
      style: (info) =>
        info.problems.length > 0
          ? 'red'
          : silentSince(info, now) !== undefined
            ? 'yellow'
            : info.state === 'live'
              ? 'green'
              : 'dim',
    },
  ];
}

export function whoOf(info: SessionInfo): string {
  const { principal } = info;
  return principal?.email ?? principal?.subject ?? '-';
}

/** Three heartbeats of a gateway as it is configured by default. */
const SILENT_MS = 30 * 60_000;

/**
 * Since when nothing came from a replica that has not ended its part of the session: it is gone, or can't seal. What it
 * recorded from then on is on its disk, if that is there.
 */
export function silentSince({ heardOf }: SessionInfo, now: number): string | undefined {
  return heardOf !== undefined && now - Date.parse(heardOf) > SILENT_MS ? heardOf : undefined;
}

function stateOf(info: SessionInfo, now: number): string {
  const silent = silentSince(info, now);
  const notes = [
    ...(silent === undefined ? [] : [`silent since ${silent.slice(0, 16)}Z`]),
    ...(info.gaps > 0 ? [`${info.gaps} ${info.gaps === 1 ? 'gap' : 'gaps'}`] : []),
    ...(info.approvals > 0 ? [`${info.approvals} held for approval`] : []),
    ...(info.masked > 0 ? [`${info.masked} masked`] : []),
    ...(info.problems.length > 0 ? ['damaged'] : []),
  ];
  return [info.state, ...notes].join(', ');
}

/** How long a session took, or has taken so far: `42 s`, `5 min`, `3.5 h`. */
export function durationOf(info: SessionInfo, now: number): string {
  const end = info.ended === undefined ? now : Date.parse(info.ended);
  const seconds = Math.max(0, (end - Date.parse(info.started)) / 1000);
  if (seconds < 120) return `${Math.round(seconds)} s`;
  if (seconds < 2 * 3600) return `${Math.round(seconds / 60)} min`;
  return `${(seconds / 3600).toFixed(1)} h`;
}

const UNITS: Record<string, number> = { s: 1000, m: 60_000, min: 60_000, h: 3_600_000, d: 86_400_000, w: 604_800_000 };

/** `2026-11-22` (midnight UTC), a time in ISO 8601, or an age: `30m`, `2h`, `3d`. */
export function parseSince(text: string, now: number): Date {
  const [, amount, unit] = /^(\d{1,6})(s|m|min|h|d|w)$/.exec(text) ?? [];
  if (amount !== undefined && unit !== undefined) return new Date(now - Number(amount) * (UNITS[unit] ?? 0));
  const iso = /^\d{4}-\d\d-\d\d(T\d\d:\d\d(:\d\d(\.\d+)?)?(Z|[+-]\d\d:\d\d))?$/.test(text);
  const date = new Date(text);
  if (iso && !Number.isNaN(date.getTime())) return date;
  throw new CommandError(
    2,
    `--since ${text}: write a day (2026-11-22), a time with zone (2026-11-22T18:00Z) or an age (2h, 3d).`,
  );
}
