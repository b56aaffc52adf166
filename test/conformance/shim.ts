import { createServer, type IncomingMessage, request, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';

export interface Shim {
  /** The target's path at the shim's own address. */
  url: string;
  close(): Promise<void>;
}

/** Headers as they came, in order and case; the last word on what leaves. */
type RawHeaders = string[];

/**
 * The headers that leave: the same, in order and case, with two exceptions. `Authorization` is added. A `Host` or `Origin`
 * that names the shim names the target, as it would had the client dialled the target itself; any other value (a DNS
 * rebinding probe) passes as it is.
 */
function towardsTarget(headers: RawHeaders, own: string, target: string, token: string | undefined): RawHeaders {
  const renamed = headers.map((item, index) => {
    if (index % 2 === 0) return item;
    const name = headers[index - 1]?.toLowerCase();
    if (name === 'host' && item === own) return target;
    return name === 'origin' && item === `http://${own}` ? `http://${target}` : item;
  });
  return token === undefined ? renamed : [...renamed, 'Authorization', `Bearer ${token}`];
}

function relay(req: IncomingMessage, res: ServerResponse, target: URL, own: string, token: string | undefined): void {
  const upstream = request(target, {
    // A connection a request: an idle one that the target closes at the same moment would look like the target's failure.
    agent: false,
    method: req.method,
    path: req.url,
    headers: towardsTarget(req.rawHeaders, own, target.host, token),
  });

  upstream.on('response', (answer) => {
    res.sendDate = false;
    res.writeHead(answer.statusCode ?? 502, answer.statusMessage, answer.rawHeaders);
    // A stream that is silent at first must still be seen as open.
    res.flushHeaders();
    answer.pipe(res);
    answer.on('error', () => res.destroy());
  });
  upstream.on('error', () => res.destroy());
  res.on('close', () => upstream.destroy());

  upstream.flushHeaders();
  req.pipe(upstream);
  req.on('error', () => upstream.destroy());
}

/**
 * Starts a relay on loopback for clients that can't send a bearer token. It forwards each request to the target's origin
 * and streams both ways, byte for byte and without waiting for an end; a connection that ends on one side ends on the other.
 *
 * @param target URL of the endpoint; its path is kept in {@link Shim.url}.
 * @param token added as `Authorization: Bearer …`; without it nothing is added.
 */
export async function startShim(target: string, token?: string): Promise<Shim> {
  const url = new URL(target);
  const server = createServer((req, res) => relay(req, res, url, own(), token));
  const own = () => `127.0.0.1:${(server.address() as AddressInfo).port}`;
  await new Promise<void>((resolve, reject) => server.once('error', reject).listen(0, '127.0.0.1', resolve));
  return {
    url: `http://${own()}${url.pathname}`,
    async close() {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}
