import { once } from 'node:events';
import { access, constants, mkdtemp, open, rm, writeFile } from 'node:fs/promises';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { delimiter, join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';

import { stringify } from 'yaml';
import { configurationFor, freePort } from '../test/gateway-under-test.ts';
import { startIssuer } from '../test/issuer.ts';
import { path } from './call.ts';
import { startChild } from './child.ts';

/** Something that forwards calls to the upstream. `pid` is the process whose tree is measured; `headers` open the way in. */
export interface Target {
  name: string;
  origin: string;
  /** Stands before the path of a call. */
  prefix: string;
  headers: Record<string, string>;
  pid: number;
  stop(): Promise<void>;
}

/** Starts a target in front of `upstream`, an origin such as `http://127.0.0.1:4000`. */
export type StartTarget = (upstream: string) => Promise<Target>;

/** A target that can't run here; the comparison goes on without it and says so. */
export class TargetUnavailable extends Error {
  override name = 'TargetUnavailable';
}

/** Starts a program of this folder that prints the port it listens on as its first line. */
export async function startProgram(file: URL, ...args: string[]) {
  const child = await startChild(process.execPath, [fileURLToPath(file), ...args]);
  return { ...child, origin: `http://127.0.0.1:${await child.line()}` };
}

/** The gateway with recording on, as its own process with its own disk and store. */
export async function startGatewayTarget(upstream: string): Promise<Target> {
  const folder = await mkdtemp(join(tmpdir(), 'verbatim-bench-'));
  const issuer = await startIssuer();
  const port = await freePort();
  const file = join(folder, 'verbatim.yaml');
  const at = { folder, issuer, port, origin: upstream, pathname: path };
  await writeFile(file, stringify(configurationFor(at, { config: { sealEvery: '1s' } })));
  // Its log, a line a checkpoint, goes to a file.
  const log = await open(join(folder, 'log'), 'w');
  const child = await startChild(
    process.execPath,
    ['gateway/cli/bin.js', 'gateway', '--config', file, '--json'],
    log.fd,
  );
  await log.close();
  const stop = async () => {
    await child.stop();
    await issuer.close();
    await rm(folder, { recursive: true, force: true });
  };
  await child.line();
  const origin = `http://127.0.0.1:${port}`;
  const token = await issuer.token(`${origin}/fixture${path}`);
  return {
    name: 'gateway',
    origin,
    prefix: '/fixture',
    headers: { authorization: `Bearer ${token}` },
    pid: child.pid,
    stop,
  };
}

export async function startBareTarget(upstream: string): Promise<Target> {
  const { pid, origin, stop } = await startProgram(new URL('./bare-proxy.ts', import.meta.url), upstream);
  return { name: 'bare', origin, prefix: '', headers: {}, pid, stop };
}

async function findOnPath(command: string): Promise<string> {
  for (const folder of (process.env.PATH ?? '').split(delimiter).filter(Boolean)) {
    const file = join(folder, command);
    const found = await access(file, constants.X_OK).then(
      () => true,
      () => false,
    );
    if (found) return file;
  }
  throw new TargetUnavailable(`${command} is not on PATH`);
}

/** One worker, keep-alive on both sides and no logs: what an operator would tune it to for this task. */
const nginxConfiguration = (folder: string, port: number, upstream: string) => `
daemon off;
worker_processes 1;
pid ${folder}/pid;
error_log stderr error;
events { worker_connections 256; }
http {
  access_log off;
  client_body_temp_path ${folder}/body;
  proxy_temp_path ${folder}/proxy;
  fastcgi_temp_path ${folder}/fastcgi;
  uwsgi_temp_path ${folder}/uwsgi;
  scgi_temp_path ${folder}/scgi;
  keepalive_requests 1000000000;
  upstream mcp { server ${new URL(upstream).host}; keepalive 64; keepalive_requests 1000000000; }
  server {
    listen 127.0.0.1:${port};
    location / {
      proxy_pass http://mcp;
      proxy_http_version 1.1;
      proxy_set_header Connection "";
      proxy_buffering off;
    }
  }
}
`;

async function waitForListener(port: number): Promise<void> {
  for (let attempt = 0; attempt < 100; attempt += 1) {
    const socket = connect(port, '127.0.0.1');
    const open = await once(socket, 'connect').then(
      () => true,
      () => false,
    );
    socket.destroy();
    if (open) return;
    await pause(50);
  }
  throw new Error(`nothing listens on port ${port}`);
}

export async function startNginxTarget(upstream: string): Promise<Target> {
  const command = await findOnPath('nginx');
  const folder = await mkdtemp(join(tmpdir(), 'verbatim-nginx-'));
  const port = await freePort();
  const file = join(folder, 'nginx.conf');
  await writeFile(file, nginxConfiguration(folder, port, upstream));
  const child = await startChild(command, ['-p', folder, '-e', 'stderr', '-c', file]);
  const stop = async () => {
    await child.stop();
    await rm(folder, { recursive: true, force: true });
  };
  await waitForListener(port).catch(async (error) => {
    await stop();
    throw error;
  });
  return { name: 'nginx', origin: `http://127.0.0.1:${port}`, prefix: '', headers: {}, pid: child.pid, stop };
}
