/**
 * An answer's XML before anything in it is believed: read once, in linear time, and refused unless it is far simpler
 * than XML may be. This is no parser of what counts: node-saml verifies the same text, and what it verified is read.
 *
 * It stands before the libraries for two reasons. They need a minute of the only thread for 200 KB of siblings that
 * anybody may send (their XPath sorts nodes in quadratic time), and they are several parsers: what two of them could
 * read differently (comments, CDATA, DTDs, entities, processing instructions, assertions in hidden places, doubled ids)
 * is what signature wrapping is made of. No identity provider needs any of it.
 */
import type { LoginAnswer } from './identity-provider.ts';
import { invalid } from './saml-refusal.ts';

export interface SamlDocument {
  readonly xml: string;
  /** Whether there is a signature of the whole response; a good one or not. */
  readonly signed: boolean;
  /** Of the outermost element: anybody's, unless it is signed. */
  readonly destination: string | undefined;
  readonly inResponseTo: string | undefined;
  readonly issuer: string | undefined;
  readonly status: string | undefined;
}

/** Of `SAMLResponse`, in characters of base64. 900 groups take half of it. */
export const MAX_SAML_RESPONSE = 256 * 1024;

const MAX_ELEMENTS = 1000;
const MAX_DEPTH = 24;
/** Of one element, and of all: Okta writes three with each group. */
const MAX_ATTRIBUTES = 16;
const MAX_ATTRIBUTES_IN_ALL = 4000;

const DECLARATION = /^\s*<\?xml [^<>?]*\?>/;
const NAME = '[A-Za-z_][\\w.-]*(?::[A-Za-z_][\\w.-]*)?';
const TAG = new RegExp(`<(/?)(${NAME})((?:\\s+${NAME}\\s*=\\s*(?:"[^"<]*"|'[^'<]*'))*)\\s*(/?)>`, 'y');
const ATTRIBUTE = new RegExp(`(${NAME})\\s*=\\s*(?:"([^"]*)"|'([^']*)')`, 'g');
const TEXT = /[^<]+/y;
const REFERENCE = /&(?:(amp|lt|gt|quot|apos)|#([0-9]{1,7})|#x([0-9A-Fa-f]{1,6}));/g;
const NAMED: Readonly<Record<string, string>> = { amp: '&', lt: '<', gt: '>', quot: '"', apos: "'" };

/** What a signature may name. SHA-1 is not among them, nor a transform that could change what is signed. */
const ALGORITHMS: ReadonlySet<string> = new Set([
  'http://www.w3.org/2001/04/xmldsig-more#rsa-sha256',
  'http://www.w3.org/2001/04/xmldsig-more#rsa-sha512',
  'http://www.w3.org/2007/05/xmldsig-more#sha256-rsa-MGF1',
  'http://www.w3.org/2001/04/xmlenc#sha256',
  'http://www.w3.org/2001/04/xmlenc#sha512',
  'http://www.w3.org/2000/09/xmldsig#enveloped-signature',
  'http://www.w3.org/2001/10/xml-exc-c14n#',
  'http://www.w3.org/2001/10/xml-exc-c14n#WithComments',
]);

/** No more than that of them, wherever they stand. */
const MOST: ReadonlyMap<string, number> = new Map([
  ['Response', 1],
  ['Assertion', 1],
  ['Signature', 2],
  ['Object', 0],
]);

/** Throws `LoginRefused` `answer_invalid`. */
export function readDocument({ form }: LoginAnswer): SamlDocument {
  const [encoded, another] = form?.getAll('SAMLResponse') ?? [];
  if (encoded === undefined || another !== undefined) throw invalid('is not one SAML response');
  if (encoded.length > MAX_SAML_RESPONSE) throw invalid('is too long');
  const xml = decode(encoded);
  return { xml, ...examine(xml) };
}

function decode(encoded: string): string {
  const base64 = encoded.replace(/[\r\n\t ]/g, '');
  if (base64 === '' || base64.length % 4 !== 0 || !/^[A-Za-z0-9+/]+={0,2}$/.test(base64)) {
    throw invalid('is not base64');
  }
  try {
    return new TextDecoder('utf-8', { fatal: true }).decode(Buffer.from(base64, 'base64'));
  } catch (cause) {
    throw invalid('is not text', { cause });
  }
}

function examine(xml: string): Omit<SamlDocument, 'xml'> {
  const tally = createTally();
  const open: string[] = [];
  let root: Attributes | undefined;
  let issuer: string | undefined;
  let status: string | undefined;
  let signed = false;

  for (const token of tokensOf(xml)) {
    if (token.kind === 'text') {
      if (open.length === 0 && token.text.trim() !== '') throw unusual();
      if (pathOf(open) === 'Response/Issuer') issuer = token.text;
    } else if (token.kind === 'close') {
      if (open.pop() !== token.name) throw unusual();
    } else {
      const { name, attributes } = token;
      tally(localName(name), attributes);
      const path = pathOf([...open, name]);
      if (path === 'Response/Status/StatusCode') status = attributes.get('Value');
      if (path === 'Response/Signature') signed = true;
      if (open.length === 0) {
        if (root !== undefined || path !== 'Response') throw unusual();
        root = attributes;
      }
      if (!token.empty) open.push(name);
      if (open.length > MAX_DEPTH) throw unusual();
    }
  }
  if (root === undefined || open.length > 0) throw unusual();
  return { signed, destination: root.get('Destination'), inResponseTo: root.get('InResponseTo'), issuer, status };
}

type Attributes = ReadonlyMap<string, string>;
type Token =
  | { readonly kind: 'text'; readonly text: string }
  | { readonly kind: 'open'; readonly name: string; readonly attributes: Attributes; readonly empty: boolean }
  | { readonly kind: 'close'; readonly name: string };

function* tokensOf(xml: string): Generator<Token> {
  if (/[\u0000-\u0008\u000b\u000c\u000e-\u001f\ufffe\uffff]/.test(xml)) throw unusual();
  let at = DECLARATION.exec(xml)?.[0].length ?? 0;
  while (at < xml.length) {
    const [text] = matchAt(TEXT, xml, at) ?? [];
    if (text !== undefined) {
      at += text.length;
      yield { kind: 'text', text: resolve(text) };
      continue;
    }
    // Whatever else begins with `<`: a comment, CDATA, a DTD, a processing instruction, or no XML at all.
    const [tag, closing, name = '', written = '', empty] = matchAt(TAG, xml, at) ?? [];
    if (tag === undefined) throw unusual();
    at += tag.length;
    if (closing === '') yield { kind: 'open', name, attributes: attributesOf(written), empty: empty !== '' };
    else if (written === '' && empty === '') yield { kind: 'close', name };
    else throw unusual();
  }
}

/** Throws at the first element that is too many, or says what no answer needs to say. */
function createTally(): (name: string, attributes: Attributes) => void {
  const counts = new Map<string, number>();
  const ids = new Set<string>();
  let elements = 0;
  let attributesInAll = 0;
  return (name, attributes) => {
    elements++;
    attributesInAll += attributes.size;
    if (elements > MAX_ELEMENTS || attributesInAll > MAX_ATTRIBUTES_IN_ALL) throw invalid('holds too much');
    if (name.startsWith('Encrypted')) throw invalid('is encrypted, which is not supported here');
    const count = (counts.get(name) ?? 0) + 1;
    counts.set(name, count);
    if (count > (MOST.get(name) ?? MAX_ELEMENTS)) throw unusual();
    for (const [attribute, value] of attributes) {
      if (attribute === 'Algorithm' && !ALGORITHMS.has(value)) {
        throw invalid('is signed in a way that is not accepted here, such as with SHA-1');
      }
      if (localName(attribute).toLowerCase() !== 'id') continue;
      if (ids.has(value)) throw unusual();
      ids.add(value);
    }
  };
}

function localName(name: string): string {
  return name.slice(name.indexOf(':') + 1);
}

function pathOf(names: readonly string[]): string {
  return names.map(localName).join('/');
}

function attributesOf(written: string): Attributes {
  const attributes = new Map<string, string>();
  for (const [, name = '', quoted, single = ''] of written.matchAll(ATTRIBUTE)) {
    if (attributes.has(name) || attributes.size === MAX_ATTRIBUTES) throw unusual();
    attributes.set(name, resolve(quoted ?? single));
  }
  return attributes;
}

/** Replaces the references that XML has without a DTD. An `&` that remains is one that needs a DTD, or none at all. */
function resolve(text: string): string {
  if (text.replace(REFERENCE, '').includes('&')) throw unusual();
  return text.replace(REFERENCE, (_, named: string | undefined, decimal: string | undefined, hex = '') => {
    if (named !== undefined) return NAMED[named] ?? '';
    const code = decimal === undefined ? Number.parseInt(hex, 16) : Number(decimal);
    if (code < 0x20 && ![9, 10, 13].includes(code)) throw unusual();
    if (code > 0x10ffff || (code >= 0xd800 && code <= 0xdfff)) throw unusual();
    return String.fromCodePoint(code);
  });
}

function matchAt(pattern: RegExp, text: string, at: number): RegExpExecArray | undefined {
  pattern.lastIndex = at;
  return pattern.exec(text) ?? undefined;
}

function unusual(): Error {
  return invalid('is not a plain SAML response');
}
