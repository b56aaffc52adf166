import assert from 'node:assert/strict';
import { generateKeyPairSync } from 'node:crypto';
import { test } from 'node:test';
import {
  encodeVerifierKey,
  formatCheckpoint,
  openCheckpoint,
  openNote,
  parseVerifierKey,
  signCheckpoint,
} from './checkpoint.ts';
import { createLocalSigner, type Signer } from './signer.ts';

function newSigner(name: string): Signer {
  const { privateKey } = generateKeyPairSync('ed25519');
  return createLocalSigner(name, privateKey.export({ type: 'pkcs8', format: 'pem' }).toString());
}

const LEDGER = '0192f0c1-0000-7000-8000-000000000001';
const NAME = `verbatim/${LEDGER}`;
const root = Buffer.alloc(32, 7);
const signer = newSigner(NAME);
const text = formatCheckpoint({ ledger: LEDGER, size: 42, root });
const note = await signCheckpoint(text, signer);

/** A note over any text, by this signer: what someone with the key, but not this code, could make. */
async function signed(body: string, by: Signer = signer): Promise<string> {
  return `${body}\n${await signatureLine(body, by)}`;
}

async function signatureLine(body: string, by: Signer): Promise<string> {
  const { name, id } = parseVerifierKey(by.verifierKey);
  const blob = Buffer.concat([id, await by.sign(Buffer.from(body))]).toString('base64');
  return `\u2014 ${name} ${blob}\n`;
}

// From the documentation of Go's golang.org/x/mod/sumdb/note.
const GO_KEY = 'PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW';
const GO_TEXT = "If you think cryptography is the answer to your problem,\nthen you don't know what your problem is.\n";
const GO_NOTE = `${GO_TEXT}\n\u2014 PeterNeumann x08go/ZJkuBS9UG/SffcvIAQxVBtiFupLLr8pAcElZInNIuGUgYN1FFYC2pZSNXgKvqfqdngotpRZb6KE6RyyBwJnAM=\n`;

test("the published note of Go's sumdb/note opens with its published key", () => {
  const key = parseVerifierKey(GO_KEY);
  assert.equal(key.name, 'PeterNeumann');
  assert.equal(encodeVerifierKey(key.name, key.publicKey), GO_KEY);
  assert.equal(openNote(GO_NOTE, key), GO_TEXT);
});

test('a checkpoint is the three lines of C2SP, and opens to what was signed', () => {
  assert.equal(text, `${NAME}\n42\nBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwc=\n`);
  assert.ok(note.startsWith(`${text}\n\u2014 ${NAME} `));
  assert.deepEqual(openCheckpoint(note, signer.verifierKey), { ledger: LEDGER, size: 42, root });
});

test('what can be no checkpoint is not formatted', () => {
  for (const ledger of ['', 'a/b', '..', 'a\nb', 'a b', 'x'.repeat(129)]) {
    assert.throws(() => formatCheckpoint({ ledger, size: 1, root }), RangeError, ledger);
  }
  for (const size of [-1, 1.5, 2 ** 53, Number.NaN]) {
    assert.throws(() => formatCheckpoint({ ledger: LEDGER, size, root }), RangeError);
  }
  assert.throws(() => formatCheckpoint({ ledger: LEDGER, size: 1, root: root.subarray(1) }), RangeError);
});

test('every flipped bit of a checkpoint is flagged', () => {
  const bytes = Buffer.from(note);
  for (let bit = 0; bit < bytes.length * 8; bit++) {
    const changed = Buffer.from(bytes);
    changed.writeUInt8(changed.readUInt8(bit >> 3) ^ (1 << (bit & 7)), bit >> 3);
    const flipped = changed.toString('utf8');
    assert.throws(
      () => openCheckpoint(flipped, signer.verifierKey),
      { code: /^checkpoint_(malformed|signature)$/ },
      `bit ${bit}`,
    );
  }
});

test('signatures of witnesses are ignored, wherever they stand; ours must be among them', async () => {
  const witness = newSigner('witness.example/w');
  const line = await signatureLine(text, witness);
  const ours = await signatureLine(text, signer);
  for (const signatures of [line + ours, ours + line, line + ours + ours]) {
    assert.equal(openCheckpoint(`${text}\n${signatures}`, signer.verifierKey).size, 42);
  }
  assert.throws(() => openCheckpoint(`${text}\n${line}`, signer.verifierKey), { code: 'checkpoint_signature' });
});

test('a second signature by our key must hold as well', async () => {
  const forged = Buffer.concat([parseVerifierKey(signer.verifierKey).id, Buffer.alloc(64, 1)]).toString('base64');
  const twice = `${note}\u2014 ${NAME} ${forged}\n`;
  assert.throws(() => openCheckpoint(twice, signer.verifierKey), { code: 'checkpoint_signature' });
});

test('another key of the same name, and our key under another name, do not open it', () => {
  const { publicKey } = parseVerifierKey(signer.verifierKey);
  for (const key of [newSigner(NAME).verifierKey, encodeVerifierKey('other', publicKey)]) {
    assert.throws(() => openCheckpoint(note, key), { code: 'checkpoint_signature' });
  }
});

test('malformed notes are refused before any signature counts', async () => {
  const line = await signatureLine(text, signer);
  const blob = line.slice(line.lastIndexOf(' ') + 1, -1);
  const malformed: Record<string, string> = {
    empty: '',
    'no signatures': text,
    'nothing after the blank line': `${text}\n`,
    'no blank line': text + line,
    'no last newline': note.slice(0, -1),
    'an empty line at the end': `${note}\n`,
    'carriage returns': note.replaceAll('\n', '\r\n'),
    'a control character': `\u0001${note}`,
    'a lone surrogate': `\ud800${note}`,
    'a hyphen for the dash': note.replace('\u2014', '-'),
    'base64 without padding': `${text}\n${line.replace('=', '')}`,
    'base64 of the URL alphabet': `${text}\n\u2014 ${NAME} ${'-'.repeat(92)}\n`,
    'base64 with a space': `${text}\n\u2014 ${NAME} ${blob} \n`,
    'base64 with stray bits': `${text}\n\u2014 w AAAAAAB=\n${line}`,
    'a blob of four bytes': `${text}\n\u2014 w AAAAAA==\n${line}`,
    'no name': `${text}\n\u2014  ${blob}\n`,
    'a plus in the name': `${text}\n\u2014 a+b ${blob}\n${line}`,
    'too many signatures': `${text}\n${line.repeat(101)}`,
    'too long': `${'a'.repeat(64 * 1024)}\n${note}`,
    'too long in bytes': `${'\u20ac'.repeat(30 * 1024)}\n${note}`,
  };
  for (const [what, hostile] of Object.entries(malformed)) {
    assert.throws(() => openCheckpoint(hostile, signer.verifierKey), { code: 'checkpoint_malformed' }, what);
  }
});

test('the last empty line splits a note: its text may hold others', async () => {
  assert.equal(openNote(await signed('a\n\nb\n'), parseVerifierKey(signer.verifierKey)), 'a\n\nb\n');
});

test('what is signed but is no checkpoint is refused', async () => {
  const base64 = root.toString('base64');
  const bodies = [
    'hello\n',
    `other/${LEDGER}\n42\n${base64}\n`,
    `verbatim/\n42\n${base64}\n`,
    `verbatim/../x\n42\n${base64}\n`,
    `${NAME}\n042\n${base64}\n`,
    `${NAME}\n-1\n${base64}\n`,
    `${NAME}\n+1\n${base64}\n`,
    `${NAME}\n1e3\n${base64}\n`,
    `${NAME}\n\n${base64}\n`,
    `${NAME}\n9007199254740993\n${base64}\n`,
    `${NAME}\n42\n${base64.replace('=', '')}\n`,
    `${NAME}\n42\n${root.subarray(1).toString('base64')}\n`,
    `${NAME}\n42\n${base64}\nextension\n`,
    `\n${NAME}\n42\n${base64}\n`,
  ];
  for (const body of bodies) {
    const hostile = await signed(body);
    assert.throws(() => openCheckpoint(hostile, signer.verifierKey, 'ledger/x'), {
      code: 'checkpoint_malformed',
      object: 'ledger/x',
    });
  }
});

test('a verifier key with anything wrong is refused', () => {
  const [name = '', hash = '', key = ''] = GO_KEY.split('+');
  const typed = (type: number) => Buffer.concat([Buffer.of(type), Buffer.from(key, 'base64').subarray(1)]);
  const wrong = [
    '',
    name,
    `${name}+${hash}`,
    `+${hash}+${key}`,
    `Other+${hash}+${key}`,
    `${name}+${hash.toUpperCase()}+${key}`,
    `${name}+00000000+${key}`,
    `${name}+${hash}+${key.slice(0, -4)}`,
    `${name}+${hash}+${key}\n`,
    `${name}+${hash}+${typed(2).toString('base64')}`,
    `a b+${hash}+${key}`,
  ];
  for (const verifierKey of wrong) {
    assert.throws(() => parseVerifierKey(verifierKey), { code: 'key_malformed' }, verifierKey);
  }
  for (const bad of ['', 'a b', 'a+b', 'a\nb', 'a\u00a0b', 'a\u0085b', 'a\u2003b', '\ud800']) {
    assert.throws(() => encodeVerifierKey(bad, root), { code: 'key_malformed' }, JSON.stringify(bad));
  }
  assert.throws(() => encodeVerifierKey('a', root.subarray(1)), { code: 'key_malformed' });
});

test('a signer that signs wrongly never gets a note out', async () => {
  const liars: Signer[] = [
    { ...signer, sign: async () => Buffer.alloc(64) },
    { ...signer, sign: async () => Buffer.alloc(0) },
    { ...signer, sign: newSigner(NAME).sign },
    { ...signer, name: 'other' },
  ];
  for (const liar of liars) await assert.rejects(signCheckpoint(text, liar), { code: 'checkpoint_signature' });
  await assert.rejects(signCheckpoint('no checkpoint\n', signer), { code: 'checkpoint_malformed' });
});

test('only an Ed25519 key in PKCS #8 signs, and a refusal does not quote it', () => {
  const ec = generateKeyPairSync('ec', { namedCurve: 'P-256' }).privateKey.export({ type: 'pkcs8', format: 'pem' });
  const open = generateKeyPairSync('ed25519').publicKey.export({ type: 'spki', format: 'pem' });
  for (const pem of [ec.toString(), open.toString(), '', 'SECRET']) {
    assert.throws(
      () => createLocalSigner(NAME, pem),
      (error: Error & { code?: string }) =>
        error.code === 'key_malformed' && error.cause === undefined && !error.message.includes('SECRET'),
    );
  }
});
