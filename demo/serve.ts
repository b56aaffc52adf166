import { connect, createServer, type Server, type Socket } from 'node:net';
import { pipeline } from 'node:stream/promises';
import { startIdp } from './idp.ts';
import { startOrders } from './orders.ts';

export interface ServedDemo {
  /** The identity provider's issuer. */
  readonly idp: string;
  /** The MCP server's URL. */
  readonly orders: string;
  close(): Promise<void>;
}

/** Where something listens. */
export interface Place {
  readonly host: string;
  readonly port: number;
}

/**
 * The demo without its gateway: identity provider and MCP server, for a gateway that runs as a process of its own.
 *
 * @param options.callbacks where logins come back to: `<publicUrl>/oauth/callback/<name>` of the gateway.
 * @param options.clientSecret what the gateway shows to the identity provider.
 * @param options.relay listens there for the identity provider, which itself listens on loopback only. A container
 *   needs it: what the host publishes arrives at the container's own address, not at its loopback.
 * @throws Error with words for a person: a port is taken.
 */
export async function serveDemo(options: {
  callbacks: readonly string[];
  clientSecret: string;
  idpPort: number;
  ordersPort: number;
  relay?: Place;
}): Promise<ServedDemo> {
  const opened: { close(): Promise<void> }[] = [];
  const close = async (): Promise<void> => {
    for (const part of opened.reverse()) await part.close();
  };
  try {
    const idp = await startIdp({
      port: options.idpPort,
      callbacks: () => options.callbacks,
      clientSecret: options.clientSecret,
    });
    opened.push(idp);
    const orders = await startOrders({ port: options.ordersPort });
    opened.push(orders);
    if (options.relay !== undefined) opened.push(await startRelay(options.relay, Number(new URL(idp.issuer).port)));
    return { idp: idp.issuer, orders: orders.url, close };
  } catch (error) {
    await close();
    throw error;
  }
}

/** Hands every connection on to a port of loopback, byte for byte. */
async function startRelay({ host, port }: Place, target: number): Promise<{ close(): Promise<void> }> {
  const open = new Set<Socket>();
  const server = createServer({ allowHalfOpen: true }, (from) => {
    const to = connect({ host: '127.0.0.1', port: target, allowHalfOpen: true });
    for (const socket of [from, to]) {
      open.add(socket);
      socket.on('close', () => open.delete(socket));
    }
    // Each direction ends on its own; one that breaks takes the other with it.
    for (const way of [pipeline(from, to), pipeline(to, from)]) {
      way.catch(() => {
        from.destroy();
        to.destroy();
      });
    }
  });
  await listen(server, { host, port });
  return {
    async close() {
      const closed = new Promise<void>((done) => server.close(() => done()));
      for (const socket of open) socket.destroy();
      await closed;
    },
  };
}

async function listen(server: Server, { host, port }: Place): Promise<void> {
  await new Promise<void>((done, fail) => {
    server.once('error', (error) =>
      fail(
        'code' in error && error.code === 'EADDRINUSE'
          ? new Error(`Port ${port} of ${host} is taken: the demo's identity provider needs another to be reached by.`)
          : error,
      ),
    );
    server.listen(port, host, done);
  });
}
