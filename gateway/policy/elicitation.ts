/**
 * URL elicitations: a server has a person open an address (2025-11-25, Elicitation, "URL mode"). A server that was taken
 * over would send them to a page that looks like one they know, so each address needs its host on the connection's list.
 */
import { domainToASCII } from 'node:url';
import { inputRequestsIn, membersOf } from '../mcp/input-requests.ts';
import { createLookalikes } from '../mcp/lookalike.ts';
import { ownMember } from '../mcp/methods.ts';

const inError = createLookalikes(['data']);
const inData = createLookalikes(['elicitations']);
const inElicitation = createLookalikes(['mode', 'url']);

/**
 * The hosts, in ASCII, to which a server's message sends a person; none where it holds no URL elicitation. `unreadable`:
 * it holds one whose address is not plainly https on the default port, or which two readers could understand unlike.
 *
 * Places: the request `elicitation/create`; `inputRequests` of a modern result, of a task in it, and of a notification
 * about a task; the error -32042. `message` is what JSON.parse gives.
 */
export function elicitationHostsIn(message: unknown): readonly string[] | 'unreadable' {
  const elicitations = elicitationsIn(message);
  if (elicitations === 'unreadable') return 'unreadable';
  const hosts = elicitations.map(hostOf).filter((host) => host !== 'none');
  return hosts.includes('unreadable') ? 'unreadable' : [...new Set(hosts)];
}

/** `true`, or the first host that is not on the list; `host` is absent where none could be read. */
export function mayElicit(message: unknown, hosts: readonly string[]): true | { readonly host?: string } {
  const found = elicitationHostsIn(message);
  if (found === 'unreadable') return {};
  const strange = found.find((host) => !hosts.includes(host));
  return strange === undefined ? true : { host: strange };
}

function elicitationsIn(message: unknown): readonly unknown[] | 'unreadable' {
  const inputs = inputRequestsIn(message);
  const error = ownMember(message, 'error');
  const data = ownMember(error, 'data');
  if (inputs === 'unreadable' || inError(error) || inData(data)) return 'unreadable';
  const isElicitation = ownMember(message, 'method') === 'elicitation/create';
  return [
    ...(isElicitation ? [ownMember(message, 'params')] : []),
    ...inputs.filter((one) => ownMember(one, 'method') === 'elicitation/create').map((one) => ownMember(one, 'params')),
    // Whatever the error's code is: a client may look for them alone.
    ...membersOf(ownMember(data, 'elicitations')),
  ];
}

/** A client that does not look at the mode may open the address of any, so whatever has one counts. */
function hostOf(elicitation: unknown): string {
  if (inElicitation(elicitation)) return 'unreadable';
  const mode = ownMember(elicitation, 'mode');
  const url = ownMember(elicitation, 'url');
  if (url === undefined) return mode === undefined || mode === 'form' ? 'none' : 'unreadable';
  return (typeof url === 'string' ? hostOfUrl(url) : undefined) ?? 'unreadable';
}

/**
 * The host of an address that every parser reads alike: no user, no other port, no backslash, white space or control
 * character, nothing that one of them would decode first.
 */
function hostOfUrl(url: string): string | undefined {
  const [, authority = ''] = /^https:\/\/([^/?#]+)(?:[/?#]|$)/i.exec(url) ?? [];
  if (authority === '' || /[\p{Cc}\p{Z}\\]/u.test(url) || /[@%[\]]/.test(authority)) return undefined;
  const written = authority.replace(/:443$/, '').toLowerCase();
  const host = domainToASCII(written);
  if (host === '' || !URL.canParse(url)) return undefined;
  // `0x0a000001` is 10.0.0.1 to a browser and a name to others.
  if (/^[\x21-\x7e]*$/.test(written) && host !== written) return undefined;
  const { hostname, protocol, port, username, password } = new URL(url);
  const plain = protocol === 'https:' && port === '' && username === '' && password === '';
  return plain && hostname === host ? host : undefined;
}
