/** What a message is about: a tool, a prompt, a resource, a list of them, or none of these. */
import { ownMember } from '../mcp/methods.ts';
import type { PolicyInput } from './decision.ts';

export type Sort = 'tools' | 'prompts' | 'resources';

export interface Subject {
  readonly sort?: Sort;
  /** Absent though there is a sort: the message does not say, or not in one way only. */
  readonly name?: string;
}

const SORTS: ReadonlyMap<string, Sort> = new Map([
  ['tools/call', 'tools'],
  ['prompts/get', 'prompts'],
  ['resources/read', 'resources'],
  ['resources/subscribe', 'resources'],
  ['resources/unsubscribe', 'resources'],
  ['notifications/resources/updated', 'resources'],
]);

/** Methods that list, what they list, and the methods that use what is listed. */
export const LISTS: ReadonlyMap<string, { readonly sort: Sort; readonly uses: readonly string[] }> = new Map([
  ['tools/list', { sort: 'tools', uses: ['tools/call'] }],
  ['prompts/list', { sort: 'prompts', uses: ['prompts/get'] }],
  ['resources/list', { sort: 'resources', uses: ['resources/read', 'resources/subscribe'] }],
  ['resources/templates/list', { sort: 'resources', uses: ['resources/read', 'resources/subscribe'] }],
]);

/** Methods that a sort of names stands for where a rule writes no methods. */
export const IMPLIED: Readonly<Record<Sort, readonly string[]>> = {
  tools: ['tools/call', 'tools/list'],
  prompts: ['prompts/get', 'prompts/list', 'completion/complete'],
  resources: [
    'resources/list',
    'resources/templates/list',
    'resources/read',
    'resources/subscribe',
    'resources/unsubscribe',
    'completion/complete',
  ],
};

export function subjectOf({ method = '', name, params }: PolicyInput['message']): Subject {
  if (method === 'completion/complete') return subjectOfCompletion(ownMember(params, 'ref'));
  const sort = SORTS.get(method);
  if (sort === undefined) return {};
  return name === undefined || (sort === 'resources' && !isPlainUri(name)) ? { sort } : { sort, name };
}

/**
 * Whether every server takes an address to the same place: no dot segment, no escape for what needs none or for a
 * separator, no backslash, no white space that parsers drop, and its scheme in lower case (RFC 3986, section 6.2.2). A
 * glob compares to the letter, so any other spelling would pass a deny that names the resource, and leave a folder that
 * an allow names.
 */
function isPlainUri(uri: string): boolean {
  if (/[\\\p{Cc}\p{Cf}]|^ | $/u.test(uri) || /^[a-z0-9+.-]*[A-Z][A-Za-z0-9+.-]*:/.test(uri)) return false;
  if (
    /%(?![0-9a-fA-F]{2})|%(?:2[def]|25[0-9a-f]{2}|3[0-9]|4[1-9a-f]|5[0-9acf]|6[1-9a-f]|7[0-9ae]|[01][0-9a-f]|7f)/i.test(
      uri,
    )
  )
    return false;
  const [path = ''] = uri.split(/[?#]/, 1);
  return !path.split('/').some((segment) => segment === '.' || segment === '..');
}

/**
 * A reference has a type and one name of that type. A server may look at either, so one that has both names, or another
 * type, is of an unknown name.
 */
function subjectOfCompletion(ref: unknown): Subject {
  const type = ownMember(ref, 'type');
  const name = ownMember(ref, 'name');
  const uri = ownMember(ref, 'uri');
  if (type === 'ref/prompt') {
    return typeof name === 'string' && uri === undefined ? { sort: 'prompts', name } : { sort: 'prompts' };
  }
  if (type === 'ref/resource' && typeof uri === 'string' && name === undefined && isPlainUri(uri)) {
    return { sort: 'resources', name: uri };
  }
  return { sort: 'resources' };
}
