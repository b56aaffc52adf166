/** How tokens of vendors look: a prefix that says whose, and what follows it. */

/** `w`: letters, digits, `_`, `-`; `a`: letters and digits; `u`: capitals and digits; `h`: hexadecimal; `d`: digits; `b`: base64; `.`: `w` and dots; `t`: all of a bearer token (RFC 6750). */
type Set = 'w' | 'a' | 'u' | 'h' | 'd' | 'b' | '.' | 't';

export interface Token {
  readonly prefix: string;
  readonly set: Set;
  readonly least: number;
  /** Longer ones are something else. */
  readonly most: number;
  /** Letters of both cases, or a letter and a digit, have to be there: a name in words looks like it. */
  readonly mixed: boolean;
}

const any = 4096;

/** `prefix set least[-most][!]`; `!`: mixed. Sources: the vendors' own pages on the formats of their tokens. */
const LIST = `
  AKIA u 16-16 | ASIA u 16-16 | ABIA u 16-16 | ACCA u 16-16 | ABSK b 80
  AIza w 35-35 | ya29. . 20 | GOCSPX- w 20 | 1//0 w 30 | AQ.A . 40!
  ghp_ a 30 | gho_ a 30 | ghu_ a 30 | ghs_ . 30 | ghr_ a 30 | github_pat_ w 22
  glpat- . 20 | gldt- w 20 | glrt- . 20 | glptt- w 20 | glft- w 20 | glsoat- w 20 | glcbt- w 20 | glimt- w 20 | glagent- w 20 | gloas- w 20 | glffct- w 20 | GR1348941 w 20
  xoxb- w 10 | xoxp- w 10 | xoxa- w 10 | xoxr- w 10 | xoxs- w 10 | xoxo- w 10 | xoxc- w 10 | xoxd- w 10 | xoxe- w 10 | xoxe.xox . 10 | xapp- w 10 | xwfp- w 10
  sk_live_ a 10 | sk_test_ a 10 | rk_live_ a 10 | rk_test_ a 10 | whsec_ b 20
  sk-proj- w 20! | sk-svcacct- w 20! | sk-admin- w 20! | sk-None- w 20! | sk-ant- w 20! | sk-or- w 20! | sk- a 32!
  SG. . 60 | SK h 32-32 | npm_ a 36-36 | pypi- w 50 | rubygems_ h 48-48 | cio a 32-32! | oy2 a 43-43 | dckr_pat_ w 20 | dckr_oat_ w 20
  dop_v1_ h 64-64 | doo_v1_ h 64-64 | dor_v1_ h 64-64
  hvs. w 24 | hvb. w 24 | hvr. w 24 | dapi h 32-32 | dkea h 32-32 | dose h 32-32
  shpat_ h 32-32 | shpca_ h 32-32 | shppa_ h 32-32 | shpss_ h 32-32 | shptka_ h 32-32
  key- h 32-32 | pubkey- h 32-32
  hf_ a 30 | r8_ a 30! | gsk_ a 40 | xai- a 60 | pplx- a 40 | nvapi- w 60 | ntn_ a 40 | secret_ a 43-43! | lin_api_ a 32
  figd_ w 40 | PMAK- w 50 | glsa_ w 32 | glc_ b 40 | NRAK- u 27-27 | sntrys_ b 60 | sntryu_ h 64-64
  dp.pt. a 40 | dp.st. . 40 | dp.ct. a 40 | fo1_ w 40 | sbp_ h 40-40 | sb_secret_ w 20 | pscale_tkn_ w 30 | pscale_pw_ w 30 | pscale_oauth_ w 30
  sq0atp- w 22-22 | sq0csp- w 43-43 | ATATT3x w 60 | ATCTT3x w 60 | ATBB a 32-32 | CFPAT- w 40 | pul- h 40-40 | CCIPAT_ w 40 | bkua_ h 40-40
  hooks.slack.com/services/ b 30 | discord.com/api/webhooks/ b 60 | discordapp.com/api/webhooks/ b 60
  dt0c01. . 80 | AGE-SECRET-KEY-1 u 58-58 | HRKU- w 36 | rdme_ a 60 | tskey- w 20 | phx_ w 40 | EZAK a 54-54 | EAAA w 60! | CLOJARS_ a 60 | shippo_live_ h 40-40 | duffel_live_ w 40 | live_ a 40!
`;

export const TOKENS: readonly Token[] = LIST.split(/[|\n]/)
  .map((entry) => /^(\S+) ([wauhdb.]) (\d+)(?:-(\d+))?(!?)$/.exec(entry.trim()))
  .filter((entry) => entry !== null)
  .map(([, prefix = '', set, least, most, mixed]) => ({
    prefix,
    set: set as Set,
    least: Number(least),
    most: most === undefined ? any : Number(most),
    mixed: mixed === '!',
  }));

const members: Readonly<Record<Set, RegExp>> = {
  w: /[\w-]/,
  a: /[A-Za-z0-9]/,
  u: /[A-Z0-9]/,
  h: /[0-9A-Fa-f]/,
  d: /\d/,
  b: /[A-Za-z0-9+/=_-]/,
  '.': /[\w.-]/,
  t: /[\w.~+/=-]/,
};

const sets = Object.fromEntries(
  Object.entries(members).map(([name, member]) => {
    const set = new Uint8Array(128);
    for (let code = 0; code < 128; code++) set[code] = member.test(String.fromCharCode(code)) ? 1 : 0;
    return [name, set];
  }),
) as Readonly<Record<Set, Uint8Array>>;

/** As far as the characters of a set go, or one more than `most`. */
export function runEnd(text: string, start: number, set: Set, most = any): number {
  const codes = sets[set];
  const limit = Math.min(text.length, start + most + 1);
  let end = start;
  while (end < limit && codes[text.charCodeAt(end)] === 1) end++;
  return end;
}

/** Whether a text looks drawn by lot: a digit, and letters. */
export function isMixed(text: string): boolean {
  return /\d/.test(text) && /[A-Za-z]/.test(text);
}

const byOpening = new Map<string, Token[]>();
for (const token of TOKENS) {
  const opening = token.prefix.slice(0, 2);
  byOpening.set(opening, [...(byOpening.get(opening) ?? []), token]);
}

/** The first two characters of every prefix. */
export const OPENINGS: readonly string[] = [...byOpening.keys()];

/** The end of the token that starts here, or -1. */
export function tokenEnd(text: string, start: number): number {
  for (const { prefix, set, least, most, mixed } of byOpening.get(text.slice(start, start + 2)) ?? []) {
    if (!text.startsWith(prefix, start)) continue;
    const body = start + prefix.length;
    let end = runEnd(text, body, set, most);
    if (end - body < least || end - body > most) continue;
    // A full stop is of the sentence.
    while (text[end - 1] === '.') end--;
    if (mixed && !isMixed(text.slice(body, end))) continue;
    return end;
  }
  return -1;
}
