/**
 * Google tokens by a service-account key: an assertion signed with it (RFC 7523), exchanged at Google's token endpoint.
 * https://developers.google.com/identity/protocols/oauth2/service-account#authorizingrequests
 */
import { importPKCS8, SignJWT } from 'jose';
import { z } from 'zod';
import { readReferenced } from '../secret-ref.ts';
import { classifyHost } from './address.ts';
import type { AskedOfGoogle, Minting } from './credential.ts';
import { bearerHeader, expiryOfIdToken, refusedByIssuer } from './credential-answer.ts';
import { type Fresh, freshToken } from './credential-cache.ts';
import { credentialError } from './credential-error.ts';

const GOOGLE_TOKEN_URI = 'https://oauth2.googleapis.com/token';

const keyFile = z.object({
  type: z.literal('service_account'),
  client_email: z.string().regex(/^[a-z0-9-]{1,63}@[a-z0-9.-]{1,190}\.gserviceaccount\.com$/),
  private_key: z.string(),
  private_key_id: z.string().regex(/^[A-Za-z0-9_-]{1,128}$/),
  token_uri: z.string().optional(),
  universe_domain: z.literal('googleapis.com').optional(),
});
type KeyFile = z.output<typeof keyFile>;

export async function mintWithKey(ref: string, asked: AskedOfGoogle, minting: Minting): Promise<Fresh> {
  const { now, fetch, signal } = minting;
  const key = readKey(await readReferenced(ref, minting), ref);
  const uri = tokenUriOf(key, ref);
  const obtained = now();
  const assertion = await sign(key, uri, asked, obtained, ref);
  const response = await fetch(uri, {
    method: 'POST',
    headers: { 'content-type': 'application/x-www-form-urlencoded', accept: 'application/json' },
    body: new URLSearchParams({
      grant_type: 'urn:ietf:params:oauth:grant-type:jwt-bearer',
      assertion,
    }).toString(),
    signal,
  });
  const answer: unknown = await response.json().catch(() => undefined);
  if (response.status !== 200) throw refusedByIssuer(uri, response.status, (answer as { error?: unknown })?.error);
  const parsed = z.object({ id_token: z.string(), access_token: z.string(), expires_in: z.number() }).partial();
  const { data: tokens } = parsed.safeParse(answer);
  const version = `key:${key.private_key_id}`;
  if (asked.kind === 'idToken') {
    const header = bearerHeader(tokens?.id_token, ref);
    return freshToken({ headers: [header], version }, obtained, expiryOfIdToken(tokens?.id_token, ref));
  }
  const header = bearerHeader(tokens?.access_token, ref);
  return freshToken({ headers: [header], version }, obtained, obtained + (tokens?.expires_in ?? 3600) * 1000);
}

function readKey(text: string, ref: string): KeyFile {
  let json: unknown;
  try {
    json = JSON.parse(text);
  } catch {
    // Said below: the parser's words quote what it read.
  }
  const parsed = keyFile.safeParse(json);
  if (parsed.success) return parsed.data;
  throw credentialError('It is not the JSON of a service-account key.', `${ref}: not a service-account key`);
}

/** Who can write the key's file must not choose who gets assertions of the account. Loopback is for doubles of Google. */
function tokenUriOf({ token_uri: uri = GOOGLE_TOKEN_URI }: KeyFile, ref: string): string {
  if (uri === GOOGLE_TOKEN_URI) return uri;
  if (URL.canParse(uri) && classifyHost(new URL(uri).hostname) === 'loopback') return uri;
  throw credentialError("Its key names a token endpoint that is not Google's.", `${ref}: token_uri is not Google's`);
}

async function sign(key: KeyFile, uri: string, asked: AskedOfGoogle, now: number, ref: string): Promise<string> {
  const claim = asked.kind === 'idToken' ? { target_audience: asked.audience } : { scope: asked.scopes.join(' ') };
  const issued = Math.floor(now / 1000);
  try {
    return await new SignJWT(claim)
      .setProtectedHeader({ alg: 'RS256', typ: 'JWT', kid: key.private_key_id })
      .setIssuer(key.client_email)
      .setAudience(uri)
      .setIssuedAt(issued)
      .setExpirationTime(issued + 3600)
      .sign(await importPKCS8(key.private_key, 'RS256'));
  } catch {
    throw credentialError('Its private key can not be used.', `${ref}: private_key is not an RSA key in PKCS 8`);
  }
}
