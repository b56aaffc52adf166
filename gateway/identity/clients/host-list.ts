/**
 * Whether a host is on a list of the configuration: `claude.ai` alone, `*.example.com` for all below it, `*` for any.
 * `host` is lower case, as `new URL` gives it, with a port only where that is not the scheme's own; such a port has to
 * be on the list with its host, since another port is another program.
 */
export function isListedHost(host: string, list: readonly string[]): boolean {
  if (list.includes(host)) return true;
  if (/:\d+$/.test(host)) return false;
  return list.some((one) => one === '*' || (one.startsWith('*.') && host.endsWith(one.slice(1))));
}
