/** Makes of a configuration's section `login` what serves it: reads the secrets, refuses what can't work. */
import type { default as Provider } from 'oidc-provider';
import type { Config } from '../../config.ts';
import type { LoginConfig } from '../../config-login.ts';
import { createGoogleApi } from '../../google-api.ts';
import { createGoogleSecrets } from '../../google-secret.ts';
import { readReferenced, readSecret } from '../../secret-ref.ts';
import type { Store } from '../../store/store.ts';
import { createEntraProvider } from '../broker/entra.ts';
import { createGoogleProvider } from '../broker/google.ts';
import type { IdentityProvider } from '../broker/identity-provider.ts';
import { createOidcProvider } from '../broker/oidc.ts';
import { createClients } from '../clients/clients.ts';
import type { DocumentFailure } from '../clients/document-fetch.ts';
import { createMetadataDocuments } from '../clients/metadata-document.ts';
import { type ReadReferences, registeredClients } from '../clients/registered.ts';
import type { Keyring } from '../keyring.ts';
import type { Login, NamedProvider } from './login.ts';

export interface OpenLoginDeps {
  readonly state: Store;
  /** Milliseconds since the epoch. */
  readonly now: () => number;
  readonly keyring: Keyring;
  /** A client's metadata document could not be read, or is not acceptable. */
  documentFailed(host: string, failure: DocumentFailure): void;
  /** The authorization server of one connection. */
  serverOf(login: Login, connection: string): Promise<Provider>;
}

/** Throws in words, without a secret in them, where the configuration can't take force. Opens no socket. */
export async function openLogin(config: Config, settings: LoginConfig, deps: OpenLoginDeps): Promise<Login> {
  const { state, now, keyring } = deps;
  const secrets = createGoogleSecrets(createGoogleApi({ google: config.google }));
  const servers = new Map<string, Promise<Provider>>();
  const { clientMetadataHosts: hosts, redirectHosts, registration } = settings;
  const login: Login = {
    config,
    settings,
    keyring,
    providers: await openProviders(config, settings, { state, now, secrets }),
    clients: createClients({
      registered: registeredClients(settings.clients, await readClientReferences(settings, secrets)),
      documents: createMetadataDocuments({ hosts, redirectHosts, now, failed: deps.documentFailed }),
      registration: registration === 'on' ? { keyring, redirectHosts } : undefined,
    }),
    serverOf(connection) {
      const server = servers.get(connection) ?? deps.serverOf(login, connection);
      servers.set(connection, server);
      return server;
    },
  };
  return login;
}

type Secrets = ReturnType<typeof createGoogleSecrets>;

async function openProviders(
  config: Config,
  settings: LoginConfig,
  { state, now, secrets }: { state: Store; now: () => number; secrets: Secrets },
): Promise<ReadonlyMap<string, NamedProvider>> {
  const { publicUrl } = config;
  const opened = new Map<string, NamedProvider>();
  for (const [name, { title = name, domains, oidc, google, entra, saml }] of Object.entries(settings.providers)) {
    const secretOf = (ref: string) => async (): Promise<string> => (await readSecret(ref, { secrets })).value;
    let protocol: IdentityProvider | undefined;
    if (oidc !== undefined) {
      protocol = createOidcProvider({ name, config: oidc, clientSecret: secretOf(oidc.clientSecret), now });
    }
    if (saml !== undefined) {
      // Most have none, and its parsers take their time to load.
      const { createSamlProvider } = await import('../broker/saml.ts');
      const certificates = await Promise.all(saml.certificates.map((ref) => readReferenced(ref, { secrets })));
      protocol = createSamlProvider({ name, config: saml, publicUrl, certificates, state, now });
    }
    if (google !== undefined) {
      const clientSecret = secretOf(google.clientSecret);
      protocol = createGoogleProvider({ name, config: google, clientSecret, google: config.google, now });
    }
    if (entra !== undefined) {
      protocol = createEntraProvider({ name, config: entra, clientSecret: secretOf(entra.clientSecret), now });
    }
    if (protocol === undefined) throw new Error(`login.providers.${name} is of a kind that is not known here.`);
    opened.set(name, { name, title, domains, protocol });
  }
  return opened;
}

async function readClientReferences(settings: LoginConfig, secrets: Secrets): Promise<Record<string, ReadReferences>> {
  const entries = Object.entries(settings.clients).map(async ([id, { secret, jwks }]) => {
    const read: ReadReferences = {
      ...(secret === undefined ? {} : { secret: (await readSecret(secret, { secrets })).value }),
      ...(jwks === undefined ? {} : { jwks: await readReferenced(jwks, { secrets }) }),
    };
    return [id, read] as const;
  });
  return Object.fromEntries(await Promise.all(entries));
}
