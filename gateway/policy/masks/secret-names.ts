import { isMixed } from './secret-tokens.ts';

/** What is a secret because it is called one. Names without `_`, `-` and `.`, in lower case; they end a longer one: `DB_PASSWORD`. */
const PASSWORDS = [
  'password',
  'passwd',
  'passphrase',
  'pwd',
  'passcode',
  'passwort',
  'kennwort',
  'contraseña',
  'contrasena',
  'motdepasse',
  'senha',
  'wachtwoord',
  'lösenord',
  'hasło',
  'пароль',
  '密码',
  '密碼',
  'パスワード',
  '비밀번호',
];
const KEYS = [
  'secret',
  'token',
  'apikey',
  'apitoken',
  'secretkey',
  'accesskey',
  'accountkey',
  'sharedaccesskey',
  'sharedsecret',
  'encryptionkey',
  'signingkey',
  'authkey',
  'masterkey',
  'servicekey',
  'licensekey',
  'deploykey',
  'clientkey',
  'credential',
  'credentials',
  'authorization',
  'sig',
  'signature',
];

const byLastLetter = new Map<string, { readonly name: string; readonly kind: 'password' | 'key' }[]>();
for (const [kind, names] of [
  ['password', PASSWORDS],
  ['key', KEYS],
] as const) {
  for (const name of names) {
    const last = name.at(-1) ?? '';
    byLastLetter.set(last, [...(byLastLetter.get(last) ?? []), { name, kind }]);
  }
}

const longestName = 64;
const longestLook = 512;
const shortestPassword = 4;
const shortestKey = 12;

function kindOf(name: string): 'password' | 'key' | undefined {
  const last = name.at(-1)?.toLowerCase() ?? '';
  const known = byLastLetter.get(last);
  if (!known) return name.toLowerCase() === 'pass' ? 'password' : undefined;
  const bare = name.replace(/[-_. ]/g, '').toLowerCase();
  // Of `sig` only the whole name, or its end behind a mark: `X-Amz-Signature`, not `config` nor `design`.
  return known.find((entry) => (entry.name === 'sig' ? bare === 'sig' : bare.endsWith(entry.name)))?.kind;
}

const isNameCode = (code: number) =>
  (code >= 0x30 && code <= 0x39) ||
  (code >= 0x41 && code <= 0x5a) ||
  (code >= 0x61 && code <= 0x7a) ||
  code === 0x5f ||
  code === 0x2d ||
  code === 0x2e ||
  code > 0xbf;

/** What stands right before a sign behind the name of a secret: its last letter, or what closes a quote or a bracket. */
const mayEndName = new Uint8Array(128);
for (const letter of [...byLastLetter.keys(), 's']) {
  for (const one of [letter, letter.toUpperCase()]) if (one.charCodeAt(0) < 128) mayEndName[one.charCodeAt(0)] = 1;
}
for (const mark of '"\'\\])` \t\n\v\f\r') mayEndName[mark.charCodeAt(0)] = 1;

/** The name before a `:` or `=`, with quotes and brackets around it left out. */
function nameBefore(text: string, sign: number): string {
  let end = sign;
  while (end > 0 && sign - end < 4 && /[\s"'\\\])`]/.test(text[end - 1] ?? '')) end--;
  let start = end;
  while (start > 0 && end - start < longestName && isNameCode(text.charCodeAt(start - 1))) start--;
  return text.slice(start, end);
}

/** The value of a secret's name before this sign, where it has one. */
export function valueAfter(text: string, sign: number): [number, number] | undefined {
  // By far the most signs are told apart by one letter.
  const last = text.charCodeAt(sign - 1);
  if (last < 128 ? mayEndName[last] !== 1 : !/\s/.test(text[sign - 1] ?? '')) return undefined;
  const kind = kindOf(nameBefore(text, sign));
  if (!kind) return undefined;
  let start = sign + 1;
  let quote = '';
  while (start < sign + 8 && /[\s"'\\=>`:]/.test(text[start] ?? '')) {
    if (text[start] === '\n') return undefined;
    if (/["'`]/.test(text[start] ?? '')) quote = text[start] ?? '';
    start++;
  }
  const scheme = /^(?:basic|bearer|token|digest|negotiate|apikey|key|bot) +/i.exec(text.slice(start, start + 16));
  if (scheme) start += scheme[0].length;
  const look = valueEnd(text, start, quote, kind, start + longestLook);
  const value = text.slice(start, look);
  const ok = isValue(value, kind, quote !== '' || (text[sign] === '=' && start === sign + 1));
  // Only what is a secret is followed to its end: a text may have as many names as it likes.
  return ok ? [start, valueEnd(text, look, quote, kind, text.length)] : undefined;
}

/** The whole of a text whose key says that it is a secret. */
export function wholeValue(text: string, before: string): [number, number] | undefined {
  const kind = before === '' || before.length > longestName ? undefined : kindOf(before);
  const value = text.slice(0, longestLook);
  return kind && isValue(value, kind, true) ? [0, text.length] : undefined;
}

/** Where a value without quotes ends. */
const ends = new Uint8Array(128);
for (const mark of ' \t\n\r"\'`<>,;&|)]}') ends[mark.charCodeAt(0)] = 1;

function valueEnd(text: string, start: number, quote: string, kind: 'password' | 'key', limit: number): number {
  // A password in quotes may hold anything but them.
  const quoted = quote !== '' && kind === 'password';
  const mark = quote === '' ? -1 : quote.charCodeAt(0);
  const last = Math.min(limit, text.length);
  let end = start;
  for (; end < last; end++) {
    const code = text.charCodeAt(end);
    if (code === 0x0a || code === 0x0d || code === mark) break;
    if (code === 0x5c && (quote !== '' || /["'nrt]/.test(text[end + 1] ?? ''))) break;
    if (!quoted && ends[code] === 1) break;
  }
  return end;
}

/** Neither a placeholder nor a word of a sentence. */
function isValue(value: string, kind: 'password' | 'key', adjacent: boolean): boolean {
  if (
    /^(?:null|none|nil|true|false|undefined|required|optional|string|number|boolean|yes|no|empty|redacted|hidden|masked|example|changeme|xxx+|\*+|\.\.\.|…)$/i.test(
      value,
    )
  ) {
    return false;
  }
  if (
    /^(?:\$|\{\{|<|%\(|%s|\[[a-z]\w*:[0-9a-f]{8}|process\.env|os\.environ|env\.|secrets\.|\*{3}|your[-_ ]|x{4})/i.test(
      value,
    )
  )
    return false;
  if (kind === 'password')
    return value.length >= shortestPassword && (adjacent || (/[^a-zäöüßéèñç.]/i.test(value) && isOddly(value)));
  return value.length >= shortestKey && isMixed(value) && !/\s/.test(value) && !/^[\w-]+\(/.test(value);
}

/** Something in it that words do not have: a digit, a mark, or capitals in the middle. */
const isOddly = (value: string) => /\d/.test(value) || /[!@#$%^&*+=?~]/.test(value) || /[a-z][A-Z]/.test(value);
