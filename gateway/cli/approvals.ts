/** `verbatim approvals`: calls that wait for a person, read whole and decided on a terminal. */
import { z } from 'zod';
import { showArguments } from '../identity/pages/arguments.ts';
import { CommandError, type Context } from './context.ts';
import { confirmed, type GatewayOptions, openGateway, understood, wholeId } from './gateway-api.ts';
import { escapeForTerminal, table } from './terminal.ts';

export interface DecideOptions extends GatewayOptions {
  readonly reason?: string;
  readonly code?: string;
}

export const Person = z.looseObject({
  kind: z.enum(['human', 'agent']),
  issuer: z.string(),
  subject: z.string(),
  email: z.string().optional(),
  owner: z.string().optional(),
  onBehalfOf: z.string().optional(),
});
const State = z.discriminatedUnion('state', [
  z.looseObject({ state: z.literal('pending') }),
  z.looseObject({ state: z.literal('approved'), until: z.number().optional() }),
  z.looseObject({ state: z.literal('denied'), by: z.string(), reason: z.string().optional() }),
  z.looseObject({ state: z.literal('void'), why: z.string() }),
]);
const Request = z.looseObject({
  id: z.string(),
  code: z.string(),
  at: z.number(),
  expires: z.number(),
  hash: z.string(),
  state: State,
  call: z.looseObject({
    principal: Person,
    client: z.string().optional(),
    session: z.string(),
    connection: z.string(),
    origin: z.string(),
    method: z.string(),
    name: z.string().optional(),
    params: z.unknown().optional(),
    tool: z.string().optional(),
    policy: z.string(),
    exchange: z.string(),
    rules: z.array(z.looseObject({ rule: z.string(), approvers: z.array(z.string()), usable: z.number() })),
  }),
});
type Request = z.output<typeof Request>;

/** Characters of arguments; a terminal has no scroll bar of its own for them. */
const MOST_SHOWN = 1024 * 1024;

export async function listApprovals(context: Context, options: GatewayOptions): Promise<number> {
  const gateway = await openGateway(context, options, 'verbatim approvals list', 'read');
  const said = await gateway.get('/approvals');
  const { approvals } = understood(z.looseObject({ approvals: z.array(Request) }), said);
  if (options.json === true) await context.out.write(`${JSON.stringify(approvals, null, 2)}\n`);
  else if (approvals.length === 0) await context.err.write('No call waits for you.\n');
  else {
    const columns = [
      { title: 'ID', value: ({ id }: Request) => id },
      { title: 'CODE', value: ({ code }: Request) => code },
      { title: 'CALL', value: ({ call }: Request) => call.name ?? call.method, flexible: true as const },
      { title: 'ON', value: ({ call }: Request) => call.connection, flexible: true as const },
      { title: 'BY', value: ({ call }: Request) => nameOf(call.principal), flexible: true as const },
      { title: 'VOID', value: ({ expires }: Request) => timeOf(expires) },
    ];
    await context.out.write(`${table(context.out, columns, approvals).join('\n')}\n`);
  }
  return 0;
}

export async function showApproval(context: Context, id: string, options: GatewayOptions): Promise<number> {
  const at = `/approvals/${wholeId(id)}`;
  const gateway = await openGateway(context, options, `verbatim approvals show ${id}`, 'read');
  const request = understood(Request, await gateway.get(at));
  if (options.json === true) await context.out.write(`${JSON.stringify(request, null, 2)}\n`);
  else await context.out.write(wordsOf(request));
  return 0;
}

export async function decideApproval(
  context: Context,
  verdict: 'approve' | 'deny',
  id: string,
  options: DecideOptions,
  question?: (words: string) => Promise<string>,
): Promise<number> {
  const at = `/approvals/${wholeId(id)}`;
  if (verdict === 'deny' && options.reason === undefined) throw new CommandError(2, 'Say why: --reason "…"');
  const gateway = await openGateway(context, options, `verbatim approvals ${verdict} ${id}`, 'decide');
  const request = understood(Request, await gateway.get(at));
  if (request.state.state !== 'pending' && verdict === 'approve') throw new CommandError(1, stateWords(request));
  if (verdict === 'approve') {
    // On stderr, so that --json has its own.
    await context.err.write(wordsOf(request));
    if (!isWhole(request) && options.code === undefined) {
      throw new CommandError(
        1,
        'Too long for a terminal: read all of it with verbatim approvals show --json, then give --code.',
      );
    }
  }
  const code =
    verdict === 'approve'
      ? await confirmed(context, options.code, { code: request.code, what: 'approve this call' }, question)
      : request.code;
  const body = { verdict, code, ...(options.reason === undefined ? {} : { reason: options.reason }) };
  const state = understood(State, await gateway.post(at, body));
  if (options.json === true) await context.out.write(`${JSON.stringify(state, null, 2)}\n`);
  else await context.out.write(`${stateWords({ ...request, state })}\n`);
  return 0;
}

function isWhole({ call }: Request): boolean {
  return showArguments(call.params ?? {}, MOST_SHOWN).whole;
}

/** The whole call. Everything in it is hostile. */
function wordsOf(request: Request): string {
  const { call, code, hash, id, at, expires } = request;
  const { text, whole } = showArguments(call.params ?? {}, MOST_SHOWN);
  const { principal } = call;
  const facts: readonly (readonly [string, string | undefined])[] = [
    ['call', call.name ?? call.method],
    ['method', call.method],
    ['connection', `${call.connection} (${call.origin})`],
    ['asked by', nameOf(principal)],
    ['subject', `${principal.subject} of ${principal.issuer}`],
    ['agent', principal.kind === 'agent' ? `yes, for ${principal.onBehalfOf ?? 'nobody in particular'}` : undefined],
    ['owner', principal.owner],
    ['client', call.client],
    ['rules', call.rules.map(({ rule, approvers }) => `${rule} (one of ${approvers.join(', ')})`).join('; ')],
    ['asked', timeOf(at)],
    ['void', timeOf(expires)],
    ['policy', call.policy],
    ['tool', call.tool],
    ['session', call.session],
    ['exchange', call.exchange],
    ['hash', hash],
    ['id', id],
    ['state', stateWords(request)],
  ];
  const lines = facts.flatMap(([name, value]) =>
    value === undefined ? [] : [`${name.padEnd(11)}${escapeForTerminal(value)}`],
  );
  const cut = whole ? [] : ['… This is only the beginning.'];
  const arguments_ =
    call.params === undefined ? [] : ['arguments', escapeForTerminal(text, { keepNewlines: true }), ...cut];
  return `${[...lines, ...arguments_, `code       ${escapeForTerminal(code)}`].join('\n')}\n`;
}

function stateWords({ state }: Request): string {
  switch (state.state) {
    case 'pending':
      return 'It waits.';
    case 'approved':
      return 'Approved: exactly this call works once.';
    case 'denied':
      return escapeForTerminal(`Denied by ${state.by}${state.reason === undefined ? '.' : `: ${state.reason}`}`);
    case 'void':
      return escapeForTerminal(`Over: ${state.why}.`);
  }
}

export function nameOf({ email, subject, kind }: z.output<typeof Person>): string {
  return `${email ?? subject}${kind === 'agent' ? ' (agent)' : ''}`;
}

export function timeOf(at: number): string {
  return new Date(at).toISOString().replace(/\.\d+Z$/, 'Z');
}
