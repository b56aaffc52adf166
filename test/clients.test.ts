import assert from 'node:assert/strict';
import { test } from 'node:test';

import { startFixture } from './conformance/fixture.ts';
import { startEverything } from './everything.ts';
import { startGatewayInFrontOf } from './gateway-under-test.ts';
import { type ConnectClient, connectSdk1, connectSdk2, modelSays, userSays } from './official-clients.ts';

/** Sampling and elicitation have one tool for each era: on a session the server asks, else the result asks. */
const asking = {
  session: { sampling: 'test_sampling', elicitation: 'test_elicitation' },
  stateless: {
    sampling: 'test_input_required_result_sampling',
    elicitation: 'test_input_required_result_elicitation',
  },
};

const kinds: { name: string; connect: ConnectClient; revision: string; tools: typeof asking.session }[] = [
  { name: 'SDK 1', connect: connectSdk1, revision: '2025-11-25', tools: asking.session },
  { name: 'SDK 2 legacy', connect: connectSdk2('legacy'), revision: '2025-11-25', tools: asking.session },
  { name: 'SDK 2 auto', connect: connectSdk2('auto'), revision: '2026-07-28', tools: asking.stateless },
  {
    name: 'SDK 2 pinned',
    connect: connectSdk2({ pin: '2026-07-28' }),
    revision: '2026-07-28',
    tools: asking.stateless,
  },
];

async function startFixtureBehindGateway(stack: AsyncDisposableStack) {
  const fixture = stack.adopt(await startFixture({ port: 0 }), ({ close }) => close());
  return stack.adopt(await startGatewayInFrontOf(fixture.url), (gateway) => gateway.close());
}

for (const { name, connect, revision, tools } of kinds) {
  test(`${name} holds a whole conversation through the gateway`, { timeout: 20_000 }, async (t) => {
    await using stack = new AsyncDisposableStack();
    const gateway = await startFixtureBehindGateway(stack);
    const client = stack.adopt(await connect(gateway.url, gateway.token), ({ close }) => close());

    await t.test('agrees on the revision', () => {
      assert.deepEqual([client.revision, client.server], [revision, 'verbatim-fixture']);
    });
    await t.test('lists and calls tools', async () => {
      assert.ok((await client.listTools()).includes('test_simple_text'));
      assert.equal(await client.callTool('test_simple_text', {}), 'This is a simple text response for testing.');
    });
    await t.test('hears progress in order', async () => {
      const progress: number[] = [];
      await client.callTool('test_tool_with_progress', {}, progress);
      assert.deepEqual(progress, [0, 50, 100]);
    });
    await t.test('answers sampling', async () => {
      assert.match(await client.callTool(tools.sampling, { prompt: 'The capital of France?' }), new RegExp(modelSays));
    });
    await t.test('answers elicitation', async () => {
      assert.match(await client.callTool(tools.elicitation, { message: 'Who?' }), new RegExp(userSays.name, 'i'));
    });
    await t.test('reads resources', async () => {
      const uri = 'test://template/7/data';
      const text = '{"id":"7","templateTest":true,"data":"Data for ID: 7"}';
      assert.deepEqual(await client.readText(uri), [{ uri, mimeType: 'application/json', text }]);
    });
    await t.test('gets prompts and completions', async () => {
      const text = "Prompt with arguments: arg1='a', arg2='b'";
      assert.deepEqual(await client.getPrompt('test_prompt_with_arguments', { arg1: 'a', arg2: 'b' }), [
        { role: 'user', content: { type: 'text', text } },
      ]);
      assert.deepEqual(await client.complete('test_prompt_with_arguments', 'arg1', 'par'), ['paris', 'park']);
    });
    await t.test('hears that a resource changed', async () => {
      const updated = Promise.withResolvers<string>();
      let heard = false;
      await client.subscribe('test://watched-resource', (uri) => {
        heard = true;
        updated.resolve(uri);
      });
      // A session's stream opens some time after the handshake, and what was said before is not repeated: say it again.
      while (!heard) await client.callTool('test_trigger_resource_update', {});
      assert.equal(await updated.promise, 'test://watched-resource');
    });
  });
}

test('SDK 2 asks and answers in several rounds with sealed state between them', async () => {
  await using stack = new AsyncDisposableStack();
  const gateway = await startFixtureBehindGateway(stack);
  const client = stack.adopt(await connectSdk2('auto')(gateway.url, gateway.token), ({ close }) => close());
  assert.equal(await client.callTool('test_input_required_result_multi_round', {}), 'Ana likes blue');
  assert.equal(await client.callTool('test_input_required_result_multiple_inputs', {}), 'Paris Ana (1 roots)');
});

test('SDK 1 resumes a call whose stream the server closed', async () => {
  await using stack = new AsyncDisposableStack();
  const gateway = await startFixtureBehindGateway(stack);
  const client = stack.adopt(await connectSdk1(gateway.url, gateway.token), ({ close }) => close());
  assert.equal(await client.callTool('test_reconnection', {}), 'The stream was closed and resumed.');
});

for (const { name, connect } of kinds) {
  test(`${name} gets nowhere without the token`, async () => {
    await using stack = new AsyncDisposableStack();
    const gateway = await startFixtureBehindGateway(stack);
    const wrong = 'not-the-token';
    const headers = { authorization: `Bearer ${wrong}`, 'content-type': 'application/json' };
    assert.equal((await fetch(gateway.url, { method: 'POST', headers, body: '{}' })).status, 401);
    await assert.rejects(connect(gateway.url, wrong));
  });
}

test('SDK 1 talks to server-everything through the gateway', { timeout: 20_000 }, async (t) => {
  await using stack = new AsyncDisposableStack();
  const everything = stack.adopt(await startEverything(), ({ close }) => close());
  const gateway = stack.adopt(await startGatewayInFrontOf(everything.url), (started) => started.close());
  const client = stack.adopt(await connectSdk1(gateway.url, gateway.token), ({ close }) => close());

  await t.test('lists tools', async () => {
    const names = await client.listTools();
    for (const tool of ['echo', 'get-sum', 'trigger-long-running-operation']) assert.ok(names.includes(tool), tool);
  });
  await t.test('echoes', async () => {
    assert.equal(await client.callTool('echo', { message: 'grüezi 👋' }), 'Echo: grüezi 👋');
  });
  await t.test('hears the progress of a long call', async () => {
    const progress: number[] = [];
    const text = await client.callTool('trigger-long-running-operation', { duration: 0.4, steps: 4 }, progress);
    assert.equal(text, 'Long running operation completed. Duration: 0.4 seconds, Steps: 4.');
    assert.deepEqual(progress, [1, 2, 3, 4]);
  });
  await t.test('answers roots/list', async () => {
    assert.match(await client.callTool('get-roots-list', {}), /file:\/\/\/workspace/);
  });
  await t.test('answers sampling', async () => {
    const text = await client.callTool('trigger-sampling-request', { prompt: 'The capital of France?', maxTokens: 10 });
    assert.match(text, new RegExp(modelSays));
  });
});
