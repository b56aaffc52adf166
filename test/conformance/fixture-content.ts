import { type ContentBlock, fromJsonSchema, type McpServer, ResourceTemplate } from '@modelcontextprotocol/server';
import * as z from 'zod';

/** A red PNG of one pixel, the size that the suite asks for. */
const pixel = 'iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mP8z8DwHwAFBQIAX8jx0gAAAABJRU5ErkJggg==';
/** A WAV header for 8 kHz mono with no samples. */
const silence = 'UklGRiYAAABXQVZFZm10IBAAAAABAAEAQB8AAAB9AAACABAAZGF0YQIAAAA=';

const image: ContentBlock = { type: 'image', data: pixel, mimeType: 'image/png' };

/** Tools whose answer is the same each time: name -> [description, content]. The names are the suite's. */
const constantTools: Record<string, [string, ContentBlock[]]> = {
  test_simple_text: [
    'Answers with one text block',
    [{ type: 'text', text: 'This is a simple text response for testing.' }],
  ],
  test_image_content: ['Answers with one image block', [image]],
  test_audio_content: ['Answers with one audio block', [{ type: 'audio', data: silence, mimeType: 'audio/wav' }]],
  test_embedded_resource: [
    'Answers with one embedded resource',
    [
      {
        type: 'resource',
        resource: {
          uri: 'test://embedded-resource',
          mimeType: 'text/plain',
          text: 'This is an embedded resource content.',
        },
      },
    ],
  ],
  test_multiple_content_types: [
    'Answers with text, an image and a resource',
    [
      { type: 'text', text: 'Multiple content types test:' },
      image,
      {
        type: 'resource',
        resource: {
          uri: 'test://mixed-content-resource',
          mimeType: 'application/json',
          text: '{"test":"data","value":123}',
        },
      },
    ],
  ],
  // server-stateless looks only for a top-level request in the stream of this call and declares no elicitation.
  test_streaming_elicitation: [
    'Answers in a stream that carries no request of the server',
    [{ type: 'text', text: 'Nothing was asked on this stream.' }],
  ],
};

/** Draft 2020-12 keywords that must arrive in tools/list as they stand here, so the schema is written by hand. */
const schema202012 = {
  $schema: 'https://json-schema.org/draft/2020-12/schema',
  type: 'object',
  $defs: {
    address: {
      $anchor: 'addressDef',
      type: 'object',
      properties: { street: { type: 'string' }, city: { type: 'string' } },
    },
  },
  properties: {
    name: { type: 'string' },
    address: { $ref: '#/$defs/address' },
    contactMethod: { type: 'string', enum: ['phone', 'email'] },
    phone: { type: 'string' },
    email: { type: 'string' },
  },
  allOf: [{ anyOf: [{ required: ['phone'] }, { required: ['email'] }] }],
  if: { properties: { contactMethod: { const: 'phone' } }, required: ['contactMethod'] },
  // biome-ignore lint/suspicious/noThenProperty: `then` is a JSON Schema keyword here
  then: { required: ['phone'] },
  else: { required: ['email'] },
  additionalProperties: false,
};

/** The annotation is no JSON Schema keyword, so the schema stands apart from the call, where it would be refused as one. */
const mirroredRegion = {
  type: 'object',
  properties: { region: { type: 'string', 'x-mcp-header': 'Region' } },
};

/** Registers the tools that answer without asking the client anything. */
export function registerConstantTools(server: McpServer): void {
  for (const [name, [description, content]] of Object.entries(constantTools)) {
    server.registerTool(name, { description }, () => ({ content }));
  }
  server.registerTool('test_error_handling', { description: 'Always fails' }, () => {
    throw new Error('This tool intentionally returns an error for testing');
  });
  server.registerTool(
    'json_schema_2020_12_tool',
    { description: 'Has an input schema with 2020-12 keywords', inputSchema: fromJsonSchema(schema202012) },
    (input) => ({ content: [{ type: 'text', text: JSON.stringify(input) }] }),
  );
  server.registerTool(
    'test_x_mcp_header',
    {
      description: 'Has a parameter that clients mirror into Mcp-Param-Region (SEP-2243)',
      inputSchema: fromJsonSchema<{ region?: string }>(mirroredRegion),
    },
    ({ region }) => ({ content: [{ type: 'text', text: `region=${region ?? 'none'}` }] }),
  );
}

export const watchedUri = 'test://watched-resource';

/** Registers the resources and their template. */
export function registerResources(server: McpServer): void {
  const text = (uri: string, mimeType: string, value: string) => ({ contents: [{ uri, mimeType, text: value }] });

  server.registerResource(
    'static-text',
    'test://static-text',
    { description: 'A text', mimeType: 'text/plain' },
    ({ href }) => text(href, 'text/plain', 'This is the content of the static text resource.'),
  );
  server.registerResource(
    'static-binary',
    'test://static-binary',
    { description: 'An image', mimeType: 'image/png' },
    ({ href }) => ({ contents: [{ uri: href, mimeType: 'image/png', blob: pixel }] }),
  );
  server.registerResource(
    'watched-resource',
    watchedUri,
    { description: 'A text to subscribe to', mimeType: 'text/plain' },
    ({ href }) => text(href, 'text/plain', 'Watched.'),
  );
  server.registerResource(
    'template',
    new ResourceTemplate('test://template/{id}/data', { list: undefined }),
    { description: 'A document per id', mimeType: 'application/json' },
    ({ href }, { id }) =>
      text(href, 'application/json', JSON.stringify({ id, templateTest: true, data: `Data for ID: ${id}` })),
  );
}

/** Registers the prompts that need nothing from the client but their arguments. */
export function registerPrompts(server: McpServer): void {
  const user = (...contents: ContentBlock[]) => ({
    messages: contents.map((content) => ({ role: 'user' as const, content })),
  });

  server.registerPrompt('test_simple_prompt', { description: 'Without arguments' }, () =>
    user({ type: 'text', text: 'This is a simple prompt for testing.' }),
  );
  server.registerPrompt(
    'test_prompt_with_arguments',
    { description: 'With two arguments', argsSchema: z.object({ arg1: z.string(), arg2: z.string() }) },
    ({ arg1, arg2 }) => user({ type: 'text', text: `Prompt with arguments: arg1='${arg1}', arg2='${arg2}'` }),
  );
  server.registerPrompt(
    'test_prompt_with_embedded_resource',
    { description: 'Embeds a resource', argsSchema: z.object({ resourceUri: z.string() }) },
    ({ resourceUri }) =>
      user(
        {
          type: 'resource',
          resource: { uri: resourceUri, mimeType: 'text/plain', text: 'Embedded resource content for testing.' },
        },
        { type: 'text', text: 'Please process the embedded resource above.' },
      ),
  );
  server.registerPrompt('test_prompt_with_image', { description: 'Holds an image' }, () =>
    user(image, { type: 'text', text: 'Please analyze the image above.' }),
  );
}
