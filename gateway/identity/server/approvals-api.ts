/**
 * `/approvals/api`: the same for commands. Bearer tokens of those who approve alone (approver.ts), JSON alone, and no
 * browser: a page has cookies and forms, and nothing to look for here.
 */
import { z } from 'zod';
import { GatewayError } from '../../errors.ts';
import { parseJson } from '../../mcp/parse.ts';
import type { ApprovalRequest, Approvals } from '../../sessions/approval.ts';
import type { Windows } from '../../sessions/window.ts';
import { type Approvers, freshnessOf, type KnownApprover } from './approver.ts';
import { maySeeAccess, viewOf, waysIn } from './approver-may.ts';
import { ID, readWords, statusOf } from './approver-page.ts';
import type { GatewayVisit } from './routes.ts';
import { readBytes, sendJson } from './web.ts';

export interface ApprovalsApi {
  /** A request below `/approvals/api/`. */
  serve(visit: GatewayVisit): Promise<void>;
}

const MOST_BODY = 16 * 1024;
const reason = z.string().refine((text) => readWords(text) === text);
const decision = z
  .strictObject({ verdict: z.enum(['approve', 'deny']), code: z.string(), reason: reason.exactOptional() })
  .refine(({ verdict, reason: said }) => verdict === 'approve' || said !== undefined);
const entering = z.strictObject({ connection: z.string(), reason, duration: z.int().positive() });
const revoking = z.strictObject({ reason });
const reviewing = z.strictObject({ words: reason });

/** What is answered with its status. */
class Refused extends Error {
  override readonly name = 'Refused';
  readonly status: number;
  readonly code: string;
  constructor(status: number, code: string, message: string) {
    super(message);
    this.status = status;
    this.code = code;
  }
}

interface Call extends GatewayVisit {
  readonly approver: KnownApprover;
  /** Of a POST. */
  readonly body?: unknown;
}

export function createApprovalsApi(deps: {
  readonly approvals: Approvals;
  readonly windows: Windows;
  readonly approvers: Approvers;
  readonly now: () => number;
  blocked(principal: { issuer: string; subject: string; email?: string }): string | undefined;
  refused(facts: { address: string; reason: string; detail: string }): void;
}): ApprovalsApi {
  const { approvals, windows, approvers, now } = deps;

  function fresh({ approver }: Call): number {
    const authenticated = freshnessOf(approver, now());
    if (authenticated !== undefined) return authenticated;
    throw new Refused(403, 'login_needed', 'The login is more than five minutes old. Run the command again.');
  }

  async function requestFor({ approver }: Call, id: string): Promise<ApprovalRequest> {
    const found = await approvals.read(id);
    const view = found === undefined ? 'stranger' : viewOf(approver.person, found);
    if (found === undefined || view === 'stranger') throw nothing();
    // Who asked knows what they asked for, and gets no more than the page shows them.
    return view === 'approver' ? found : { ...found, call: { ...found.call, params: undefined } };
  }

  async function accessFor({ approver, login }: Call, id: string) {
    const found = await windows.readRequest(id);
    const asked = found && { ...found.person, connection: found.connection };
    if (found === undefined || asked === undefined || !maySeeAccess(login.config, approver.person, asked)) {
      throw nothing();
    }
    return found;
  }

  async function windowFor({ approver, login }: Call, id: string) {
    const found = await windows.readWindow(id);
    if (found === undefined || !maySeeAccess(login.config, approver.person, found)) throw nothing();
    return found;
  }

  /** As the page offers it: whose groups may open sessions there, and who may break glass. */
  function entered({ approver, login, body }: Call, how: 'justInTime' | 'breakGlass') {
    const { connection, duration, reason: why } = parsed(entering, body);
    if (waysIn(login.config, approver.person, connection)[how] === undefined) {
      throw new Refused(403, 'denied', 'None of your groups gets into this connection this way.');
    }
    return { connection, duration, reason: why, person: approver.person };
  }

  /** By method and path. */
  const routes: readonly (readonly [string, RegExp, (call: Call, id: string) => Promise<unknown>])[] = [
    ['GET', /^\/approvals$/, async ({ approver }) => ({ approvals: await approvals.waitingFor(approver.person) })],
    ['GET', at(`/approvals/(${ID})`), (call, id) => requestFor(call, id)],
    [
      'POST',
      at(`/approvals/(${ID})`),
      async (call, id) => {
        const asked = parsed(decision, call.body);
        const authenticated = fresh(call);
        checkCode(asked.code, await requestFor(call, id));
        return approvals.decide(id, { ...verdictOf(asked), by: call.approver.person, authenticated });
      },
    ],
    ['GET', /^\/access$/, ({ approver }) => windows.list(approver.person)],
    ['POST', /^\/access$/, (call) => windows.request(entered(call, 'justInTime'))],
    [
      'POST',
      /^\/access\/break-glass$/,
      (call) => windows.breakGlass({ ...entered(call, 'breakGlass'), authenticated: fresh(call) }),
    ],
    ['GET', at(`/access/requests/(${ID})`), (call, id) => accessFor(call, id)],
    [
      'POST',
      at(`/access/requests/(${ID})`),
      async (call, id) => {
        const asked = parsed(decision, call.body);
        const authenticated = fresh(call);
        checkCode(asked.code, await accessFor(call, id));
        return windows.decide(id, { ...verdictOf(asked), by: call.approver.person, authenticated });
      },
    ],
    ['GET', at(`/access/windows/(${ID})`), (call, id) => windowFor(call, id)],
    [
      'POST',
      at(`/access/windows/(${ID})/revoke`),
      async (call, id) => {
        const asked = parsed(revoking, call.body);
        await windowFor(call, id);
        await windows.revoke(id, { ...asked, person: call.approver.person });
        return windowFor(call, id);
      },
    ],
    [
      'POST',
      at(`/access/windows/(${ID})/review`),
      async (call, id) => {
        const asked = parsed(reviewing, call.body);
        const authenticated = fresh(call);
        await windowFor(call, id);
        await windows.review(id, { ...asked, person: call.approver.person, authenticated });
        return windowFor(call, id);
      },
    ],
  ];

  async function whoCalls({ login, request, address }: GatewayVisit): Promise<KnownApprover> {
    const { authorization = '', origin, 'sec-fetch-site': site } = request.headers;
    if (origin !== undefined || site !== undefined) throw new Refused(403, 'no_browsers', 'This is for commands.');
    const [, token] = /^Bearer ([A-Za-z0-9_-]{43})$/i.exec(authorization) ?? [];
    const found = token === undefined ? undefined : await approvers.ofToken(login, token);
    if (found === undefined) {
      deps.refused({ address, reason: 'login_refused', detail: 'approver_token' });
      throw new Refused(401, 'unauthenticated', 'A token of those who approve is needed: log in.');
    }
    const blocked = deps.blocked(found.person);
    if (blocked !== undefined) throw new Refused(403, 'principal_blocked', blocked);
    return found;
  }

  async function answer(visit: GatewayVisit): Promise<unknown> {
    const { request, path } = visit;
    const approver = await whoCalls(visit);
    const inner = path.slice('/approvals/api'.length);
    const there = routes.filter(([, pattern]) => pattern.test(inner));
    const found = there.find(([method]) => method === request.method);
    if (there.length === 0) throw nothing();
    if (found === undefined) throw new Refused(405, 'method_not_allowed', 'This method is not allowed here.');
    const [method, pattern, handle] = found;
    const [, id = ''] = pattern.exec(inner) ?? [];
    return handle({ ...visit, approver, ...(method === 'POST' ? { body: await readJson(visit) } : {}) }, id);
  }

  return {
    async serve(visit) {
      const { response } = visit;
      try {
        sendJson(response, 200, await answer(visit));
      } catch (error) {
        if (error instanceof Refused) {
          const headers = error.status === 401 ? { 'www-authenticate': 'Bearer' } : {};
          return sendJson(response, error.status, { error: error.code, words: error.message }, headers);
        }
        if (!(error instanceof GatewayError)) throw error;
        sendJson(response, statusOf(error), { error: error.code, words: error.detail ?? error.message });
      }
    },
  };
}

function at(path: string): RegExp {
  return new RegExp(`^${path}$`);
}

function nothing(): Refused {
  return new Refused(404, 'not_found', 'There is nothing here for you.');
}

async function readJson({ request }: GatewayVisit): Promise<unknown> {
  const type = (request.headers['content-type'] ?? '').split(';', 1)[0]?.trim().toLowerCase();
  if (type !== 'application/json') throw new Refused(415, 'unsupported_media_type', 'Send application/json.');
  const bytes = await readBytes(request, MOST_BODY);
  if (bytes === undefined) throw new Refused(413, 'body_too_large', 'The body is over the limit.');
  try {
    return parseJson(Buffer.from(new TextDecoder('utf-8', { fatal: true }).decode(bytes)));
  } catch {
    throw new Refused(400, 'invalid_request', 'The body is not JSON.');
  }
}

function parsed<T>(schema: z.ZodType<T>, body: unknown): T {
  const read = schema.safeParse(body);
  if (read.success) return read.data;
  const where = read.error.issues[0]?.path.join('.');
  const what = where === undefined || where === '' ? 'The body' : `The body's ${where.slice(0, 60)}`;
  throw new Refused(400, 'invalid_request', `${what} is not what is asked for here.`);
}

/** Nobody decides on what they have not looked at. */
function checkCode(code: string, { code: right }: { readonly code: string }): void {
  if (code === right) return;
  throw new Refused(400, 'wrong_code', 'The code is another one: look at what you decide on, then give its code.');
}

function verdictOf({ verdict, reason: said }: z.output<typeof decision>) {
  return { verdict, ...(said === undefined ? {} : { reason: said }) };
}
