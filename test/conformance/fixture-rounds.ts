import { randomBytes } from 'node:crypto';
import {
  acceptedContent,
  type CallToolResult,
  CLIENT_CAPABILITIES_META_KEY,
  createRequestStateCodec,
  type InputRequest,
  type InputRequiredResult,
  inputRequired,
  type McpServer,
  type ServerContext,
} from '@modelcontextprotocol/server';
import * as z from 'zod';

/** What a tool remembers between two rounds of one call; it travels through the client, sealed. */
type Round = { tool: string; round: number; name?: string; nonce: string };

/**
 * The seal over `requestState`. It comes back as a client's input, so the server's `requestState.verify` refuses what
 * this process did not mint (-32602), before a tool runs.
 */
export const roundSeal = createRequestStateCodec<Round>({ key: randomBytes(32) });

const seal = (tool: string, round: number, name?: string) =>
  roundSeal.mint({ tool, round, nonce: randomBytes(8).toString('hex'), ...(name === undefined ? {} : { name }) });

type Properties = Record<string, { type: 'string' } | { type: 'boolean' }>;

const askUser = (message: string, properties: Properties): InputRequest =>
  inputRequired.elicit({
    message,
    requestedSchema: { type: 'object', properties, required: Object.keys(properties) },
  });

const askModel = (text: string, maxTokens: number): InputRequest =>
  inputRequired.createMessage({ messages: [{ role: 'user', content: { type: 'text', text } }], maxTokens });

const askName = () => askUser('What is your name?', { name: { type: 'string' } });
const askToConfirm = () => askUser('Please confirm', { ok: { type: 'boolean' } });

// Input responses are whatever a client sent; these read one by schema and see anything else as not answered.
const sampled = z.object({ content: z.object({ type: z.literal('text'), text: z.string() }) });
const rooted = z.object({ roots: z.array(z.object({ uri: z.string() })) });
const declaring = z.object({ [CLIENT_CAPABILITIES_META_KEY]: z.record(z.string(), z.unknown()) });
const named = z.object({ name: z.string() });

const responses = (ctx: ServerContext) => ctx.mcpReq.inputResponses ?? {};
const nameIn = (ctx: ServerContext, key: string) =>
  named.safeParse(acceptedContent(ctx.mcpReq.inputResponses, key)).data?.name;

type Rounds = (ctx: ServerContext) => Promise<string | InputRequiredResult>;

/** Name -> what the tool does in one round: a text when it has all it needs, else what it still asks for. */
const tools: Record<string, Rounds> = {
  async test_missing_capability(ctx) {
    const answer = sampled.safeParse(responses(ctx).llm_answer).data;
    if (answer) return answer.content.text;
    return inputRequired({ inputRequests: { llm_answer: askModel('Say pong.', 16) } });
  },
  async test_input_required_result_elicitation(ctx) {
    const name = nameIn(ctx, 'user_name');
    if (name !== undefined) return `Hello, ${name}!`;
    return inputRequired({ inputRequests: { user_name: askName() } });
  },
  async test_input_required_result_sampling(ctx) {
    const answer = sampled.safeParse(responses(ctx).capital_question).data;
    if (answer) return answer.content.text;
    return inputRequired({ inputRequests: { capital_question: askModel('What is the capital of France?', 100) } });
  },
  async test_input_required_result_list_roots(ctx) {
    const answer = rooted.safeParse(responses(ctx).client_roots).data;
    if (answer) return answer.roots.map(({ uri }) => uri).join(' ');
    return inputRequired({ inputRequests: { client_roots: inputRequired.listRoots() } });
  },
  async test_input_required_result_request_state(ctx) {
    const tool = 'request_state';
    const confirmed = acceptedContent(ctx.mcpReq.inputResponses, 'confirm') !== undefined;
    if (confirmed && ctx.mcpReq.requestState<Round>()?.tool === tool) return 'state-ok';
    return inputRequired({ inputRequests: { confirm: askToConfirm() }, requestState: await seal(tool, 1) });
  },
  async test_input_required_result_tampered_state(ctx) {
    const tool = 'tampered_state';
    const confirmed = acceptedContent(ctx.mcpReq.inputResponses, 'confirm') !== undefined;
    if (confirmed && ctx.mcpReq.requestState<Round>()?.tool === tool) return 'state-ok';
    return inputRequired({ inputRequests: { confirm: askToConfirm() }, requestState: await seal(tool, 1) });
  },
  async test_input_required_result_multiple_inputs(ctx) {
    const name = nameIn(ctx, 'user_name');
    const greeting = sampled.safeParse(responses(ctx).greeting).data;
    const roots = rooted.safeParse(responses(ctx).client_roots).data;
    if (name !== undefined && greeting && roots)
      return `${greeting.content.text} ${name} (${roots.roots.length} roots)`;
    return inputRequired({
      inputRequests: {
        user_name: askName(),
        greeting: askModel('Generate a greeting', 50),
        client_roots: inputRequired.listRoots(),
      },
      requestState: await seal('multiple_inputs', 1),
    });
  },
  async test_input_required_result_multi_round(ctx) {
    const tool = 'multi_round';
    const state = ctx.mcpReq.requestState<Round>();
    const round = state?.tool === tool ? state.round : 0;
    const color = acceptedContent(ctx.mcpReq.inputResponses, 'step2')?.color;
    if (round === 2 && typeof color === 'string') return `${state?.name ?? 'someone'} likes ${color}`;
    if (round === 0) {
      const step1 = askUser('Step 1: What is your name?', { name: { type: 'string' } });
      return inputRequired({ inputRequests: { step1 }, requestState: await seal(tool, 1) });
    }
    const step2 = askUser('Step 2: What is your favorite color?', { color: { type: 'string' } });
    const name = nameIn(ctx, 'step1') ?? state?.name;
    return inputRequired({ inputRequests: { step2 }, requestState: await seal(tool, 2, name) });
  },
  async test_input_required_result_capabilities(ctx) {
    if (Object.keys(responses(ctx)).length > 0) return 'answered';
    const declared = declaring.safeParse(ctx.mcpReq.envelope).data?.[CLIENT_CAPABILITIES_META_KEY] ?? {};
    const inputRequests: Record<string, InputRequest> = {};
    if (declared.elicitation) inputRequests.user_name = askName();
    if (declared.sampling) inputRequests.greeting = askModel('Generate a greeting', 50);
    if (declared.roots) inputRequests.client_roots = inputRequired.listRoots();
    return Object.keys(inputRequests).length > 0 ? inputRequired({ inputRequests }) : 'nothing to ask';
  },
};

/** Registers what needs several rounds (SEP-2322): the tools and one prompt. On a legacy session the SDK asks instead. */
export function registerRounds(server: McpServer): void {
  for (const [name, rounds] of Object.entries(tools)) {
    server.registerTool(
      name,
      { description: 'Asks for input before it answers', inputSchema: z.object({}) },
      async (_input, ctx): Promise<CallToolResult | InputRequiredResult> => {
        const outcome = await rounds(ctx);
        return typeof outcome === 'string' ? { content: [{ type: 'text', text: outcome }] } : outcome;
      },
    );
  }
  server.registerPrompt(
    'test_input_required_result_prompt',
    { description: 'Asks for its context first', argsSchema: z.object({}) },
    async (_input, ctx) => {
      const context = acceptedContent(ctx.mcpReq.inputResponses, 'user_context')?.context;
      if (typeof context === 'string') {
        return { messages: [{ role: 'user', content: { type: 'text', text: `Use this context: ${context}` } }] };
      }
      const question = askUser('What context should the prompt use?', { context: { type: 'string' } });
      return inputRequired({ inputRequests: { user_context: question } });
    },
  );
}
