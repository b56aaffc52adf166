import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { type Dispatcher, Pool } from 'undici';

// What a reverse proxy costs on Node before it does anything: the yardstick of the comparison, its own process.

const [origin = ''] = process.argv.slice(2);
const pool = new Pool(origin, { connections: 64 });

/** RFC 9110, 7.6.1: these belong to one connection. `host` is the upstream's own. */
const ownHeaders = new Set(['connection', 'keep-alive', 'transfer-encoding', 'host']);

function endToEnd(raw: ArrayLike<string | Buffer>): string[] {
  const kept: string[] = [];
  for (let index = 0; index < raw.length; index += 2) {
    const name = String(raw[index]);
    if (!ownHeaders.has(name.toLowerCase())) kept.push(name, String(raw[index + 1]));
  }
  return kept;
}

function answerInto(res: ServerResponse): Dispatcher.DispatchHandler {
  return {
    onRequestStart(controller) {
      res.on('close', () => res.writableFinished || controller.abort(new Error('the client went away')));
      res.on('drain', () => controller.resume());
    },
    onResponseStart(controller, status) {
      res.writeHead(status, endToEnd(controller.rawHeaders as Buffer[]));
    },
    onResponseData(controller, chunk) {
      if (!res.write(chunk)) controller.pause();
    },
    onResponseEnd: () => void res.end(),
    onResponseError: () => void res.destroy(),
  };
}

const server = createServer((req: IncomingMessage, res: ServerResponse) => {
  const { method = 'GET', url = '/' } = req;
  const body = method === 'GET' ? null : req;
  pool.dispatch(
    { method: method as Dispatcher.HttpMethod, path: url, headers: endToEnd(req.rawHeaders), body },
    answerInto(res),
  );
});
server.listen(0, '127.0.0.1', () => console.log((server.address() as AddressInfo).port));
// Started by another process, it ends with that one, however that ends.
process.stdin.on('end', () => process.exit()).resume();
