/** `verbatim access`: access to a connection for a time: asked for, decided, ended, reviewed; in an emergency taken. */
import { z } from 'zod';
import { parseDuration } from '../config-units.ts';
import { type DecideOptions, nameOf, Person, timeOf } from './approvals.ts';
import { CommandError, type Context } from './context.ts';
import { confirmed, type GatewayOptions, openGateway, understood, wholeId } from './gateway-api.ts';
import { escapeForTerminal, table } from './terminal.ts';

export interface EnterOptions extends GatewayOptions {
  readonly reason?: string;
  readonly for?: string;
}

export interface WordsOptions extends GatewayOptions {
  readonly reason?: string;
  readonly words?: string;
}

const Request = z.looseObject({
  id: z.string(),
  code: z.string(),
  person: Person,
  connection: z.string(),
  reason: z.string(),
  duration: z.number(),
  at: z.number(),
  expires: z.number(),
  state: z.enum(['pending', 'approved', 'denied', 'void']),
  window: z.string().optional(),
});
const Window = z.looseObject({
  id: z.string(),
  kind: z.enum(['justInTime', 'breakGlass']),
  issuer: z.string(),
  subject: z.string(),
  email: z.string().optional(),
  connection: z.string(),
  reason: z.string(),
  expires: z.number(),
  state: z.enum(['open', 'ended', 'revoked']),
  review: z.union([z.literal('due'), z.looseObject({ by: z.string() })]).optional(),
});
type Request = z.output<typeof Request>;
type Window = z.output<typeof Window>;

export async function listAccess(context: Context, options: GatewayOptions): Promise<number> {
  const gateway = await openGateway(context, options, 'verbatim access list', 'read');
  const all = z.looseObject({ requests: z.array(Request), windows: z.array(Window) });
  const { requests, windows } = understood(all, await gateway.get('/access'));
  if (options.json === true) {
    await context.out.write(`${JSON.stringify({ requests, windows }, null, 2)}\n`);
    return 0;
  }
  if (requests.length + windows.length === 0)
    await context.err.write('There is nothing of yours, and nothing for you.\n');
  const rows = [
    ...requests.map((one) => ({ ...one, what: 'request', who: nameOf(one.person), is: one.state, code: one.code })),
    ...windows.map((one) => ({
      ...one,
      what: windowWords(one),
      who: one.email ?? one.subject,
      is: one.state,
      code: '',
    })),
  ];
  const columns = [
    { title: 'ID', value: (row: (typeof rows)[number]) => row.id },
    { title: 'WHAT', value: (row: (typeof rows)[number]) => row.what },
    { title: 'STATE', value: (row: (typeof rows)[number]) => row.is },
    { title: 'WHO', value: (row: (typeof rows)[number]) => row.who, flexible: true as const },
    { title: 'ON', value: (row: (typeof rows)[number]) => row.connection },
    { title: 'UNTIL', value: (row: (typeof rows)[number]) => timeOf(row.expires) },
    { title: 'CODE', value: (row: (typeof rows)[number]) => row.code },
    { title: 'REASON', value: (row: (typeof rows)[number]) => row.reason, flexible: true as const },
  ];
  if (rows.length > 0) await context.out.write(`${table(context.out, columns, rows).join('\n')}\n`);
  return 0;
}

function windowWords({ kind, review }: Window): string {
  if (kind === 'justInTime') return 'window';
  return review === 'due' ? 'break glass, review due' : 'break glass';
}

export async function requestAccess(context: Context, connection: string, options: EnterOptions): Promise<number> {
  const body = entering(connection, options);
  const gateway = await openGateway(context, options, `verbatim access request ${connection}`, 'read');
  const request = understood(Request, await gateway.post('/access', body));
  return say(context, options, request, requestLines(request));
}

export async function breakGlass(context: Context, connection: string, options: EnterOptions): Promise<number> {
  const body = entering(connection, options);
  const gateway = await openGateway(context, options, `verbatim access break-glass ${connection}`, 'decide');
  const window = understood(Window, await gateway.post('/access/break-glass', body));
  const lines = [
    ...windowLines(window),
    'Calls pass within 2 s. People have been alerted, and somebody else has to review this afterwards.',
  ];
  return say(context, options, window, lines);
}

export async function decideAccess(
  context: Context,
  verdict: 'approve' | 'deny',
  id: string,
  options: DecideOptions,
  question?: (words: string) => Promise<string>,
): Promise<number> {
  const at = `/access/requests/${wholeId(id)}`;
  if (verdict === 'deny' && options.reason === undefined) throw new CommandError(2, 'Say why: --reason "…"');
  const gateway = await openGateway(context, options, `verbatim access ${verdict} ${id}`, 'decide');
  const request = understood(Request, await gateway.get(at));
  let { code } = request;
  if (verdict === 'approve') {
    await context.err.write(
      `${requestLines(request)
        .map((line) => escapeForTerminal(line))
        .join('\n')}\n`,
    );
    code = await confirmed(context, options.code, { code, what: 'let them in' }, question);
  }
  const body = { verdict, code, ...(options.reason === undefined ? {} : { reason: options.reason }) };
  const decided = understood(Request, await gateway.post(at, body));
  return say(context, options, decided, requestLines(decided));
}

export async function revokeAccess(context: Context, id: string, options: WordsOptions): Promise<number> {
  const at = `/access/windows/${wholeId(id)}/revoke`;
  if (options.reason === undefined) throw new CommandError(2, 'Say why: --reason "…"');
  const gateway = await openGateway(context, options, `verbatim access revoke ${id}`, 'read');
  const window = understood(Window, await gateway.post(at, { reason: options.reason }));
  return say(context, options, window, [...windowLines(window), 'Ended on every gateway within 5 s.']);
}

export async function reviewAccess(context: Context, id: string, options: WordsOptions): Promise<number> {
  const at = `/access/windows/${wholeId(id)}/review`;
  if (options.words === undefined) throw new CommandError(2, 'Say what you found: --words "…"');
  const gateway = await openGateway(context, options, `verbatim access review ${id}`, 'decide');
  const window = understood(Window, await gateway.post(at, { words: options.words }));
  return say(context, options, window, [...windowLines(window), 'The review is recorded.']);
}

/** Everything that was typed is looked at before anybody logs in. */
function entering(connection: string, options: EnterOptions) {
  if (!/^[a-z][a-z0-9-]{0,62}$/.test(connection)) throw new CommandError(2, 'Write the name of a connection.');
  const { reason } = options;
  if (reason === undefined) throw new CommandError(2, 'Say what for: --reason "…"');
  const duration = parseDuration(options.for);
  if (duration === undefined || duration === 0) throw new CommandError(2, 'Say for how long: --for 30m, --for 2h.');
  return { connection, reason, duration };
}

function requestLines({ id, code, person, connection, reason, duration, state, window }: Request): string[] {
  return [
    `request  ${id}`,
    `who      ${nameOf(person)} (${person.subject} of ${person.issuer})`,
    `to       ${connection}, for ${Math.round(duration / 60_000)} minutes`,
    `reason   ${reason}`,
    `state    ${state}`,
    ...(window === undefined ? [] : [`window   ${window}`]),
    `code     ${code}`,
  ];
}

function windowLines(window: Window): string[] {
  const { id, email, subject, connection, reason, expires, state } = window;
  return [
    `window   ${id}`,
    `who      ${email ?? subject}`,
    `in       ${connection} until ${timeOf(expires)} (${windowWords(window)})`,
    `reason   ${reason}`,
    `state    ${state}`,
  ];
}

async function say(
  context: Context,
  { json }: GatewayOptions,
  facts: unknown,
  lines: readonly string[],
): Promise<number> {
  const words = lines.map((line) => escapeForTerminal(line)).join('\n');
  await context.out.write(json === true ? `${JSON.stringify(facts, null, 2)}\n` : `${words}\n`);
  return 0;
}
