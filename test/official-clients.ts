import { Client as Client2, StreamableHTTPClientTransport as Transport2 } from '@modelcontextprotocol/client';
import { Client as Client1 } from '@modelcontextprotocol/sdk/client/index.js';
import { StreamableHTTPClientTransport as Transport1 } from '@modelcontextprotocol/sdk/client/streamableHttp.js';
import type { Transport } from '@modelcontextprotocol/sdk/shared/transport.js';
import {
  CreateMessageRequestSchema,
  ElicitRequestSchema,
  ListRootsRequestSchema,
  ResourceUpdatedNotificationSchema,
} from '@modelcontextprotocol/sdk/types.js';

/** What every kind of client can do, in the words of the protocol and of no SDK. */
export interface OfficialClient {
  /** The revision that client and server agreed on. */
  revision: string | undefined;
  server: string | undefined;
  listTools(): Promise<string[]>;
  /** The texts of the result; `progress` collects what was reported meanwhile. */
  callTool(name: string, input: Record<string, unknown>, progress?: number[]): Promise<string>;
  readText(uri: string): Promise<unknown>;
  getPrompt(name: string, input: Record<string, string>): Promise<unknown>;
  complete(prompt: string, argument: string, value: string): Promise<string[]>;
  /** Subscribes to a resource; `onUpdate` is called whenever the server says that one has changed. */
  subscribe(uri: string, onUpdate: (uri: string) => void): Promise<void>;
  close(): Promise<void>;
}

/** Connects a client with a bearer token. */
export type ConnectClient = (url: string, token: string) => Promise<OfficialClient>;

const info = { name: 'verbatim-test', version: '1.0.0' };
const capabilities = { sampling: {}, elicitation: {}, roots: {} };
const requestInit = (token: string) => ({ headers: { authorization: `Bearer ${token}` } });

/** The model and the user that all clients stand for. */
export const modelSays = 'Paris';
export const userSays = { name: 'Ana', username: 'ana', email: 'ana@example.com', color: 'blue', ok: true };

const sample = () => ({
  role: 'assistant' as const,
  model: 'test',
  content: { type: 'text' as const, text: modelSays },
});

interface Asked {
  method: string;
  params: { requestedSchema?: { properties: object } } | object;
}

/** Fills in the fields that the form has, and no others. */
function elicit({ params }: Asked) {
  const form =
    'requestedSchema' in params && params.requestedSchema ? Object.keys(params.requestedSchema.properties) : [];
  const content = Object.fromEntries(Object.entries(userSays).filter(([field]) => form.includes(field)));
  return { action: 'accept' as const, content };
}

const texts = (content: unknown) =>
  (content as { type: string; text?: string }[]).map(({ text }) => text ?? '').join('\n');

/** SDK 1.32: the revisions up to 2025-11-25. */
const listRoots = () => ({ roots: [{ uri: 'file:///workspace' }] });

export const connectSdk1: ConnectClient = async (url, token) => {
  const client = new Client1(info, { capabilities });
  client.setRequestHandler(CreateMessageRequestSchema, sample);
  client.setRequestHandler(ElicitRequestSchema, elicit);
  client.setRequestHandler(ListRootsRequestSchema, listRoots);
  const transport = new Transport1(new URL(url), { requestInit: requestInit(token) });
  // The SDK is not typed for exactOptionalPropertyTypes: its own transport is not its Transport.
  await client.connect(transport as Transport);
  return {
    revision: transport.protocolVersion,
    server: client.getServerVersion()?.name,
    listTools: async () => (await client.listTools()).tools.map(({ name }) => name),
    async callTool(name, input, progress) {
      const onprogress = ({ progress: value }: { progress: number }) => void progress?.push(value);
      return texts((await client.callTool({ name, arguments: input }, undefined, { onprogress })).content);
    },
    readText: async (uri) => (await client.readResource({ uri })).contents,
    getPrompt: async (name, input) => (await client.getPrompt({ name, arguments: input })).messages,
    async complete(name, argument, value) {
      const ref = { type: 'ref/prompt' as const, name };
      return (await client.complete({ ref, argument: { name: argument, value } })).completion.values;
    },
    async subscribe(uri, onUpdate) {
      client.setNotificationHandler(ResourceUpdatedNotificationSchema, ({ params }) => onUpdate(params.uri));
      await client.subscribeResource({ uri });
    },
    async close() {
      await transport.terminateSession();
      await client.close();
    },
  };
};

/** SDK 2.4 in one of its modes: `legacy` speaks like SDK 1, `auto` asks the server first, `pin` insists on a revision. */
export function connectSdk2(mode: 'legacy' | 'auto' | { pin: string }): ConnectClient {
  return async (url, token) => {
    const client = new Client2(info, { capabilities, versionNegotiation: { mode } });
    client.setRequestHandler('sampling/createMessage', sample);
    client.setRequestHandler('elicitation/create', elicit);
    client.setRequestHandler('roots/list', listRoots);
    const transport = new Transport2(new URL(url), { requestInit: requestInit(token) });
    await client.connect(transport);
    const modern = client.getProtocolEra() === 'modern';
    return {
      revision: client.getNegotiatedProtocolVersion(),
      server: client.getServerVersion()?.name,
      listTools: async () => (await client.listTools()).tools.map(({ name }) => name),
      async callTool(name, input, progress) {
        const onprogress = ({ progress: value }: { progress: number }) => void progress?.push(value);
        return texts((await client.callTool({ name, arguments: input }, { onprogress })).content);
      },
      readText: async (uri) => (await client.readResource({ uri })).contents,
      getPrompt: async (name, input) => (await client.getPrompt({ name, arguments: input })).messages,
      async complete(name, argument, value) {
        const ref = { type: 'ref/prompt' as const, name };
        return (await client.complete({ ref, argument: { name: argument, value } })).completion.values;
      },
      async subscribe(uri, onUpdate) {
        client.setNotificationHandler('notifications/resources/updated', ({ params }) => onUpdate(params.uri));
        if (modern) await client.listen({ resourceSubscriptions: [uri] });
        else await client.subscribeResource({ uri });
      },
      async close() {
        if (!modern) await transport.terminateSession();
        await client.close();
      },
    };
  };
}
