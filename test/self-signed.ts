/** RSA keys with self-signed certificates, made when a test asks: Node signs and reads X.509, but makes none. */
import { generateKeyPairSync, type KeyObject, sign } from 'node:crypto';

export interface SelfSigned {
  readonly privateKey: KeyObject;
  /** PEM. */
  readonly certificate: string;
}

export function selfSigned(commonName: string, modulusLength = 2048): SelfSigned {
  const { privateKey, publicKey } = generateKeyPairSync('rsa', { modulusLength });
  const name = sequence(tagged(0x31, sequence(oid('550403'), tagged(0x0c, Buffer.from(commonName)))));
  const validity = sequence(time('20200101000000Z'), time('21200101000000Z'));
  const key = publicKey.export({ type: 'spki', format: 'der' });
  // RFC 5280, section 4.1, version 1: serial number, signature, issuer, validity, subject, key.
  const body = sequence(tagged(0x02, Buffer.from([1])), SHA256_WITH_RSA, name, validity, name, key);
  const signature = tagged(0x03, Buffer.from([0]), sign('sha256', body, privateKey));
  const lines = sequence(body, SHA256_WITH_RSA, signature)
    .toString('base64')
    .match(/.{1,64}/g);
  const certificate = ['-----BEGIN CERTIFICATE-----', ...(lines ?? []), '-----END CERTIFICATE-----', ''].join('\n');
  return { privateKey, certificate };
}

/** DER: tag, length, content. */
function tagged(tag: number, ...content: readonly Buffer[]): Buffer {
  const body = Buffer.concat(content);
  const { length } = body;
  const size = length < 0x80 ? [length] : length < 0x100 ? [0x81, length] : [0x82, length >> 8, length & 0xff];
  return Buffer.concat([Buffer.from([tag, ...size]), body]);
}

function sequence(...content: readonly Buffer[]): Buffer {
  return tagged(0x30, ...content);
}

function oid(hex: string): Buffer {
  return tagged(0x06, Buffer.from(hex, 'hex'));
}

function time(generalized: string): Buffer {
  return tagged(0x18, Buffer.from(generalized));
}

const SHA256_WITH_RSA = sequence(oid('2a864886f70d01010b'), Buffer.from([0x05, 0x00]));
