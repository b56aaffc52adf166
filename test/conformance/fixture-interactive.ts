import { setTimeout as pause } from 'node:timers/promises';
import type { CallToolResult, ElicitRequestFormParams, McpServer, ServerContext } from '@modelcontextprotocol/server';
import * as z from 'zod';

import { watchedUri } from './fixture-content.ts';

/** The change events of a listening client: the modern era's `subscriptions/listen` or the legacy GET stream. */
export interface Announcer {
  toolsChanged(): void;
  promptsChanged(): void;
  resourceUpdated(uri: string): void;
}

/** Between two notifications of one call: long enough that an honest stream delivers them one by one. */
const stepMs = 50;

const nothing = z.object({});
const say = (text: string): CallToolResult => ({ content: [{ type: 'text', text }] });

const defaultsForm: ElicitRequestFormParams = {
  message: 'Please review the fields and their defaults',
  requestedSchema: {
    type: 'object',
    properties: {
      name: { type: 'string', default: 'John Doe' },
      age: { type: 'integer', default: 30 },
      score: { type: 'number', default: 95.5 },
      status: { type: 'string', enum: ['active', 'inactive', 'pending'], default: 'active' },
      verified: { type: 'boolean', default: true },
    },
  },
};

const titled = (noun: string) =>
  ['First', 'Second', 'Third'].map((word, index) => ({ const: `value${index + 1}`, title: `${word} ${noun}` }));

const enumsForm: ElicitRequestFormParams = {
  message: 'Please choose from the lists',
  requestedSchema: {
    type: 'object',
    properties: {
      untitledSingle: { type: 'string', enum: ['option1', 'option2', 'option3'] },
      titledSingle: { type: 'string', oneOf: titled('Option') },
      legacyEnum: {
        type: 'string',
        enum: ['opt1', 'opt2', 'opt3'],
        enumNames: ['Option One', 'Option Two', 'Option Three'],
      },
      untitledMulti: { type: 'array', items: { type: 'string', enum: ['option1', 'option2', 'option3'] } },
      titledMulti: { type: 'array', items: { anyOf: titled('Choice') } },
    },
  },
};

function registerElicitation(server: McpServer): void {
  server.registerTool(
    'test_elicitation',
    { description: 'Asks the user for a name and an address', inputSchema: z.object({ message: z.string() }) },
    async ({ message }, ctx) => {
      const { action, content } = await ctx.mcpReq.elicitInput({
        message,
        requestedSchema: {
          type: 'object',
          properties: { username: { type: 'string' }, email: { type: 'string' } },
          required: ['username', 'email'],
        },
      });
      return say(`User response: action=${action}, content=${JSON.stringify(content ?? {})}`);
    },
  );
  for (const [name, form] of [
    ['test_elicitation_sep1034_defaults', defaultsForm],
    ['test_elicitation_sep1330_enums', enumsForm],
  ] as const) {
    server.registerTool(name, { description: form.message, inputSchema: nothing }, async (_input, ctx) => {
      // Sent as it stands: elicitInput would fill the defaults into the answer, and the suite reads what the client said.
      const { action, content } = await ctx.mcpReq.send({ method: 'elicitation/create', params: form });
      return say(`Elicitation completed: action=${action}, content=${JSON.stringify(content ?? {})}`);
    });
  }
}

function registerSampling(server: McpServer): void {
  server.registerTool(
    'test_sampling',
    { description: "Asks the client's model", inputSchema: z.object({ prompt: z.string() }) },
    async ({ prompt }, ctx) => {
      const answer = await ctx.mcpReq.requestSampling({
        messages: [{ role: 'user', content: { type: 'text', text: prompt } }],
        maxTokens: 100,
      });
      const [first] = Array.isArray(answer.content) ? answer.content : [answer.content];
      return say(`LLM response: ${first?.type === 'text' ? first.text : 'no text'}`);
    },
  );
}

function registerNotifying(server: McpServer): void {
  const logThrice = async (_input: unknown, ctx: ServerContext) => {
    for (const data of ['Tool execution started', 'Tool processing data', 'Tool execution completed']) {
      if (data !== 'Tool execution started') await pause(stepMs);
      await ctx.mcpReq.notify({ method: 'notifications/message', params: { level: 'info', data } });
    }
    return say('Tool with logging executed successfully');
  };
  server.registerTool('test_tool_with_logging', { description: 'Logs three lines', inputSchema: nothing }, logThrice);

  server.registerTool(
    'test_logging_tool',
    { description: 'Logs only where the request sets a level', inputSchema: nothing },
    async (_input, ctx) => {
      await ctx.mcpReq.log('info', 'logged at the level that the request asked for');
      return say('logged');
    },
  );
  server.registerTool(
    'test_tool_with_progress',
    { description: 'Reports 0, 50 and 100 of 100', inputSchema: nothing },
    async (_input, ctx) => {
      const progressToken = ctx.mcpReq._meta?.progressToken;
      for (const progress of [0, 50, 100]) {
        if (progress > 0) await pause(stepMs);
        // No token, no progress: a server must not invent one.
        if (progressToken === undefined) continue;
        await ctx.mcpReq.notify({
          method: 'notifications/progress',
          params: { progressToken, progress, total: 100, message: `step ${progress}` },
        });
      }
      return say(`progress token ${String(progressToken)}`);
    },
  );
  server.registerTool(
    'test_reconnection',
    { description: 'Closes its stream before it answers, so that the client resumes', inputSchema: nothing },
    async (_input, ctx) => {
      ctx.http?.closeSSE?.();
      await pause(2 * stepMs);
      return say('The stream was closed and resumed.');
    },
  );
}

function registerTriggers(server: McpServer, announcer: Announcer): void {
  const triggers: Record<string, () => void> = {
    test_trigger_tool_change: () => announcer.toolsChanged(),
    test_trigger_prompt_change: () => announcer.promptsChanged(),
    test_trigger_resource_update: () => announcer.resourceUpdated(watchedUri),
  };
  for (const [name, trigger] of Object.entries(triggers)) {
    server.registerTool(name, { description: 'Announces a change', inputSchema: nothing }, () => {
      trigger();
      return say('announced');
    });
  }
}

/** Registers the tools that talk to the client while they run: logging, progress, sampling, elicitation, changes. */
export function registerInteractiveTools(server: McpServer, announcer: Announcer): void {
  registerNotifying(server);
  registerSampling(server);
  registerElicitation(server);
  registerTriggers(server, announcer);
}
