import type { Config, ConnectionConfig } from './config.ts';
import type { LoginConfig } from './config-login.ts';

/** Where a connection's references to secrets stand, in `upstream` and in each form of a credential. */
const OF_CONNECTION = new Set(['ca', 'bearer', 'value', 'key', 'clientSecret', 'secret']);
/** And those of the section `login`; some are lists. */
const OF_LOGIN = new Set(['secrets', 'clientSecret', 'certificates', 'secret', 'jwks']);

const OF_WEBHOOKS = new Set(['urlFrom', 'secret']);

type MapOne = (ref: string, key: string) => string;

/** The connection with each of its references (`file:…`, `env:…`, `gcp-secret:…`) as `map` gives it back. */
export function mapReferences(connection: ConnectionConfig, map: MapOne): ConnectionConfig {
  const { upstream, credential, credentialByGroup } = connection;
  const parts = mapped({ upstream, credential, credentialByGroup }, OF_CONNECTION, map);
  return { ...connection, ...parts };
}

/** The section `login` likewise. */
export function mapLoginReferences(login: LoginConfig, map: MapOne): LoginConfig {
  const { secrets, providers, clients } = login;
  return { ...login, ...mapped({ secrets, providers, clients }, OF_LOGIN, map) };
}

/** The section `webhooks` likewise. */
export function mapWebhookReferences(webhooks: Config['webhooks'], map: MapOne): Config['webhooks'] {
  return mapped(webhooks, OF_WEBHOOKS, map);
}

function mapped<T>(value: T, keys: ReadonlySet<string>, map: MapOne): T {
  if (Array.isArray(value)) return value.map((one) => mapped(one, keys, map)) as T;
  if (typeof value !== 'object' || value === null) return value;
  const members = Object.entries(value).map(([key, member]) => [
    key,
    keys.has(key) ? (references(member, key, map) ?? mapped(member, keys, map)) : mapped(member, keys, map),
  ]);
  return Object.fromEntries(members);
}

/** undefined for what is none: a client may be named as a key of these is. */
function references(member: unknown, key: string, map: MapOne): unknown {
  if (typeof member === 'string') return map(member, key);
  if (!Array.isArray(member)) return undefined;
  return member.every((one) => typeof one === 'string') ? member.map((one) => map(one, key)) : undefined;
}
