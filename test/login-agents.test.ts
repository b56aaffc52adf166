/** Agents without a person get in as themselves, and people by their company's word: with the official SDK's providers. */
import assert from 'node:assert/strict';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import {
  type AuthProvider,
  Client,
  ClientCredentialsProvider,
  CrossAppAccessProvider,
  PrivateKeyJwtProvider,
  StreamableHTTPClientTransport,
} from '@modelcontextprotocol/client';
import { exportJWK, exportPKCS8, generateKeyPair } from 'jose';
import { issued, secret } from './canaries.ts';
import { startIssuer, type TestIssuer } from './issuer.ts';
import { type LoginWorld, startLoginWorld } from './login-world.ts';
import { framesOf } from './recorded.ts';

const SECRET = secret('an-agents-secret-of-thirty-two-bytes', "an agent's secret");

interface AgentWorld extends AsyncDisposable {
  readonly world: LoginWorld;
  readonly corp: TestIssuer;
  readonly privateKey: string;
}

async function startAgentWorld(): Promise<AgentWorld> {
  const stack = new AsyncDisposableStack();
  const folder = stack.adopt(await mkdtemp(join(tmpdir(), 'verbatim-agents-')), (path) =>
    rm(path, { recursive: true }),
  );
  const { publicKey, privateKey } = await generateKeyPair('ES256', { extractable: true });
  const jwk = { ...(await exportJWK(publicKey)), kid: 'agent', alg: 'ES256', use: 'sig' };
  await writeFile(join(folder, 'secret'), SECRET);
  await writeFile(join(folder, 'jwks'), JSON.stringify({ keys: [jwk] }));
  const corp = stack.adopt(await startIssuer(), (one) => one.close());
  const agent = { groups: ['analysts'], owner: 'platform' };
  const oidc = { issuer: corp.url, clientId: 'verbatim', clientSecret: `file:${join(folder, 'secret')}`, idJag: 'on' };
  const world = stack.use(
    await startLoginWorld({
      login: {
        clients: {
          nightly: { secret: `file:${join(folder, 'secret')}`, agent },
          signed: { jwks: `file:${join(folder, 'jwks')}`, agent },
          stranger: { secret: `file:${join(folder, 'secret')}`, agent: { ...agent, groups: ['guests'] } },
          portal: { secret: `file:${join(folder, 'secret')}`, redirectUris: ['https://portal.example.com/cb'] },
        },
        providers: { corp: { domains: ['example.com'], oidc } },
      },
    }),
  );
  return { world, corp, privateKey: await exportPKCS8(privateKey), [Symbol.asyncDispose]: () => stack.disposeAsync() };
}

const issuerOf = ({ mcp }: LoginWorld): string => mcp.replace(/\/mcp$/, '');

async function tools(url: string, authProvider: unknown): Promise<number> {
  const provider = authProvider as { saveTokens(tokens: { access_token: string }): void };
  const save = provider.saveTokens.bind(provider);
  provider.saveTokens = (tokens) => {
    issued(tokens.access_token, "an agent's access token");
    save(tokens);
  };
  const client = new Client({ name: 'agent', version: '1' });
  const transport = new StreamableHTTPClientTransport(new URL(url), { authProvider: authProvider as AuthProvider });
  try {
    await client.connect(transport);
    return (await client.listTools()).tools.length;
  } finally {
    await client.close();
  }
}

/** An ID-JAG for somebody, made anew for each exchange. */
function assertionOf(corp: TestIssuer, claims: Record<string, unknown> = {}, typ = 'oauth-id-jag+jwt') {
  return ({ authorizationServerUrl, resourceUrl }: { authorizationServerUrl: string; resourceUrl: string }) =>
    corp.token(
      authorizationServerUrl,
      {
        resource: resourceUrl,
        client_id: 'portal',
        email_verified: true,
        exp: Math.floor(Date.now() / 1000) + 300,
        ...claims,
      },
      typ,
    );
}

test('by client credentials, by a signed assertion, and by the word of the company: each as itself', async () => {
  await using agents = await startAgentWorld();
  const { world, corp, privateKey } = agents;
  const expectedIssuer = issuerOf(world);
  const ways = [
    new ClientCredentialsProvider({ clientId: 'nightly', clientSecret: SECRET, expectedIssuer }),
    new PrivateKeyJwtProvider({ clientId: 'signed', privateKey, algorithm: 'ES256', expectedIssuer }),
    new CrossAppAccessProvider({
      clientId: 'portal',
      clientSecret: SECRET,
      expectedIssuer,
      assertion: assertionOf(corp),
    }),
  ];
  for (const way of ways) assert.ok((await tools(world.mcp, way)) > 3);
  await world.gateway.gateway.seal();
  const principals = (await framesOf(world.gateway)).flatMap((frame) => {
    const principal = frame.type === 'session.start' ? frame.start.principal : undefined;
    return principal === undefined ? [] : [[principal.kind, principal.subject, principal.groups, principal.owner]];
  });
  assert.deepEqual(principals.sort(), [
    ['agent', 'nightly', ['analysts'], 'platform'],
    ['agent', 'signed', ['analysts'], 'platform'],
    ['human', 'ana', ['analysts'], undefined],
  ]);
});

test('who may not come in is refused, and recorded', async () => {
  await using agents = await startAgentWorld();
  const { world, corp } = agents;
  const expectedIssuer = issuerOf(world);
  const jag = (claims?: Record<string, unknown>, typ?: string, clientId = 'portal') =>
    new CrossAppAccessProvider({
      clientId,
      clientSecret: SECRET,
      expectedIssuer,
      assertion: assertionOf(corp, claims, typ),
    });
  const once = await assertionOf(corp)({
    authorizationServerUrl: expectedIssuer,
    resourceUrl: world.mcp,
  });
  const used = () =>
    new CrossAppAccessProvider({ clientId: 'portal', clientSecret: SECRET, expectedIssuer, assertion: () => once });
  assert.ok((await tools(world.mcp, used())) > 3);
  for (const [what, provider] of [
    ['another secret', new ClientCredentialsProvider({ clientId: 'nightly', clientSecret: 'wrong', expectedIssuer })],
    [
      'no client of that name',
      new ClientCredentialsProvider({ clientId: 'nobody', clientSecret: SECRET, expectedIssuer }),
    ],
    ['a person’s client', new ClientCredentialsProvider({ clientId: 'portal', clientSecret: SECRET, expectedIssuer })],
    [
      'none of its groups',
      new ClientCredentialsProvider({ clientId: 'stranger', clientSecret: SECRET, expectedIssuer }),
    ],
    ['used before', used()],
    ['an ID token', jag({}, 'JWT')],
    ['another audience', jag({ aud: 'https://elsewhere.example' })],
    ['several audiences', jag({ aud: [expectedIssuer, 'https://elsewhere.example'] })],
    ['another client', jag({ client_id: 'nightly' })],
    ['another resource', jag({ resource: 'https://elsewhere.example/mcp' })],
    ['expired', jag({ exp: Math.floor(Date.now() / 1000) - 60 })],
    ['made long ago', jag({ iat: Math.floor(Date.now() / 1000) - 3600 })],
    ['another domain', jag({ email: 'ana@elsewhere.example' })],
    ['an e-mail that nobody verified', jag({ email_verified: false })],
    ['no groups', jag({ groups: undefined })],
    ['another group', jag({ groups: ['guests'] })],
    ['groups elsewhere', jag({ groups: undefined, _claim_names: { groups: 'src1' } })],
  ] as const) {
    await assert.rejects(tools(world.mcp, provider), (error) => error instanceof Error, what);
  }
  // The SDK names the address that it wants: one that is named by the assertion alone is looked at too.
  const assertion = await assertionOf(corp, { resource: 'https://elsewhere.example/mcp' })({
    authorizationServerUrl: expectedIssuer,
    resourceUrl: world.mcp,
  });
  const answer = await fetch(`${expectedIssuer}/oauth/token`, {
    method: 'POST',
    headers: { authorization: `Basic ${Buffer.from(`portal:${SECRET}`).toString('base64')}` },
    body: new URLSearchParams({ grant_type: 'urn:ietf:params:oauth:grant-type:jwt-bearer', assertion }),
  });
  const { error } = (await answer.json()) as { error: string };
  assert.deepEqual([answer.status, error], [400, 'invalid_target']);
  const frames = await framesOf(world.gateway, 'system');
  const refused = frames.filter((frame) => frame.type === 'event' && frame.event.reason === 'token_refused');
  assert.ok(refused.length > 0);
  const logins = frames.filter((frame) => frame.type === 'event' && frame.event.name === 'login');
  assert.equal(logins.length, 1, 'what is refused opens no session');
  const sessions = (await framesOf(world.gateway)).filter(({ type }) => type === 'session.start');
  assert.equal(sessions.length, 1);
});
