import { type Config, originOf } from '../../config.ts';

/**
 * The issuer of a connection's own tokens: the address in front of its paths. Each connection has one, so that a token, a
 * code or a mistake of one is worth nothing at another. Throws where no connection has that name.
 */
export function issuerOf(config: Config, connectionName: string): string {
  const connection = config.connections[connectionName];
  if (connection === undefined) throw new Error('No connection has this name.');
  return connection.host === undefined ? `${config.publicUrl}/${connection.name}` : originOf(config, connection.host);
}
