/** What a gateway under test leaves behind: its log, its metrics, its stores, its disk, and every byte to its clients. */
import { hkdfSync } from 'node:crypto';
import { subscribe } from 'node:diagnostics_channel';
import { type Dirent, readdirSync, readFileSync } from 'node:fs';
import { get } from 'node:http';
import type { Socket } from 'node:net';
import { join, relative } from 'node:path';
import { fileURLToPath } from 'node:url';
import { gunzipSync } from 'node:zlib';
import type { Config } from '../gateway/config.ts';
import type { CredentialConfig } from '../gateway/config-credential.ts';
import { loadConfigFile } from '../gateway/config-file.ts';
import { openStore } from '../gateway/store/open.ts';
import { assertNoSecrets, type Place, secret } from './canaries.ts';

export interface Watch {
  /** The gateway is about to close, and its metrics with it. */
  closing(metricsUrl: string | undefined): void;
  /** Rejects where a secret is anywhere. Once the gateway is closed, and before its folders are removed. */
  search(): Promise<void>;
}

/** Chunks to the clients of a gateway, by its port; a list a socket. */
const sent = new Map<number, Buffer[][]>();
/** Headers by which some gateway authenticates upstream, in lower case. */
const credentialHeaders = new Set(['authorization']);

subscribe('net.server.socket', (message) => {
  const { socket } = message as { socket: Socket };
  const sockets = sent.get(socket.localPort ?? 0);
  if (sockets !== undefined) listen(socket, sockets);
});

// Whatever a gateway shows an upstream, minted or read anew, is a secret from then on.
subscribe('undici:request:create', (message) => {
  const { headers } = (message as { request: { headers: readonly unknown[] } }).request;
  for (let index = 0; index + 1 < headers.length; index += 2) {
    const name = String(headers[index]).toLowerCase();
    const value = String(headers[index + 1]).replace(/^(Bearer|Basic) /, '');
    if (credentialHeaders.has(name)) secret(value, `the ${name} that an upstream was sent`);
  }
});

function listen(socket: Socket, sockets: Buffer[][]): void {
  const chunks: Buffer[] = [];
  sockets.push(chunks);
  const keep = (chunk: unknown, encoding: BufferEncoding): void =>
    void chunks.push(typeof chunk === 'string' ? Buffer.from(chunk, encoding) : (chunk as Buffer));
  const { _write, _writev } = socket;
  socket._write = (chunk, encoding, done) => {
    keep(chunk, encoding);
    _write.call(socket, chunk, encoding, done);
  };
  socket._writev = (all, done) => {
    for (const { chunk, encoding } of all) keep(chunk, encoding);
    _writev?.call(socket, all, done);
  };
}

/** Begins to watch the gateway of this configuration file, which is about to start on this port. */
export function watchGateway(configFile: string, port: number, logged: readonly string[]): Watch {
  const sockets: Buffer[][] = [];
  sent.set(port, sockets);
  noteCredentials(configFile);
  let metrics: Promise<string> | undefined;
  return {
    closing(metricsUrl) {
      metrics ??= metricsUrl === undefined ? Promise.resolve('') : read(`${metricsUrl}/metrics`);
    },
    async search() {
      if (sent.get(port) === sockets) sent.delete(port);
      const config = noteCredentials(configFile);
      assertNoSecrets([
        { name: 'the log', bytes: Buffer.from(logged.join('\n')) },
        { name: 'the metrics', bytes: Buffer.from((await metrics) ?? '') },
        ...sockets.flatMap(clientPlaces),
        ...(config === undefined ? [] : await leftBy(config)),
      ]);
    },
  };
}

/** Chunked framing may stand in the middle of a secret, so the bytes are searched without it too. */
function clientPlaces(chunks: readonly Buffer[]): Place[] {
  const isFraming = (chunk: Buffer): boolean => chunk.length < 9 && /^([0-9a-f]+|\r\n)$/.test(chunk.toString('latin1'));
  const body = chunks.filter((chunk) => !isFraming(chunk));
  const name = 'the bytes to a client';
  const toClients = true;
  const whole: Place = { name, bytes: Buffer.concat(chunks), toClients };
  return body.length === chunks.length ? [whole] : [whole, { name, bytes: Buffer.concat(body), toClients }];
}

/** The gateway's stores and its disk, whose keys are secrets themselves. */
async function leftBy({ data, stores }: Config): Promise<Place[]> {
  noteKeys(join(data, 'keys'));
  const places = placesIn('the disk', data);
  for (const [name, url] of Object.entries(stores)) {
    const where = `the store of ${name}`;
    places.push(...(url.startsWith('file:') ? placesIn(where, fileURLToPath(url)) : await placesInBucket(where, url)));
  }
  return places;
}

async function placesInBucket(name: string, url: string): Promise<Place[]> {
  const store = openStore(url);
  const places: Place[] = [];
  for await (const object of store.list('')) {
    const bytes = Buffer.from((await store.get(object)) ?? []);
    places.push({ name: `${name}, ${object}`, bytes: object.endsWith('.gz') ? unpacked(bytes) : bytes });
  }
  return places;
}

/** Every file below a folder, segments unpacked; not the disk's keys. */
export function placesIn(name: string, folder: string): Place[] {
  const places: Place[] = [];
  for (const entry of entriesOf(folder)) {
    const path = join(entry.parentPath, entry.name);
    const within = relative(folder, path);
    if (!entry.isFile() || /^(.*\/)?keys\//.test(within)) continue;
    const bytes = readFileSync(path);
    places.push({ name: `${name}, ${within}`, bytes: entry.name.endsWith('.gz') ? unpacked(bytes) : bytes });
  }
  return places;
}

function entriesOf(folder: string): Dirent[] {
  try {
    return readdirSync(folder, { recursive: true, withFileTypes: true });
  } catch (error) {
    // Some tests take a gateway's folder away.
    if (['ENOENT', 'ENOTDIR'].includes((error as NodeJS.ErrnoException).code ?? '')) return [];
    throw error;
  }
}

function unpacked(bytes: Buffer): Buffer {
  try {
    return gunzipSync(bytes);
  } catch {
    return bytes;
  }
}

/** The secrets of a disk: its keys and those that are derived from them. */
export function noteKeys(folder: string): void {
  for (const entry of entriesOf(folder)) {
    const bytes = readFileSync(join(entry.parentPath, entry.name));
    if (entry.name.endsWith('.pem')) secret(bytes.toString(), `the disk's ${entry.name}`);
    else if (entry.name === 'master') {
      secret(bytes, "the disk's master key");
      for (const [purpose, key] of derivedKeys(bytes)) secret(key, `the disk's ${purpose} key`);
    }
  }
}

/** As gateway/disk.ts derives them. */
export function derivedKeys(master: Buffer): Map<string, Buffer> {
  const derive = (purpose: string): Buffer => Buffer.from(hkdfSync('sha256', master, '', `verbatim/${purpose}`, 32));
  return new Map(['journal', 'sealing', 'witness', 'login'].map((purpose) => [purpose, derive(purpose)]));
}

/** Names the credentials that a configuration refers to, as they are now. */
function noteCredentials(configFile: string): Config | undefined {
  const loaded = loadConfigFile(configFile);
  if (!loaded.ok) return undefined;
  for (const { name, credential, credentialByGroup, identityHeader } of Object.values(loaded.config.connections)) {
    if (identityHeader !== undefined) credentialHeaders.add(identityHeader.toLowerCase());
    for (const one of [credential, ...credentialByGroup.map((entry) => entry.credential)]) {
      if ('header' in one) credentialHeaders.add(one.header.toLowerCase());
      for (const reference of referencesIn(one)) {
        const value = referenced(reference);
        if (value !== undefined) secret(value, `the credential of ${name}`);
      }
    }
  }
  return loaded.config;
}

function referencesIn(credential: CredentialConfig): string[] {
  if ('none' in credential) return [];
  if ('bearer' in credential) return [credential.bearer];
  if ('header' in credential) return [credential.value];
  if ('oauthClient' in credential) return [credential.oauthClient.clientSecret];
  if ('userOauth' in credential) return [credential.userOauth.client?.secret].filter((one) => one !== undefined);
  const source = 'googleIdToken' in credential ? credential.googleIdToken : credential.googleAccessToken;
  return 'key' in source ? [source.key] : [];
}

/** What `gcp-secret:` names is told by what the upstream is sent. */
function referenced(reference: string): string | undefined {
  if (reference.startsWith('env:')) return process.env[reference.slice(4)];
  if (!reference.startsWith('file:')) return undefined;
  try {
    return readFileSync(reference.slice(5), 'utf8');
  } catch {
    return undefined;
  }
}

function read(url: string): Promise<string> {
  return new Promise((done, fail) => {
    get(url, { agent: false }, (response) => {
      const chunks: Buffer[] = [];
      response.on('data', (chunk: Buffer) => chunks.push(chunk));
      response.on('end', () => done(Buffer.concat(chunks).toString()));
      response.on('error', fail);
    }).on('error', fail);
  });
}
