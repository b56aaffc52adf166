/** Attacks on where the gateway's authorization server is: addresses, methods, headers, and more of them than is right. */
import assert from 'node:assert/strict';
import { after, test } from 'node:test';
import { openRecordings } from '../gateway/recording/read.ts';
import { openStore } from '../gateway/store/open.ts';
import { isLike, refuseAll } from './login-attack-cases.ts';
import { type Facts, startAttackWorld } from './login-attack-world.ts';
import { agree, atIdp, createVisitor, follow, post, readConsent, requestFor, type Visitor } from './login-visitor.ts';

const world = await startAttackWorld({ connections: { crm: { host: 'crm.example.com' } } });
after(() => world[Symbol.asyncDispose]());

interface Place {
  readonly name: string;
  readonly path: string;
  readonly method?: string;
  readonly headers?: Record<string, string>;
  readonly status?: number;
  readonly reason?: string;
}

const token = '/fixture/oauth/token';
const PLACES: readonly Place[] = [
  {
    name: 'a foreign Host',
    path: '/fixture/oauth/jwks',
    headers: { host: 'evil.example' },
    status: 421,
    reason: 'host_refused',
  },
  { name: 'a dot segment', path: '/fixture/oauth/x/../token', status: 400, reason: 'bad_http' },
  { name: 'an encoded dot segment', path: '/fixture/oauth/%2e%2e/token', status: 400, reason: 'bad_http' },
  { name: 'an encoded slash', path: '/fixture%2foauth/token', status: 400, reason: 'bad_http' },
  { name: 'an empty segment', path: '/fixture//oauth/token', status: 400, reason: 'bad_http' },
  { name: 'an encoded letter', path: '/fixture/oauth/%74oken' },
  { name: 'capitals', path: '/fixture/OAUTH/TOKEN' },
  { name: 'a slash behind', path: `${token}/` },
  { name: 'a slash behind the first step', path: '/fixture/oauth/authorize/?response_mode=form_post' },
  { name: 'more behind', path: `${token}/more` },
  ...[
    'userinfo',
    'introspect',
    'par',
    'request',
    'end',
    'end/confirm',
    'device',
    'backchannel',
    'challenge',
    'register/x',
  ].map((path): Place => ({ name: `an endpoint that is not offered: ${path}`, path: `/fixture/oauth/${path}` })),
  { name: 'no connection', path: '/oauth/authorize' },
  { name: 'a connection of nobody', path: '/nobody/oauth/jwks' },
  { name: 'a name of every object', path: '/constructor/oauth/jwks' },
  { name: 'another name of every object', path: '/__proto__/oauth/jwks' },
  { name: 'an identity provider of that name', path: '/oauth/saml/constructor' },
  { name: 'the issuer of a host under the public one', path: '/crm/oauth/jwks' },
  { name: 'another issuer at a connection’s host', path: '/fixture/oauth/jwks', headers: { host: 'crm.example.com' } },
  { name: 'the pages at a connection’s host', path: '/connect', headers: { host: 'crm.example.com' } },
  {
    name: 'the way back at a connection’s host',
    path: '/oauth/callback/corp?state=x',
    headers: { host: 'crm.example.com' },
  },
  { name: 'a client’s registration by GET', path: '/fixture/oauth/register' },
  { name: 'a consent by PUT', path: '/fixture/oauth/interaction/aaaaaaaaaaaaaaaaaaaaa', method: 'PUT' },
  { name: 'a consent by HEAD', path: '/fixture/oauth/interaction/aaaaaaaaaaaaaaaaaaaaa', method: 'HEAD' },
  { name: 'pages by DELETE', path: '/connect', method: 'DELETE' },
  { name: 'the end of a login by HEAD', path: '/connect/finish?ticket=x', method: 'HEAD' },
];

refuseAll(
  'addresses that are none',
  world,
  PLACES.map(({ name, path, method = 'GET', headers, status = 404, reason = 'not_found' }) => ({
    name,
    async run(by: Visitor) {
      const answer = await by.send(path, { method, ...(headers === undefined ? {} : { headers }) });
      return [answer.status, undefined] as const;
    },
    refused: [status, undefined] as const,
    recorded: { name: 'refused', reason },
  })),
);

test('no header of a client’s says where the gateway is', async () => {
  const by = createVisitor(world);
  const lies = {
    'x-forwarded-host': 'evil.example',
    'x-forwarded-proto': 'gopher',
    'x-forwarded-prefix': '/evil',
    forwarded: 'host=evil.example;proto=http',
    'x-original-url': '/evil',
    'x-rewrite-url': '/evil',
  };
  for (const path of [
    '/fixture/.well-known/openid-configuration',
    '/.well-known/oauth-authorization-server/fixture',
    '/.well-known/oauth-protected-resource/fixture/mcp',
  ]) {
    const plain = await by.send(path);
    assert.equal(plain.status, 200);
    assert.equal((await by.send(path, { headers: lies })).body, plain.body, path);
  }
  const request = requestFor(world);
  // The name is one of ours, the port is not.
  const begun = await by.send(request.url, { headers: { ...lies, host: '127.0.0.1:1' } });
  assert.equal(begun.onward?.origin, world.origin);
  const consent = await by.send(begun.onward ?? '', { headers: lies });
  assert.match(consent.body, new RegExp(`action="${world.origin}/fixture/oauth/interaction/`));
  assert.ok(!consent.body.includes('evil'));
  const { onward } = await agree(by, readConsent(begun.onward ?? request.url, consent));
  const arrived = await follow(by, await atIdp(world.corp, onward), world.origin);
  assert.ok(arrived instanceof URL && arrived.searchParams.has('code'));
});

test('no header of a client’s says whose address is recorded', async () => {
  const by = createVisitor(world);
  const spoofed = { 'x-forwarded-for': `192.0.2.66, ${by.address}` };
  await post(by, token, { grant_type: 'password', client_id: 'alpha' }, spoofed);
  await by.send(requestFor(world, { client: 'nobody' }).url, { headers: spoofed });
  for (const reason of ['token_refused', 'login_refused']) {
    await world.eventually((event) => isLike(event, { reason, address: by.address }));
  }
  const events = await world.events();
  assert.ok(!events.some(({ address }) => address === '192.0.2.66'));
});

test('a connection with a host of its own is an issuer there', async () => {
  const by = createVisitor(world);
  const { body } = await by.send('/.well-known/openid-configuration', { headers: { host: 'crm.example.com' } });
  const { issuer } = JSON.parse(body);
  assert.match(issuer, /^http:\/\/crm\.example\.com:\d+$/);
  const answer = await post(
    by,
    '/oauth/token',
    { grant_type: 'refresh_token', refresh_token: 'x', client_id: 'alpha' },
    { host: 'crm.example.com' },
  );
  assert.deepEqual([answer.status, answer.json.error], [400, 'invalid_grant']);
});

test('pages of other sites read nothing of a client that is not theirs', async () => {
  const by = createVisitor(world);
  const form = { grant_type: 'refresh_token', refresh_token: 'x', client_id: 'web' };
  const allowed = async (origin: string): Promise<unknown> =>
    (await post(by, '/fixture/oauth/token', form, { origin })).headers['access-control-allow-origin'];
  assert.equal(await allowed('https://app.example.com'), 'https://app.example.com');
  for (const origin of [
    'https://evil.example',
    'https://app.example.com.evil.example',
    'http://app.example.com',
    'null',
  ]) {
    assert.equal(await allowed(origin), undefined, origin);
  }
});

interface Flood {
  readonly what: string;
  readonly requests: number;
  send(by: Visitor): Promise<{ readonly status: number; readonly headers: Readonly<Record<string, unknown>> }>;
}

const FLOODS: readonly Flood[] = [
  {
    what: 'registrations',
    requests: 25,
    send: (by) =>
      by.send('/fixture/oauth/register', {
        body: JSON.stringify({ redirect_uris: ['http://127.0.0.1/callback'] }),
        headers: { 'content-type': 'application/json' },
      }),
  },
  { what: 'authorization requests', requests: 125, send: (by) => by.send(requestFor(world).url) },
  { what: 'token requests', requests: 245, send: (by) => by.send(token, { form: { grant_type: 'refresh_token' } }) },
  {
    what: 'logins that are none',
    requests: 485,
    send: (by) => by.send('/fixture/oauth/interaction/aaaaaaaaaaaaaaaaaaaaa'),
  },
  { what: 'answers of nobody', requests: 485, send: (by) => by.send('/oauth/callback/corp?state=x&code=x') },
  { what: 'pages', requests: 485, send: (by) => by.send('/connect/finish?ticket=x') },
];

/** Events of a gateway that is closed. */
async function leftEvents(): Promise<Facts[]> {
  const recordings = openRecordings(openStore(world.gateway.storeUrl));
  const events: Facts[] = [];
  for await (const { session } of recordings.sessions({ system: true })) {
    for await (const item of recordings.frames(session)) {
      if (item.kind === 'frame' && item.frame.type === 'event') events.push(item.frame.event as Facts);
    }
  }
  return events;
}

test('floods from one address are refused, and are one event with a count; others are served', async (t) => {
  const refusals = new Map<string, number>();
  for (const { what, requests, send } of FLOODS) {
    await t.test(what, async () => {
      const flooder = createVisitor(world);
      const answers: Awaited<ReturnType<Flood['send']>>[] = [];
      // Some are allowed again while they are sent: a slow machine sends some more.
      while (
        answers.length < requests ||
        (answers.length < 4 * requests && !answers.some(({ status }) => status === 429))
      ) {
        answers.push(...(await Promise.all(Array.from({ length: 25 }, () => send(flooder)))));
      }
      const refused = answers.filter(({ status }) => status === 429);
      assert.ok(refused.length >= 1);
      for (const { headers } of refused) assert.equal(headers['retry-after'], '60');
      assert.notEqual((await send(createVisitor(world))).status, 429);
      await world.eventually((event) => isLike(event, { reason: 'too_many_logins', address: flooder.address }));
      const events = (await world.events()).filter(({ address }) => address === flooder.address);
      // One a minute, and a flood may see the next minute.
      const counted = events.filter(({ reason }) => reason === 'too_many_logins').length;
      assert.ok(counted >= 1 && counted <= 4, `${counted} events`);
      assert.ok(what === 'registrations' || events.length <= 8, `${events.length} events`);
      refusals.set(flooder.address, refused.length);
    });
  }
  await world.gateway.gateway.close();
  const events = (await leftEvents()).filter(({ reason }) => reason === 'too_many_logins');
  for (const [address, count] of refusals) {
    const counted = events.filter((event) => event.address === address).map((event) => Number(event.count));
    assert.equal(
      counted.reduce((sum, one) => sum + one, 0),
      count,
    );
    assert.ok(counted.length <= 4, 'the first at once, the rest by the minute');
  }
});
