import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { json } from 'node:stream/consumers';
import * as z from 'zod';

import { responseBody } from './call.ts';

// The server behind every target, its own process: the least that answers a tools/call with the right id.

const call = z.object({ id: z.int() });

const server = createServer(async (req, res) => {
  const body = responseBody(call.parse(await json(req)).id);
  res.writeHead(200, { 'content-type': 'application/json', 'content-length': Buffer.byteLength(body) }).end(body);
});
server.listen(0, '127.0.0.1', () => console.log((server.address() as AddressInfo).port));
// Started by another process, it ends with that one, however that ends.
process.stdin.on('end', () => process.exit()).resume();
