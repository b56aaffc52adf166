import { lookup as dnsLookup, type LookupAddress } from 'node:dns';
import { isIP, isIPv4, isIPv6, type LookupFunction } from 'node:net';
import { GatewayError } from '../errors.ts';

/** What an address is good for. `metadata` is a cloud's credential endpoint: the worst thing to let a caller reach. */
export type AddressClass =
  | 'public'
  | 'private'
  | 'loopback'
  | 'linkLocal'
  | 'metadata'
  | 'unspecified'
  | 'multicast'
  | 'reserved';

/** The classes that a connection may open by `allowAddresses`; public and private are open, all others never. */
export type AllowableAddress = 'loopback' | 'linkLocal' | 'metadata';

// Google and most others, ECS tasks, EKS pods, Alibaba, Oracle, Azure's wire server.
const METADATA_V4 = new Set([
  '169.254.169.254',
  '169.254.170.2',
  '169.254.170.23',
  '100.100.100.200',
  '192.0.0.192',
  '168.63.129.16',
]);
// Google (fd20:ce::254) and AWS (fd00:ec2::254, and ::23 for pods), as eight groups.
const METADATA_V6 = new Set(['fd20:ce:0:0:0:0:0:254', 'fd00:ec2:0:0:0:0:0:254', 'fd00:ec2:0:0:0:0:0:23']);

/** Address, prefix length, class. The first match holds. IANA's special-purpose registries (RFC 6890). */
const RANGES_V4: readonly (readonly [string, number, AddressClass])[] = [
  ['0.0.0.0', 8, 'unspecified'],
  ['10.0.0.0', 8, 'private'],
  ['100.64.0.0', 10, 'private'],
  ['127.0.0.0', 8, 'loopback'],
  ['169.254.0.0', 16, 'linkLocal'],
  ['172.16.0.0', 12, 'private'],
  ['192.0.0.0', 24, 'reserved'],
  ['192.0.2.0', 24, 'reserved'],
  ['192.88.99.0', 24, 'reserved'],
  ['192.168.0.0', 16, 'private'],
  ['198.18.0.0', 15, 'reserved'],
  ['198.51.100.0', 24, 'reserved'],
  ['203.0.113.0', 24, 'reserved'],
  ['224.0.0.0', 4, 'multicast'],
  ['240.0.0.0', 4, 'reserved'],
];

/**
 * The class of an IP address in text. IPv6 forms that carry an IPv4 address (mapped, compatible, translated, NAT64,
 * 6to4) are what their IPv4 address is, since that is where the packet may end. What is no address is `reserved`.
 */
export function classifyAddress(ip: string): AddressClass {
  const address = ip.replace(/%.*$/s, '');
  if (isIPv4(address)) return classifyV4(address);
  if (isIPv6(address)) return classifyV6(groupsOf(address));
  return 'reserved';
}

/** The class of a URL's host as `new URL` normalised it, where it shows without asking DNS. */
export function classifyHost(hostname: string): AddressClass | undefined {
  const host = hostname
    .toLowerCase()
    .replace(/^\[(.*)\]$/, '$1')
    .replace(/\.$/, '');
  if (isIP(host) !== 0) return classifyAddress(host);
  if (host === 'localhost' || host.endsWith('.localhost')) return 'loopback';
  if (host === 'metadata' || host === 'metadata.google.internal' || host === 'metadata.goog') return 'metadata';
  return undefined;
}

/** Whether a connection with this `allowAddresses` may connect to an address of this class. */
export function mayConnect(kind: AddressClass, allow: readonly string[]): boolean {
  if (kind === 'public' || kind === 'private') return true;
  return (kind === 'loopback' || kind === 'linkLocal' || kind === 'metadata') && allow.includes(kind);
}

type Resolve = (hostname: string) => Promise<readonly LookupAddress[]>;

const resolveBySystem: Resolve = (hostname) =>
  new Promise((done, failed) => {
    dnsLookup(hostname, { all: true, order: 'verbatim' }, (error, found) => (error ? failed(error) : done(found)));
  });

/**
 * A `lookup` for `net.connect`, `tls.connect` and undici's `connect` that hands out only checked addresses, so that
 * what was checked is what is connected (no second resolution for DNS rebinding to win).
 *
 * One refused address refuses the name: a mixed answer is an attack or a mistake, and picking from it hides both.
 * The callback gets `GatewayError('upstream_address_refused')` then, and the resolver's own error where it failed.
 * Node calls no `lookup` where the host is an IP literal: config.ts checks those, with the same two functions.
 */
export function createPinnedLookup(allow: readonly string[], resolve: Resolve = resolveBySystem): LookupFunction {
  return (hostname, options, callback) => {
    // The error's type is Node's; a GatewayError needs none of its optional members.
    const answer = callback as (error: Error | null, address: string | LookupAddress[], family?: number) => void;
    checkedAddresses(hostname, allow, resolve).then(
      (checked) => {
        const family = options.family === 'IPv4' ? 4 : options.family === 'IPv6' ? 6 : options.family || 0;
        const usable = family === 0 ? checked : checked.filter((one) => one.family === family);
        const [first] = usable;
        if (first === undefined) answer(new GatewayError('upstream_unreachable'), []);
        else if (options.all) answer(null, usable);
        else answer(null, first.address, first.family);
      },
      (error: Error) => answer(error, []),
    );
  };
}

async function checkedAddresses(
  hostname: string,
  allow: readonly string[],
  resolve: Resolve,
): Promise<LookupAddress[]> {
  const byName = classifyHost(hostname);
  if (byName !== undefined && !mayConnect(byName, allow)) throw new GatewayError('upstream_address_refused');
  const found = await resolve(hostname);
  if (found.some((one) => !mayConnect(classifyAddress(one.address), allow))) {
    throw new GatewayError('upstream_address_refused');
  }
  return found.map(({ address, family }) => ({ address, family }));
}

function classifyV4(address: string): AddressClass {
  if (METADATA_V4.has(address)) return 'metadata';
  const bits = numberOf(address);
  for (const [network, length, kind] of RANGES_V4) {
    const shift = 2 ** (32 - length);
    if (Math.floor(bits / shift) === Math.floor(numberOf(network) / shift)) return kind;
  }
  return 'public';
}

function classifyV6(groups: readonly number[]): AddressClass {
  if (METADATA_V6.has(groups.map((group) => group.toString(16)).join(':'))) return 'metadata';
  const [a = 0, b = 0, c = 0, d = 0, e = 0, f = 0, g = 0, h = 0] = groups;
  const embedded = (high: number, low: number) => classifyV4([high >> 8, high & 255, low >> 8, low & 255].join('.'));
  if ((a | b | c | d) === 0) {
    if ((e | f | g) === 0 && h === 1) return 'loopback';
    if ((e | f | g | h) === 0) return 'unspecified';
    // ::ffff:0:0/96 mapped, ::/96 compatible (RFC 4291), ::ffff:0:0:0/96 translated (RFC 7915).
    if ((e === 0 && (f === 0xffff || f === 0)) || (e === 0xffff && f === 0)) return embedded(g, h);
    return 'reserved';
  }
  if (a === 0x64 && b === 0xff9b) return (c | d | e | f) === 0 ? embedded(g, h) : 'reserved'; // NAT64, RFC 6052
  if (a === 0x2002) return embedded(b, c); // 6to4, RFC 3056
  if (a >>> 8 === 0xff) return 'multicast';
  if (a >>> 6 === 0xfe80 >>> 6) return 'linkLocal';
  if (a >>> 9 === 0xfc00 >>> 9) return 'private';
  if (a === 0x2001 && (b < 0x200 || b === 0xdb8)) return 'reserved'; // Teredo and others, documentation
  if (a === 0x3fff && b < 0x1000) return 'reserved';
  return a >>> 13 === 1 ? 'public' : 'reserved';
}

function numberOf(address: string): number {
  return address.split('.').reduce((sum, part) => sum * 256 + Number(part), 0);
}

/** The eight groups of an address that `isIPv6` accepted. */
export function groupsOf(address: string): number[] {
  const hex = address.replace(/(\d+)\.(\d+)\.(\d+)\.(\d+)$/, (_, a, b, c, d) =>
    [Number(a) * 256 + Number(b), Number(c) * 256 + Number(d)].map((group) => group.toString(16)).join(':'),
  );
  const [head = '', tail] = hex.split('::');
  const left = head === '' ? [] : head.split(':');
  const right = tail === undefined || tail === '' ? [] : tail.split(':');
  const zeros = tail === undefined ? 0 : 8 - left.length - right.length;
  return [...left, ...Array<string>(zeros).fill('0'), ...right].map((group) => Number.parseInt(group, 16));
}
