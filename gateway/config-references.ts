import type { ConnectionConfig } from './config.ts';

/** Where a connection's references to secrets stand, in `upstream` and in each form of a credential. */
const REFERENCES = new Set(['ca', 'bearer', 'value', 'key', 'clientSecret', 'secret']);

type MapOne = (ref: string, key: string) => string;

/** The connection with each of its references (`file:…`, `env:…`, `gcp-secret:…`) as `map` gives it back. */
export function mapReferences(connection: ConnectionConfig, map: MapOne): ConnectionConfig {
  const { upstream, credential, credentialByGroup } = connection;
  const parts = mapped({ upstream, credential, credentialByGroup }, map);
  return { ...connection, ...parts };
}

function mapped<T>(value: T, map: MapOne): T {
  if (Array.isArray(value)) return value.map((one) => mapped(one, map)) as T;
  if (typeof value !== 'object' || value === null) return value;
  const members = Object.entries(value).map(([key, member]) => [
    key,
    REFERENCES.has(key) && typeof member === 'string' ? map(member, key) : mapped(member, map),
  ]);
  return Object.fromEntries(members);
}
