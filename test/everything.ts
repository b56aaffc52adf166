import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { freePort } from './gateway-under-test.ts';

/** Starts `@modelcontextprotocol/server-everything`, the project's sample server on SDK 1, as its own process. */
export async function startEverything(): Promise<{ url: string; close(): Promise<void> }> {
  const entry = fileURLToPath(import.meta.resolve('@modelcontextprotocol/server-everything/dist/index.js'));
  // It can't say which port it got, so it is told one; between finding and using it another process could take it.
  const port = await freePort();
  const child = spawn(process.execPath, [entry, 'streamableHttp'], {
    stdio: ['ignore', 'ignore', 'pipe'],
    env: { ...process.env, PORT: String(port) },
  });
  const exit = once(child, 'exit');
  let ready = false;
  for await (const line of createInterface({ input: child.stderr })) {
    ready = line.includes(`listening on port ${port}`);
    if (ready) break;
  }
  if (!ready) throw new Error('server-everything did not start');
  child.stderr.resume();
  return {
    url: `http://127.0.0.1:${port}/mcp`,
    async close() {
      child.kill('SIGKILL');
      await exit;
    },
  };
}
