import { isAlphanumeric, type Reading, type Report } from './reading.ts';

/** What the base64url of `{"`, `{ "`, `{\n` and the like begins with. */
export const OPENINGS = ['ey', 'ew'];

/** Of `{"alg":""}`. */
const shortestHeader = 14;
const longestHeader = 16_384;

const isBase64url = (code: number) => isAlphanumeric(code) || code === 0x2d || code === 0x5f;

function partEnd(text: string, start: number): number {
  let end = start;
  while (end < text.length && isBase64url(text.charCodeAt(end))) end++;
  return end;
}

/** JSON Web Tokens: three parts (RFC 7515), or five (RFC 7516), the first of which decodes to JSON with `alg`. */
export function findJwts({ text, tokens }: Reading, report: Report): void {
  let done = 0;
  for (const start of tokens) {
    if (start < done || text[start] !== 'e' || (text[start + 1] !== 'y' && text[start + 1] !== 'w')) continue;
    const header = partEnd(text, start);
    // What follows one header's letters is of the same run: it is not looked at again.
    done = header;
    if (text[header] !== '.' || header - start > longestHeader || header - start < shortestHeader) continue;
    const payload = partEnd(text, header + 1);
    if (text[payload] !== '.' || !hasAlg(text.slice(start, header))) continue;
    let end = partEnd(text, payload + 1);
    if (text[end] === '.') {
      const cipher = partEnd(text, end + 1);
      if (text[cipher] === '.' && cipher > end + 1) end = partEnd(text, cipher + 1);
    }
    report(start, end);
    done = end;
  }
}

function hasAlg(part: string): boolean {
  try {
    const json = Buffer.from(part, 'base64url').toString('utf8');
    // Failing to parse costs more than all else here.
    if (!json.includes('"alg"')) return false;
    const header: unknown = JSON.parse(json);
    return typeof header === 'object' && header !== null && 'alg' in header && typeof header.alg === 'string';
  } catch {
    return false;
  }
}
