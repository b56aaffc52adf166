/** A double of the part of Microsoft Graph that says who is in which groups, over real HTTP on loopback. */
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';

export interface GraphObject {
  readonly type: 'group' | 'directoryRole' | 'administrativeUnit';
  readonly id: string;
}

export interface GraphDouble {
  readonly url: string;
  /** By object id. What changes here is in the next answer. */
  readonly users: Map<string, { accountEnabled: boolean; memberOf: GraphObject[] }>;
  /** Whether a bearer is a token for Graph that was given out. */
  accepts: (bearer: string) => boolean;
  /** A status to answer with instead. `from` counts requests: only from this one on. */
  trouble: { status: number; from: number } | undefined;
  pageSize: number;
  /** Where next pages are: other than here, they must not be asked. */
  nextOrigin: string;
  /** Paths that were asked for. */
  readonly asked: string[];
  close(): Promise<void>;
}

const STATUS: Record<string, number> = {
  InvalidAuthenticationToken: 401,
  BadRequest: 400,
  Request_ResourceNotFound: 404,
};

export async function startGraph(): Promise<GraphDouble> {
  const server = createServer((request, response) => handle(request, response));
  await new Promise<void>((done) => server.listen(0, '127.0.0.1', done));
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  const double: GraphDouble = {
    url,
    users: new Map(),
    accepts: () => true,
    trouble: undefined,
    pageSize: 2,
    nextOrigin: url,
    asked: [],
    async close() {
      server.closeAllConnections();
      await new Promise<void>((done) => server.close(() => done()));
    },
  };

  function handle(request: IncomingMessage, response: ServerResponse): void {
    const asked = new URL(request.url ?? '', url);
    double.asked.push(asked.pathname);
    const found = answerTo(request, asked);
    // As a careless server would: its words quote the request.
    const error = { code: found, message: `You sent ${request.headers.authorization}` };
    const [status, body] = typeof found === 'string' ? [STATUS[found] ?? Number(found), { error }] : [200, found];
    response.writeHead(status, { 'content-type': 'application/json' }).end(JSON.stringify(body));
  }

  function answerTo({ method, headers }: IncomingMessage, { pathname, searchParams }: URL): object | string {
    const { trouble } = double;
    if (trouble !== undefined && double.asked.length >= trouble.from) return String(trouble.status);
    if (!double.accepts(headers.authorization?.replace(/^Bearer /, '') ?? '')) return 'InvalidAuthenticationToken';
    const [, oid = '', list] = /^\/v1\.0\/users\/([0-9a-f-]{36})(\/transitiveMemberOf)?$/.exec(pathname) ?? [];
    const user = double.users.get(oid);
    if (method !== 'GET' || oid === '') return 'BadRequest';
    if (user === undefined) return 'Request_ResourceNotFound';
    if (list === undefined) return { accountEnabled: user.accountEnabled };
    const start = Number(searchParams.get('$skiptoken') ?? '0');
    const end = start + Math.min(double.pageSize, Number(searchParams.get('$top')));
    const value = user.memberOf
      .slice(start, end)
      .map(({ type, id }) => ({ '@odata.type': `#microsoft.graph.${type}`, id }));
    const next = `${double.nextOrigin}${pathname}?$select=id&$top=999&$skiptoken=${end}`;
    return { value, ...(end < user.memberOf.length ? { '@odata.nextLink': next } : {}) };
  }

  return double;
}
