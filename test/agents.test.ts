/**
 * Agents with tokens of the shapes that GitHub Actions, Google and Kubernetes sign, against the configurations of
 * docs/identity/agents.md: in, and recorded as who they are; or refused, and that recorded.
 */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { after, before, test } from 'node:test';
import { parse } from 'yaml';
import { type AgentIssuer, startAgentIssuer } from './agent-issuers.ts';
import { type GatewayUnderTest, startGatewayInFrontOf } from './gateway-under-test.ts';
import { call, toolCall } from './raw-client.ts';
import { jsonAnswer, type RawUpstream, startRawUpstream } from './raw-socket.ts';
import { framesOf } from './recorded.ts';

type Issuers = Record<string, { issuer: string }>;

const page = readFileSync(new URL('../docs/identity/agents.md', import.meta.url), 'utf8');
const blocks = (info: string) =>
  [...page.matchAll(/^```([^\n]+)\n([\s\S]*?)^```$/gm)].flatMap(([, found, text = '']) =>
    found === info ? [parse(text)] : [],
  );
const [whole] = blocks('yaml');
const documented: Issuers = Object.assign({}, whole.issuers, ...blocks('yaml issuers'));

const GKE_PATH = new URL(documented.gke?.issuer ?? '').pathname;
let issuers: { github: AgentIssuer; google: AgentIssuer; gke: AgentIssuer; otherCluster: AgentIssuer };
let upstream: RawUpstream;

before(async () => {
  const [github, google, gke, otherCluster] = await Promise.all(
    ['', '', GKE_PATH, GKE_PATH.replace(/agents$/, 'sandbox')].map((path) => startAgentIssuer(path)),
  );
  assert.ok(github && google && gke && otherCluster);
  issuers = { github, google, gke, otherCluster };
  upstream = await startRawUpstream((_, socket) => socket.write(jsonAnswer(1)));
});
after(async () => {
  await Promise.all(Object.values(issuers).map((issuer) => issuer.close()));
  await upstream.close();
});

/** The documented configuration, with the loopback issuers in place of the real ones. */
async function start(stack: AsyncDisposableStack, change: { sessions?: unknown } = {}): Promise<GatewayUnderTest> {
  const { github, google, gke } = issuers;
  const places: Record<string, string> = {
    github: github.url,
    google: google.url,
    federated: google.url,
    gke: gke.url,
  };
  assert.deepEqual(Object.keys(documented).sort(), Object.keys(places).sort());
  const here = Object.entries(documented).map(([name, issuer]) => [name, { ...issuer, issuer: places[name] }]);
  const { groups } = whole.connections.orders;
  return stack.adopt(
    await startGatewayInFrontOf(upstream.url, {
      connection: { issuers: Object.keys(documented), groups },
      config: { issuers: Object.fromEntries(here), ...change },
    }),
    (gateway) => gateway.close(),
  );
}

/** GitHub's, as docs.github.com/actions/reference/security/oidc lists them. */
const github = (aud: string) => ({
  jti: `run-${Math.random()}`,
  sub: 'repo:acme/orders:ref:refs/heads/main',
  aud,
  ref: 'refs/heads/main',
  sha: 'c040cae0f0dc81641728557b80f09cfa23b83fe5',
  repository: 'acme/orders',
  repository_owner: 'acme',
  repository_owner_id: '65',
  run_id: '22259804324',
  run_number: '42',
  run_attempt: '1',
  repository_visibility: 'private',
  repository_id: '74',
  actor_id: '12',
  actor: 'octocat',
  workflow: 'nightly',
  head_ref: '',
  base_ref: '',
  event_name: 'schedule',
  ref_protected: 'true',
  ref_type: 'branch',
  workflow_ref: 'acme/orders/.github/workflows/nightly.yml@refs/heads/main',
  workflow_sha: 'c040cae0f0dc81641728557b80f09cfa23b83fe5',
  job_workflow_ref: 'acme/orders/.github/workflows/nightly.yml@refs/heads/main',
  job_workflow_sha: 'c040cae0f0dc81641728557b80f09cfa23b83fe5',
  runner_environment: 'github-hosted',
  nbf: Math.floor(Date.now() / 1000) - 600,
  exp: Math.floor(Date.now() / 1000) + 300,
});

/** Google's, from the metadata server with format=full. */
const google = (aud: string) => ({
  aud,
  azp: '112233445566778899001',
  email: 'orders-agent@acme-prod.iam.gserviceaccount.com',
  email_verified: true,
  google: {
    compute_engine: {
      instance_creation_timestamp: 1_790_000_000,
      instance_id: '4567890123456789012',
      instance_name: 'agent-1',
      project_id: 'acme-prod',
      project_number: 1_234_567_890,
      zone: 'europe-west1-b',
    },
  },
  sub: '112233445566778899001',
});

/** Google's, from IAM's generateIdToken with includeEmail. */
const federated = (aud: string) => ({
  aud,
  azp: '998877665544332211009',
  email: 'aws-reports@acme-prod.iam.gserviceaccount.com',
  email_verified: true,
  sub: '998877665544332211009',
});

/** A projected token of Kubernetes 1.30 and later; its header has no typ. */
const gke = (aud: string) => ({
  aud: [aud],
  jti: 'e51f1fbc-4733-4b85-a59f-ba80c0523874',
  'kubernetes.io': {
    namespace: 'orders',
    node: { name: 'gke-agents-1', uid: '517eb86e-b863-451b-bf70-86cb61439a3a' },
    pod: { name: 'agent', uid: '0d8b260e-ef0e-45fb-be8e-ff44f97722e8' },
    serviceaccount: { name: 'agent', uid: 'e6a8680e-d103-4cce-80ea-03acbbeacf7d' },
  },
  nbf: Math.floor(Date.now() / 1000) - 10,
  sub: 'system:serviceaccount:orders:agent',
});

interface Agent {
  readonly issuer: 'github' | 'google' | 'gke';
  readonly claims: (aud: string) => Record<string, unknown>;
  readonly header?: Record<string, unknown>;
  readonly principal: Record<string, unknown>;
  readonly client?: string;
  /** Changes of the good token that must be refused, by what they are. */
  readonly wrong: Record<string, Record<string, unknown>>;
  /** Another run, pod: another session. Absent where the agent has none. */
  readonly anotherRun?: Record<string, unknown>;
}

const owned = { kind: 'agent', groups: ['agents-orders'], owner: 'team-orders' };
const kubernetes = gke('')['kubernetes.io'];
const AGENTS: Record<string, Agent> = {
  'GitHub Actions': {
    issuer: 'github',
    claims: github,
    principal: {
      ...owned,
      subject: 'repo:acme/orders:ref:refs/heads/main',
      attributes: { repository: 'acme/orders', actor: 'octocat', sha: github('').sha },
    },
    wrong: {
      'another repository': {
        repository: 'acme/other',
        repository_id: '75',
        sub: 'repo:acme/other:ref:refs/heads/main',
      },
      'a repository of the same name, made anew': { repository_id: '99' },
      'another branch': { ref: 'refs/heads/topic', sub: 'repo:acme/orders:ref:refs/heads/topic' },
      'a pull request of a stranger': { event_name: 'pull_request_target' },
      'another workflow': { workflow_ref: 'acme/orders/.github/workflows/x.yml@refs/heads/main' },
      'the default audience': { aud: 'https://github.com/acme' },
      'no repository': { repository_id: undefined },
      'a run without id': { run_id: undefined },
    },
    anotherRun: { run_attempt: '2' },
  },
  'a Google service account': {
    issuer: 'google',
    claims: google,
    principal: {
      ...owned,
      subject: '112233445566778899001',
      email: 'orders-agent@acme-prod.iam.gserviceaccount.com',
      attributes: { instance: '4567890123456789012' },
    },
    client: '112233445566778899001',
    wrong: {
      'another account': { email: 'other@acme-prod.iam.gserviceaccount.com', sub: '1' },
      'an account of the same address, made anew': { sub: '1' },
      'a person': { email: 'ana@example.com', sub: '2', hd: 'example.com' },
      'an address that is not verified': { email_verified: false },
      'without its address': { email: undefined, email_verified: undefined },
      'the audience of another service': { aud: 'https://reports.run.app' },
    },
  },
  'workload identity federation': {
    issuer: 'google',
    claims: federated,
    principal: {
      ...owned,
      owner: 'team-reports',
      subject: '998877665544332211009',
      email: 'aws-reports@acme-prod.iam.gserviceaccount.com',
      attributes: { cloud: 'aws' },
    },
    client: '998877665544332211009',
    wrong: {
      'another account of the pool': { email: 'aws-other@acme-prod.iam.gserviceaccount.com' },
      'without includeEmail': { email: undefined, email_verified: undefined },
      'the audience of Google STS': {
        aud: 'https://iam.googleapis.com/projects/1/locations/global/workloadIdentityPools/aws',
      },
    },
  },
  GKE: {
    issuer: 'gke',
    claims: gke,
    header: { typ: undefined },
    principal: {
      ...owned,
      subject: 'system:serviceaccount:orders:agent',
      attributes: { cluster: 'agents', namespace: 'orders', pod: 'agent' },
    },
    wrong: {
      'another namespace': {
        'kubernetes.io': { ...kubernetes, namespace: 'default' },
        sub: 'system:serviceaccount:default:agent',
      },
      'another service account': { 'kubernetes.io': { ...kubernetes, serviceaccount: { name: 'default', uid: 'x' } } },
      'the audience of the API server': { aud: ['https://kubernetes.default.svc'] },
      'a token without a pod': { 'kubernetes.io': { ...kubernetes, pod: undefined } },
    },
    anotherRun: { 'kubernetes.io': { ...kubernetes, pod: { name: 'agent', uid: 'another' } } },
  },
};

async function ask(url: string, token: string) {
  const answer = await call(url, { token, body: toolCall(1) }).answer;
  const body = JSON.parse((await answer.whole()).toString());
  return { status: answer.status, code: body.error?.data?.code };
}

for (const [name, agent] of Object.entries(AGENTS)) {
  test(`${name}: in as itself, one session for its run, and nobody else`, async () => {
    await using stack = new AsyncDisposableStack();
    const gateway = await start(stack);
    const { url } = gateway;
    const issuer = issuers[agent.issuer];
    const token = (change: Record<string, unknown> = {}, by = issuer) =>
      by.token({ ...agent.claims(url), ...change }, agent.header);

    // The renewed token is another one, of the same run.
    for (const one of [await token(), await token({ exp: Math.floor(Date.now() / 1000) + 900, jti: 'renewed' })]) {
      assert.deepEqual(await ask(url, one), { status: 200, code: undefined });
    }
    const starts = async () =>
      (await framesOf(gateway)).flatMap((frame) => (frame.type === 'session.start' ? [frame.start] : []));
    const [first, another] = await starts();
    assert.equal(another, undefined);
    assert.deepEqual(first?.principal, { issuer: issuer.url, ...agent.principal });
    assert.equal(first?.client?.id, agent.client);

    if (agent.anotherRun !== undefined) {
      assert.equal((await ask(url, await token(agent.anotherRun))).status, 200);
      assert.equal((await starts()).length, 2);
    }
    const before = upstream.requests().length;
    for (const [what, change] of Object.entries(agent.wrong)) {
      assert.deepEqual(await ask(url, await token(change)), { status: 401, code: 'unauthenticated' }, what);
    }
    // Of an issuer that is not configured, and signed by another one than it says.
    assert.deepEqual(await ask(url, await token({}, issuers.otherCluster)), { status: 401, code: 'unauthenticated' });
    const forged = await token({ iss: issuer.url }, issuers.otherCluster);
    assert.deepEqual(await ask(url, forged), { status: 401, code: 'unauthenticated' });
    assert.equal(upstream.requests().length, before, 'nothing reached the server');

    const events = async () =>
      (await framesOf(gateway, 'system')).flatMap((frame) =>
        frame.type === 'event' && frame.event.name === 'refused' ? [frame.event] : [],
      );
    // A refusal does not wait for its event.
    let [refused] = await events();
    while (refused === undefined) [refused] = await events();
    assert.deepEqual([refused.reason, refused.connection], ['unauthenticated', 'fixture']);
    assert.equal((await starts()).length, agent.anotherRun === undefined ? 1 : 2, 'no session was opened in vain');
  });
}

test('a run goes on after its session has ended by time: the next token opens the next session', async () => {
  await using stack = new AsyncDisposableStack();
  const gateway = await start(stack, { sessions: { idle: '500ms', longest: '12h' } });
  const { url } = gateway;
  const seconds = Math.floor(Date.now() / 1000);
  const token = (issued: number) => issuers.google.token({ ...google(url), iat: seconds + issued });
  const first = await token(-60);
  assert.equal((await ask(url, first)).status, 200);
  const ended = async () => (await framesOf(gateway)).filter((frame) => frame.type === 'strand.end').length;
  while ((await ended()) === 0) await new Promise((done) => setTimeout(done, 50));
  assert.deepEqual(await ask(url, first), { status: 401, code: 'session_ended' }, 'the same token opens no second one');
  assert.equal((await ask(url, await token(-59))).status, 200);
  const sessions = (await framesOf(gateway)).flatMap((frame) =>
    frame.type === 'session.start' ? [frame.session] : [],
  );
  assert.equal(new Set(sessions).size, 2);
});
