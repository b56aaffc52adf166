/**
 * One text for one JSON value, whatever the order of its keys: RFC 8785 (JSON Canonicalization Scheme). Takes what
 * `JSON.parse` gives. Throws RangeError where it nests deeper than 128 levels, as parseStrictJson refuses it. Members that are
 * `undefined` are left out.
 */
export function canonicalJson(value: unknown, depth = 0): string {
  if (typeof value !== 'object' || value === null) return JSON.stringify(value) ?? 'null';
  if (depth > MOST_DEPTH) throw new RangeError('The JSON nests too deeply.');
  if (Array.isArray(value)) return `[${value.map((one) => canonicalJson(one, depth + 1)).join(',')}]`;
  // RFC 8785, section 3.2.3: keys in the order of their UTF-16 code units, which is how JavaScript sorts.
  const members = Object.entries(value)
    .filter(([, member]) => member !== undefined)
    .sort(([one], [other]) => (one < other ? -1 : 1))
    .map(([key, member]) => `${JSON.stringify(key)}:${canonicalJson(member, depth + 1)}`);
  return `{${members.join(',')}}`;
}

const MOST_DEPTH = 128;
