/**
 * A load balancer as gateways meet one: HTTP/1.1, connections that are kept, each request to the next gateway in turn, no
 * second try, and probes of `/readyz` where it is asked to look.
 */
import { once } from 'node:events';
import { Agent, createServer, type IncomingMessage, request, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';

/** The header of an answer that says which gateway was given the request. */
export const BALANCER = 'x-balancer';

interface Target {
  readonly origin: string;
  readonly agent: Agent;
  /** It is given requests. */
  ready: boolean;
}

export interface Balancer {
  readonly port: number;
  readonly url: string;
  /** Which gateway was given each request, in order. */
  readonly given: readonly { readonly method: string; readonly origin: string }[];
  add(origin: string): void;
  /** Forgets a gateway, and its connections with it. */
  remove(origin: string): void;
  /** Asks a gateway's `/readyz` once; from then on it is given requests, or none, as the answer says. */
  probe(origin: string): Promise<boolean>;
  close(): Promise<void>;
}

const PROBE_WITHIN_MS = 1000;

export async function startBalancer(): Promise<Balancer> {
  const targets = new Map<string, Target>();
  const given: { method: string; origin: string }[] = [];
  let turn = 0;

  function next(): Target | undefined {
    const ready = [...targets.values()].filter((one) => one.ready);
    return ready[turn++ % Math.max(1, ready.length)];
  }

  function pass(incoming: IncomingMessage, answer: ServerResponse): void {
    const target = next();
    if (target === undefined) return void answer.writeHead(503, { [BALANCER]: 'none' }).end();
    const { method = '', url: path = '' } = incoming;
    given.push({ method, origin: target.origin });
    const outgoing = request(target.origin, {
      method,
      path,
      headers: rawOf(incoming),
      agent: target.agent,
      setHost: false,
    });
    outgoing.on('response', (upstream) => {
      answer.writeHead(upstream.statusCode ?? 502, [...rawOf(upstream), BALANCER, target.origin]);
      answer.flushHeaders();
      upstream.pipe(answer);
      upstream.on('error', () => answer.destroy());
    });
    outgoing.on('error', () => {
      if (answer.headersSent) answer.destroy();
      else answer.writeHead(502, { [BALANCER]: target.origin }).end();
    });
    answer.on('close', () => outgoing.destroy());
    incoming.pipe(outgoing);
  }

  const server = createServer({ keepAliveTimeout: 600_000 }, pass);
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;

  const balancer: Balancer = {
    port,
    url: `http://127.0.0.1:${port}`,
    given,
    add(origin) {
      targets.set(origin, { origin, agent: new Agent({ keepAlive: true }), ready: true });
    },
    remove(origin) {
      targets.get(origin)?.agent.destroy();
      targets.delete(origin);
    },
    async probe(origin) {
      const ready = await fetch(`${origin}/readyz`, { signal: AbortSignal.timeout(PROBE_WITHIN_MS) }).then(
        async (answer) => (await answer.text()) !== '' && answer.ok,
        () => false,
      );
      const target = targets.get(origin);
      if (target !== undefined) target.ready = ready;
      return ready;
    },
    async close() {
      const closed = once(server, 'close');
      server.close();
      server.closeAllConnections();
      for (const origin of [...targets.keys()]) balancer.remove(origin);
      await closed;
    },
  };
  return balancer;
}

/** Names and values as they came, for one hop: connections are each side's own. */
function rawOf({ rawHeaders }: IncomingMessage): string[] {
  const headers: string[] = [];
  for (let at = 0; at < rawHeaders.length; at += 2) {
    const [name = '', value = ''] = [rawHeaders[at], rawHeaders[at + 1]];
    if (!/^(connection|keep-alive)$/i.test(name)) headers.push(name, value);
  }
  return headers;
}
