/** The call that is measured: a tools/call of the legacy era without a session, as large as a small real one. */
const requestBytes = 210;
const responseBytes = 309;

export const path = '/mcp';

const padded = (bytes: number, json: (padding: string) => string) => json('x'.repeat(bytes - json('').length));

/** A request body of 210 bytes; `id` has two digits, so that calls in flight together differ. */
export const requestBody = (id: number): string =>
  padded(requestBytes, (sql) =>
    JSON.stringify({ jsonrpc: '2.0', id, method: 'tools/call', params: { name: 'query', arguments: { sql } } }),
  );

/** The result to {@link requestBody}, 309 bytes. */
export const responseBody = (id: number): string =>
  padded(responseBytes, (text) =>
    JSON.stringify({ jsonrpc: '2.0', id, result: { content: [{ type: 'text', text }], isError: false } }),
  );

export const requestHeaders = {
  'content-type': 'application/json',
  accept: 'application/json, text/event-stream',
  'mcp-protocol-version': '2025-11-25',
};
