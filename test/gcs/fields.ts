import { GcsError } from './error.ts';

interface Selection {
  /** Undefined: all of it. */
  readonly members: Map<string, Selection> | undefined;
}

/** Google's partial responses: `items(name,size),nextPageToken`, `a/b`, `*`. */
export function selectFields(value: unknown, fields: string | null): unknown {
  return fields === null || fields === '' ? value : select(value, parse(fields));
}

function select(value: unknown, selection: Selection): unknown {
  const { members } = selection;
  if (members === undefined) return value;
  if (Array.isArray(value)) return value.map((item) => select(item, selection));
  if (value === null || typeof value !== 'object') return value;
  const kept: Record<string, unknown> = {};
  for (const [name, member] of Object.entries(value)) {
    const chosen = members.get(name) ?? members.get('*');
    if (chosen !== undefined) kept[name] = select(member, chosen);
  }
  return kept;
}

function parse(text: string): Selection {
  let at = 0;
  const bad = (): GcsError =>
    new GcsError(400, 'invalidParameter', `Invalid field selection ${text}`, { location: 'fields' });

  function list(): Selection {
    const members = new Map<string, Selection>();
    for (;;) {
      const [name, selection] = one();
      members.set(name, selection);
      if (text[at] !== ',') return { members };
      at++;
    }
  }

  function one(): [string, Selection] {
    const name = /^(\*|[A-Za-z0-9_]+)/.exec(text.slice(at))?.[0];
    if (name === undefined) throw bad();
    at += name.length;
    if (text[at] === '/') {
      at++;
      const [inner, selection] = one();
      return [name, { members: new Map([[inner, selection]]) }];
    }
    if (text[at] !== '(') return [name, { members: undefined }];
    at++;
    const inner = list();
    if (text[at++] !== ')') throw bad();
    return [name, inner];
  }

  const whole = list();
  if (at !== text.length) throw bad();
  return whole;
}
