/** Mistakes of the section `login` that no part of it can see alone. Reads the unparsed value, like all cross checks. */
import type { ConfigProblem } from './config-problems.ts';

type Add = (path: (string | number)[], problem: string, fix: string) => void;
type Members = Record<string, unknown>;

const NAME = /^[a-z][a-z0-9-]{0,62}$/;
const NAME_FIX = 'Write a lower-case letter, then up to 62 lower-case letters, digits or -.';

export function loginProblems(login: Members, connections: Readonly<Record<string, Members>>): ConfigProblem[] {
  const found: ConfigProblem[] = [];
  const add: Add = (path, problem, fix) => void found.push({ path: ['login', ...path], problem, fix });
  const providers = Object.entries(membersOf(login.providers));
  const clients = Object.entries(membersOf(login.clients));
  if (providers.length === 0 && !clients.some(([, client]) => membersOf(client).agent !== undefined)) {
    add(['providers'], 'lets nobody in', 'Name an identity provider, or a client that is an agent.');
  }
  domainProblems(providers, add);
  for (const [id, client] of clients) {
    const { agent, redirectUris } = membersOf(client);
    if (agent === undefined || !Array.isArray(redirectUris) || redirectUris.length === 0) continue;
    add(['clients', id, 'redirectUris'], 'is of no use to an agent', 'Take it out: an agent has no browser.');
  }
  for (const [name, connection] of Object.entries(connections)) {
    for (const [index, path] of (Array.isArray(connection.paths) ? connection.paths : []).entries()) {
      if (!/^\/oauth(\/|$)/.test(String(path))) continue;
      const fix = 'Choose another path: with login, /oauth in front of a connection is where its clients log in.';
      found.push({ path: ['connections', name, 'paths', index], problem: "is the gateway's own path", fix });
    }
  }
  return found;
}

/** With several providers the domain of an e-mail address says which one, so each has some and no two the same. */
function domainProblems(providers: readonly (readonly [string, unknown])[], add: Add): void {
  const taken = new Map<unknown, string>();
  for (const [name, provider] of providers) {
    if (!NAME.test(name)) add(['providers', name], 'is not a name', NAME_FIX);
    const { domains } = membersOf(provider);
    const own = Array.isArray(domains) ? domains : [];
    if (providers.length > 1 && own.length === 0) {
      const fix = 'There are several providers: name the e-mail domains whose people log in with this one.';
      add(['providers', name, 'domains'], 'is missing', fix);
    }
    for (const [index, domain] of own.entries()) {
      const other = taken.get(domain);
      if (other === undefined) taken.set(domain, name);
      else add(['providers', name, 'domains', index], `is one of ${other} already`, 'A domain has one provider.');
    }
  }
}

function membersOf(value: unknown): Members {
  return typeof value === 'object' && value !== null && !Array.isArray(value) ? (value as Members) : {};
}
