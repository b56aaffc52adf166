/** What one configuration makes of its section `login`: keys, identity providers, clients, an authorization server each. */
import type { default as Provider } from 'oidc-provider';
import type { Config } from '../../config.ts';
import type { LoginConfig } from '../../config-login.ts';
import { type IdentityProvider, LoginRefused } from '../broker/identity-provider.ts';
import type { Clients } from '../clients/clients.ts';
import type { Keyring } from '../keyring.ts';

export interface NamedProvider {
  readonly name: string;
  /** For people. */
  readonly title: string;
  readonly domains: readonly string[];
  readonly protocol: IdentityProvider;
}

export interface Login {
  readonly config: Config;
  readonly settings: LoginConfig;
  readonly keyring: Keyring;
  readonly providers: ReadonlyMap<string, NamedProvider>;
  readonly clients: Clients;
  /** The authorization server of a connection; made at its first use. */
  serverOf(connection: string): Promise<Provider>;
}

/** Throws `LoginRefused` where a person of this domain does not log in with this provider. */
export function checkDomain({ domains, title }: NamedProvider, { email }: { readonly email?: string }): void {
  const domain = domainOf(email);
  if (domains.length === 0 || (domain !== undefined && domains.includes(domain))) return;
  const whose = email ?? 'Your account';
  throw new LoginRefused(
    'domain_not_allowed',
    `${whose} is of a domain whose people do not log in with ${title} here.`,
  );
}

/** The provider of an e-mail address's domain; the only one where there is one. */
export function providerFor(login: Login, email: string | undefined): NamedProvider | undefined {
  const all = [...login.providers.values()];
  if (all.length === 1) return all[0];
  const domain = domainOf(email);
  return domain === undefined ? undefined : all.find(({ domains }) => domains.includes(domain));
}

/** Of the last `@`; undefined where it is no address. */
function domainOf(email: string | undefined): string | undefined {
  const [, domain] = /^[^@\s]+@([^@\s]+)$/.exec(email ?? '') ?? [];
  return domain?.toLowerCase();
}
