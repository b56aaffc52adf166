/** For tests: each page, as it is most of the time and as somebody wants it who means harm. */
import type { ApprovalRequest } from '../../sessions/approval.ts';
import type { AccessRequest, Window } from '../../sessions/window.ts';
import { accessPage, type EnterPage, enterPage } from './access.ts';
import { accessRequestPage, windowPage } from './access-item.ts';
import { allowCommandPage } from './allow-command.ts';
import { type ApprovalPage, approvalPage, approvalsPage, askedPage } from './approval.ts';
import type { Around } from './approver.ts';
import { showArguments } from './arguments.ts';
import { type ConnectPage, connectPage } from './connect.ts';
import { type ConsentQuestion, consentPage } from './consent.ts';
import { messagePage } from './message.ts';
import type { Page } from './page.ts';
import { chooseProviderPage, signInPage } from './sign-in.ts';

const NOW = Date.UTC(2026, 10, 28, 13, 21);
const HOUR = 3_600_000;
const okta = { name: 'okta', title: 'Okta' };
const google = { name: 'google', title: 'Google Workspace' };
const entra = { name: 'entra', title: 'Contoso (Entra ID)' };
const post = { csrf: 'csrf-of-this-browser', action: '/post', formOrigins: [] };

/** Everything that a page may be made to show. */
const HOSTILE = `</title></style><script>document.title='pwned'</script><img src=x onerror="document.title='pwned'">"' style="position:fixed\u202egpj.exe\u2066 \u200b${'Z\u0335\u0321\u0322\u0327\u0328\u0321\u0322\u0327\u0328'.repeat(4)} 👩‍💻❤️ שלום ${'a'.repeat(10_000)}`;

export const asked: ConsentQuestion = {
  client: { name: 'Claude Code', id: 'dcr-1', verified: 'self-registered' },
  redirect: 'http://localhost:54212/callback',
  connection: { name: 'orders', title: 'Orders database', host: 'mcp.example.com', recording: 'on' },
  lasts: { longest: 12 * HOUR, idle: 8 * HOUR },
  providers: [okta],
  ...post,
};

const connect: ConnectPage = {
  person: { name: 'Ana Keller', email: 'ana@example.com', provider: 'Okta' },
  connections: [
    {
      name: 'orders',
      title: 'Orders database',
      url: 'https://mcp.example.com/orders/mcp',
      recording: 'on',
      sessions: [{ id: 's1', client: 'Claude Code', since: NOW - 4 * HOUR, until: NOW + 8 * HOUR }],
      consents: [
        { id: 'c1', client: 'Claude Code', redirect: 'a program on this computer', until: NOW + 700 * HOUR },
        { id: 'c2', client: 'Claude', redirect: 'claude.ai', until: NOW + 500 * HOUR },
      ],
      account: { state: 'not_needed' },
    },
    {
      name: 'tickets',
      title: 'Tickets',
      url: 'https://tickets.mcp.example.com/mcp',
      recording: 'off',
      lastUsed: NOW - 50 * HOUR,
      sessions: [],
      consents: [],
      lastError: {
        at: NOW - 49 * HOUR,
        words: 'The upstream answered 503. Nothing was executed: try again, or ask the team that runs it.',
        reference: '0193-7c1e-4b55',
      },
      account: { state: 'needed' },
      access: { words: 'Access is given for a time: on request.', href: 'https://mcp.example.com/access/tickets' },
    },
    {
      name: 'wiki',
      title: 'Company wiki',
      url: 'https://mcp.example.com/wiki/mcp',
      recording: 'on',
      sessions: [],
      consents: [],
      account: {
        state: 'failed',
        words: 'The wiki no longer accepts your account: its consent was taken back there. Connect it again.',
      },
    },
  ],
  notice: { kind: 'good', words: 'The session of Codex has ended.' },
  signOutAction: '/sign-out',
  now: NOW,
  ...post,
};

export const hostileConnection = {
  name: 'orders',
  title: HOSTILE,
  url: 'https://mcp.example.com/orders/mcp',
  recording: 'on',
  sessions: [{ id: '"><script>', client: HOSTILE, since: NOW, until: NOW }],
  consents: [{ id: "'", client: HOSTILE, redirect: HOSTILE, until: NOW }],
  lastError: { at: NOW, words: HOSTILE, reference: HOSTILE },
  account: { state: 'failed', words: HOSTILE },
} as const;

const around: Around = {
  publicUrl: 'https://mcp.example.com',
  who: { name: 'Bob Lindqvist', provider: 'Okta' },
  signOut: { action: '/sign-out', csrf: 'csrf-of-this-browser' },
  now: NOW,
};
const hostileAround: Around = { ...around, who: { name: HOSTILE, provider: HOSTILE }, notice: 'Done.' };
const UUID = '0193f0a2-7c1e-7b55-9c1d-2f6f0f3f1a11';
const target = { action: '/post', csrf: 'csrf-of-this-browser' };

const call: ApprovalRequest = {
  id: UUID,
  code: 'M78H-TVWG',
  at: NOW,
  expires: NOW + HOUR,
  hash: 'a'.repeat(64),
  state: { state: 'pending', id: UUID, code: 'M78H-TVWG', expires: NOW + HOUR },
  call: {
    principal: {
      kind: 'agent',
      issuer: HOSTILE,
      subject: HOSTILE,
      email: HOSTILE,
      groups: [],
      owner: HOSTILE,
      onBehalfOf: HOSTILE,
    },
    client: HOSTILE,
    session: UUID,
    connection: 'orders',
    title: HOSTILE,
    origin: HOSTILE,
    method: HOSTILE,
    name: HOSTILE,
    params: { [HOSTILE]: [HOSTILE] },
    tool: 'b'.repeat(64),
    policy: 'c'.repeat(64),
    rules: [{ rule: HOSTILE, approvers: [HOSTILE], pending: HOUR, usable: HOUR }],
    exchange: UUID,
  },
};
const approval: ApprovalPage = {
  ...hostileAround,
  request: call,
  arguments: showArguments(call.call.params, 5000),
  wholeHref: '/whole',
  decide: { kind: 'form', ...target },
};
const denied = { state: 'denied', id: UUID, by: HOSTILE, reason: HOSTILE } as const;
const accessRequest: AccessRequest = {
  id: UUID,
  code: 'M78H-TVWG',
  person: call.call.principal,
  connection: 'orders',
  reason: HOSTILE,
  duration: HOUR,
  at: NOW,
  expires: NOW + HOUR,
  state: 'pending',
};
const window: Window = {
  id: UUID,
  kind: 'breakGlass',
  issuer: HOSTILE,
  subject: HOSTILE,
  email: HOSTILE,
  connection: 'orders',
  reason: HOSTILE,
  from: NOW,
  expires: NOW + HOUR,
  state: 'open',
  review: 'due',
};
const enter: EnterPage = {
  ...hostileAround,
  way: { name: 'orders', title: HOSTILE, justInTime: HOUR, breakGlass: HOUR },
  open: window,
  waiting: accessRequest,
  request: target,
  breakGlass: { kind: 'form', ...target },
  problem: HOSTILE,
};

/** By the name of their case. */
export const pages: Readonly<Record<string, Page>> = {
  consent: consentPage(asked),
  'consent-document': consentPage({
    ...asked,
    client: { name: 'Claude', id: 'https://claude.ai/oauth/client', verified: 'document', host: 'claude.ai' },
    redirect: 'https://claude.ai/api/mcp/auth_callback',
    email: 'ana@example.com',
  }),
  'consent-several': consentPage({
    ...asked,
    client: { name: 'Cursor', id: 'cursor', verified: 'registered' },
    redirect: 'cursor://anysphere.cursor-mcp/oauth/callback',
    connection: { ...asked.connection, recording: 'off' },
    providers: [okta, google, entra],
    email: 'ana@exmple.com',
    problem: 'Nobody logs in with exmple.com here. Check the address, or ask the administrators of this gateway.',
  }),
  'consent-hostile': consentPage({
    ...asked,
    client: { name: HOSTILE, id: HOSTILE, verified: 'document', host: HOSTILE },
    redirect: `https://${'a.'.repeat(120)}example.com/${encodeURIComponent(HOSTILE)}`,
    connection: { ...asked.connection, title: HOSTILE, host: HOSTILE },
    providers: [okta, { name: 'x', title: HOSTILE }],
    email: HOSTILE,
    problem: HOSTILE,
  }),
  'sign-in': signInPage({ ...post, provider: okta }),
  'choose-provider': chooseProviderPage({ ...post, providers: [okta, google, entra] }),
  'message-error': messagePage({
    status: 403,
    title: 'You are not in a group that may use this',
    words: 'You are logged in as ana@example.com, but none of your groups may open a session on Orders database.',
    hint: 'Ask the team that runs it to let one of your groups in, then log in again. They will want to know:',
    details: [
      ['Reference', '0193f0a2-7c1e-7b55-9c1d-2f6f0f3f1a11'],
      ['Connection', 'orders'],
      ['Time', '2026-11-28 13:21:04 UTC'],
    ],
    action: { label: 'Your connections', href: '/connect' },
  }),
  'message-done': messagePage({
    status: 200,
    title: 'You are signed out',
    words: 'Sessions that are open go on. End them on the page with your connections.',
  }),
  'message-hostile': messagePage({
    status: 400,
    title: HOSTILE,
    words: HOSTILE,
    hint: HOSTILE,
    details: [[HOSTILE, HOSTILE]],
    action: { label: HOSTILE, href: '/connect' },
  }),
  'approval-hostile': approvalPage(approval),
  'approval-denied': approvalPage({ ...approval, request: { ...call, state: denied }, decide: { kind: 'none' } }),
  'asked-hostile': askedPage({ ...hostileAround, request: { ...call, state: denied } }),
  'approvals-hostile': approvalsPage({ ...hostileAround, requests: [call, call] }),
  'approvals-none': approvalsPage({ ...around, requests: [] }),
  'command-hostile': allowCommandPage({
    command: HOSTILE.slice(0, 300),
    code: 'DMZD-GTST',
    level: 'decide',
    who: HOSTILE,
    redirect: 'http://127.0.0.1:49152/callback',
    ...target,
  }),
  'access-hostile': accessPage({ ...hostileAround, ways: [enter.way], requests: [accessRequest], windows: [window] }),
  'access-none': accessPage({ ...around, ways: [], requests: [], windows: [] }),
  'enter-hostile': enterPage(enter),
  'request-hostile': accessRequestPage({
    ...hostileAround,
    request: accessRequest,
    title: HOSTILE,
    decide: { kind: 'form', ...target },
  }),
  'window-hostile': windowPage({
    ...hostileAround,
    window,
    title: HOSTILE,
    revoke: target,
    review: { kind: 'form', ...target },
  }),
  'window-reviewed': windowPage({
    ...hostileAround,
    window: { ...window, state: 'revoked', review: { by: HOSTILE, at: NOW, words: HOSTILE } },
    title: HOSTILE,
  }),
  connect: connectPage(connect),
  'connect-empty': connectPage({ ...connect, connections: [], notice: { kind: 'good', words: 'You are logged in.' } }),
  'connect-hostile': connectPage({
    ...connect,
    person: { name: HOSTILE, email: HOSTILE, provider: HOSTILE },
    connections: [hostileConnection],
    notice: { kind: 'bad', words: HOSTILE },
  }),
};
