/**
 * Requests to Model Armor: pinned addresses, sockets that stay open between calls, a limit on the answer, no redirects.
 * Errors say where and which code; the answer of a failure, which may repeat the text, is never read.
 */
import { Agent, request } from 'undici';
import { classifyHost, createPinnedLookup, mayConnect } from '../proxy/address.ts';
import { networkCode } from '../proxy/credential-error.ts';

export class ArmorFailure extends Error {
  override readonly name = 'ArmorFailure';
  /** HTTP status; absent where there was no answer. */
  readonly status: number | undefined;

  /** `words` are for the log. */
  constructor(words: string, status?: number) {
    super(words);
    this.status = status;
  }
}

export interface ArmorFetch {
  /** The body of a 200. Throws ArmorFailure. */
  post(url: string, token: string, body: string, signal: AbortSignal): Promise<Buffer>;
  close(): Promise<void>;
}

/** With data that was de-identified, an answer holds its piece of text once more. */
const MOST_BYTES = 512 * 1024;
const CONNECT_MS = 5000;
const SOCKETS = 32;

export function createArmorFetch(): ArmorFetch {
  const agents = new Map<boolean, Agent>();
  const agentFor = (loopback: boolean): Agent => {
    const there = agents.get(loopback);
    if (there !== undefined) return there;
    const made = new Agent({
      connections: SOCKETS,
      allowH2: false,
      connect: { timeout: CONNECT_MS, lookup: createPinnedLookup(loopback ? ['loopback'] : []) },
    });
    agents.set(loopback, made);
    return made;
  };

  return {
    async post(url, token, body, signal) {
      const { hostname, host } = new URL(url);
      const kind = classifyHost(hostname);
      if (kind !== undefined && !mayConnect(kind, ['loopback'])) throw new ArmorFailure(`${host} is a ${kind} address`);
      try {
        const answer = await request(url, {
          method: 'POST',
          headers: {
            authorization: `Bearer ${token}`,
            accept: 'application/json',
            'accept-encoding': 'identity',
            'content-type': 'application/json',
          },
          body,
          signal,
          dispatcher: agentFor(kind === 'loopback'),
        });
        if (answer.statusCode === 200) return await readAtMost(answer.body, host);
        await answer.body.dump().catch(() => {});
        throw new ArmorFailure(`${host}: HTTP ${answer.statusCode}`, answer.statusCode);
      } catch (error) {
        if (error instanceof ArmorFailure) throw error;
        throw new ArmorFailure(`no answer from ${host} (${networkCode(error)})`);
      }
    },
    async close() {
      await Promise.all([...agents.values()].map((agent) => agent.destroy()));
    },
  };
}

async function readAtMost(body: AsyncIterable<Buffer>, host: string): Promise<Buffer> {
  const chunks: Buffer[] = [];
  let length = 0;
  // Leaving the loop destroys the body, and with it the socket.
  for await (const chunk of body) {
    length += chunk.length;
    if (length > MOST_BYTES) throw new ArmorFailure(`${host} sent more than ${MOST_BYTES} bytes`, 200);
    chunks.push(chunk);
  }
  return Buffer.concat(chunks);
}
