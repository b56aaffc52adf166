import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import { importJWK, type JWK, jwtVerify, SignJWT } from 'jose';
import { createKeyring, type Keyring, LEAST_SECRET_BYTES } from './keyring.ts';

/** 00 01 … 1f. What is expected of it was worked out by another program (RFC 5869, SEC 1, NIST SP 800-38D). */
const SECRET = Buffer.from(Array.from({ length: 32 }, (_, byte) => byte));
const another = (): Buffer => randomBytes(48);

describe('what is derived is the same everywhere, for good', () => {
  const keyring = createKeyring([SECRET]);

  test('the signing key', () => {
    assert.deepEqual(keyring.signingKeys, [
      {
        kty: 'EC',
        crv: 'P-256',
        x: 't6ys5NDZGkzC5bDP455Y_H-bKg7Rg-RX1RtvZ4QVbHc',
        y: 'DlOOKdNMq-w5c7Fwsrd2ed9WuSrerjVNbFnMhv0mQbg',
        d: 'yQuZb5qjZdfTJ7c2E56-Pi8RopeebGAHvm5j4fTGq-g',
        kid: 'u_jfeKL25THf0X7y',
        alg: 'ES256',
        use: 'sig',
      },
    ]);
  });

  test('the key of cookies, a hash, a key for another part', () => {
    assert.deepEqual(keyring.cookieKeys, ['LBvxFoXXIegKrPVDazRTB6Yyu-oUx1YXtQowLWWo7_s']);
    assert.equal(keyring.mac('csrf', 'a text'), 'kH96hOozgC9u_YoYUoEONoB99qSChEMYsAVI7SnxWBw');
    const derived = keyring.derive('identity').map((key) => key.toString('hex'));
    assert.deepEqual(derived, ['9cfbc74baed1f332b8c91b9921197429a7b22ded54930ff508b8ab782ede0871']);
  });

  test('what was sealed elsewhere opens', () => {
    const sealed = 'AAECAwQFBgcICQoLVsIU5aUD6LWYQzFmppV4cuQxet3Y4Rve7O3ixeB9zL6wcw';
    assert.equal(keyring.open('client', sealed, 'its name'), 'what is sealed: ü');
  });
});

test('a keyring without a secret, or with one that could be guessed, is none', () => {
  assert.throws(() => createKeyring([]));
  assert.throws(() => createKeyring([another(), randomBytes(LEAST_SECRET_BYTES - 1)]));
  assert.doesNotThrow(() => createKeyring([randomBytes(LEAST_SECRET_BYTES)]));
});

test('any secret gives a key of P-256 that signs what its public part verifies', async () => {
  await fc.assert(
    fc.asyncProperty(fc.uint8Array({ minLength: 32, maxLength: 80 }), async (secret) => {
      const [key] = createKeyring([Buffer.from(secret)]).signingKeys;
      assert.equal(Buffer.from(String(key?.d), 'base64url').length, 32);
      const token = await new SignJWT({})
        .setProtectedHeader({ alg: 'ES256' })
        .sign(await importJWK(key ?? {}, 'ES256'));
      await jwtVerify(token, await importJWK(publicOf(key ?? {}), 'ES256'), { algorithms: ['ES256'] });
    }),
    { numRuns: 30 },
  );
});

test('no key, id or hash is the secret, another one’s, or of another purpose', () => {
  const [one, two] = [another(), another()];
  const keyring = createKeyring([one, two]);
  const all = [
    ...keyring.signingKeys.flatMap(({ kid, d }) => [String(kid), String(d)]),
    ...keyring.cookieKeys,
    ...['csrf', 'other'].map((purpose) => keyring.mac(purpose, 'text')),
    ...['csrf', 'identity', 'mcp-session-id'].flatMap((purpose) =>
      keyring.derive(purpose).map((key) => key.toString('base64url')),
    ),
    one.toString('base64url'),
    two.toString('base64url'),
  ];
  assert.equal(new Set(all).size, all.length);
});

describe('what is sealed', () => {
  const keyring = createKeyring([another()]);

  test('opens to the same text, however long, and never looks the same twice', () => {
    for (const text of ['', 'x', 'grüezi 👋', '\u0000', 'long '.repeat(50_000)]) {
      const sealed = keyring.seal('login', text);
      assert.match(sealed, /^[A-Za-z0-9_-]+$/);
      assert.equal(keyring.open('login', sealed), text);
      assert.notEqual(keyring.seal('login', text), sealed);
    }
  });

  test('opens for its purpose, and bound to what it was bound to, alone', () => {
    const sealed = keyring.seal('idp-refresh-token', 'secret', 'session 1');
    assert.equal(keyring.open('idp-refresh-token', sealed, 'session 1'), 'secret');
    assert.equal(keyring.open('idp-refresh-token', sealed, 'session 2'), undefined);
    assert.equal(keyring.open('idp-refresh-token', sealed, ''), undefined);
    assert.equal(keyring.open('idp-refresh-token', sealed), undefined);
    assert.equal(keyring.open('user-credential', sealed, 'session 1'), undefined);
    assert.equal(createKeyring([another()]).open('idp-refresh-token', sealed, 'session 1'), undefined);
  });

  test('does not open when a bit of it was changed, or a part is missing', () => {
    const bytes = Buffer.from(keyring.seal('ticket', 'secret'), 'base64url');
    for (let at = 0; at < bytes.length; at++) {
      const changed = Buffer.from(bytes);
      changed.writeUInt8((bytes[at] ?? 0) ^ 1, at);
      assert.equal(keyring.open('ticket', changed.toString('base64url')), undefined, `byte ${at}`);
    }
    for (let length = 0; length < bytes.length; length++) {
      assert.equal(keyring.open('ticket', bytes.subarray(0, length).toString('base64url')), undefined);
    }
    for (const nothing of ['', '!', '=', 'null', '\u0000']) assert.equal(keyring.open('ticket', nothing), undefined);
  });
});

test('a hash is of its purpose and its text; what is no hash is none', () => {
  const keyring = createKeyring([another()]);
  const mac = keyring.mac('csrf', 'login 1');
  assert.ok(keyring.verifyMac('csrf', 'login 1', mac));
  assert.ok(!keyring.verifyMac('csrf', 'login 2', mac));
  assert.ok(!keyring.verifyMac('other', 'login 1', mac));
  for (const bad of ['', mac.slice(1), `${mac}AA`, 'x'.repeat(43)])
    assert.ok(!keyring.verifyMac('csrf', 'login 1', bad));
});

function publicOf({ d: _, ...key }: JWK): JWK {
  return key;
}

/** What two gateways of different states of a rotation do for one another. */
async function agree(maker: Keyring, checker: Keyring): Promise<boolean[]> {
  const [key] = maker.signingKeys;
  const header = { alg: 'ES256', kid: String(key?.kid) };
  const token = await new SignJWT({}).setProtectedHeader(header).sign(await importJWK(key ?? {}, 'ES256'));
  const publicKey = checker.signingKeys.find(({ kid }) => kid === header.kid);
  const verified =
    publicKey !== undefined &&
    (await jwtVerify(token, await importJWK(publicOf(publicKey), 'ES256')).then(
      () => true,
      () => false,
    ));
  const sealed = maker.seal('client', 'text', 'bound');
  return [
    verified,
    checker.open('client', sealed, 'bound') === 'text',
    checker.verifyMac('csrf', 'text', maker.mac('csrf', 'text')),
    checker.cookieKeys.includes(maker.cookieKeys[0] ?? ''),
  ];
}

test('a secret is changed in the steps of docs/configuration.md without one gateway refusing another’s', async () => {
  const [old, fresh] = [another(), another()];
  const steps = [[old], [old, fresh], [fresh, old], [fresh]].map((secrets) => createKeyring(secrets));
  const whole = [true, true, true, true];
  const none = [false, false, false, false];
  // While a step is rolled out, gateways of it and of the one before serve the same clients.
  for (const [index, before] of steps.slice(0, -1).entries()) {
    const after = steps[index + 1] ?? before;
    for (const [maker, checker] of [
      [before, before],
      [after, before],
      [after, after],
    ] as const) {
      assert.deepEqual(await agree(maker, checker), whole, `step ${index + 1}`);
    }
    // The last step is taken when nothing of the old secret is left.
    assert.deepEqual(await agree(before, after), whole);
  }
  const [first, , , last] = steps;
  assert.ok(first !== undefined && last !== undefined);
  assert.deepEqual(await agree(last, first), none, 'to begin with the front would have lost logins');
  assert.deepEqual(await agree(first, last), none, 'a secret that was taken out makes nothing that counts');
});
