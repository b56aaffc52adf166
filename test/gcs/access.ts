import { GcsError } from './error.ts';

export type Permission =
  | `storage.objects.${'create' | 'get' | 'list' | 'delete' | 'update'}`
  | `storage.buckets.${'get' | 'list' | 'create' | 'update' | 'delete'}`;

const OBJECTS: readonly Permission[] = [
  'storage.objects.create',
  'storage.objects.get',
  'storage.objects.list',
  'storage.objects.delete',
  'storage.objects.update',
];

/** What each predefined role holds, of what this double asks for. */
const ROLES = {
  'roles/storage.objectCreator': ['storage.objects.create'],
  'roles/storage.objectViewer': ['storage.objects.get', 'storage.objects.list'],
  'roles/storage.objectUser': OBJECTS,
  'roles/storage.objectAdmin': OBJECTS,
  'roles/storage.legacyObjectReader': ['storage.objects.get'],
  'roles/storage.legacyBucketReader': ['storage.buckets.get', 'storage.objects.list'],
  'roles/storage.legacyBucketWriter': [
    'storage.buckets.get',
    'storage.objects.create',
    'storage.objects.delete',
    'storage.objects.list',
  ],
  'roles/storage.admin': [
    ...OBJECTS,
    'storage.buckets.get',
    'storage.buckets.list',
    'storage.buckets.create',
    'storage.buckets.update',
    'storage.buckets.delete',
  ],
} as const satisfies Record<string, readonly Permission[]>;

export type Grant = keyof typeof ROLES | Permission;
/** Grants by identity (an e-mail address, or `anonymous`). */
export type Grants = Readonly<Record<string, readonly Grant[]>>;

export const ANONYMOUS = 'anonymous';

export interface Access {
  /** Bearer tokens and whose they are. */
  readonly tokens: Readonly<Record<string, string>>;
  /** What holds in every bucket, as a project's own grants do. */
  readonly project: Grants;
  /** What holds in one bucket, by its name; may be added to at any time. */
  readonly buckets: Map<string, Grants>;
}

/** Whose call it is. A token that nobody was given is refused, also where anonymous callers may. */
export function identify(access: Access, authorization: string | undefined): string {
  if (authorization === undefined) return ANONYMOUS;
  const token = /^Bearer (.+)$/i.exec(authorization)?.[1];
  const identity = token === undefined || !Object.hasOwn(access.tokens, token) ? undefined : access.tokens[token];
  if (identity === undefined) {
    throw new GcsError(401, 'authError', 'Invalid Credentials', {
      location: 'Authorization',
      headers: { 'www-authenticate': 'Bearer realm="https://accounts.google.com/", error=invalid_token' },
    });
  }
  return identity;
}

export function may(access: Access, identity: string, permission: Permission, bucket: string): boolean {
  return [access.project, access.buckets.get(bucket) ?? {}].some((grants) =>
    (Object.hasOwn(grants, identity) ? (grants[identity] ?? []) : []).some((grant) =>
      permissionsOf(grant).includes(permission),
    ),
  );
}

export function demand(access: Access, identity: string, permission: Permission, bucket: string): void {
  if (may(access, identity, permission, bucket)) return;
  const what = permission.startsWith('storage.objects.') && permission !== 'storage.objects.list' ? 'object' : 'bucket';
  const who = identity === ANONYMOUS ? 'Anonymous caller' : identity;
  throw new GcsError(
    identity === ANONYMOUS ? 401 : 403,
    identity === ANONYMOUS ? 'required' : 'forbidden',
    `${who} does not have ${permission} access to the Google Cloud Storage ${what}. ` +
      `Permission '${permission}' denied on resource (or it may not exist).`,
    identity === ANONYMOUS
      ? { location: 'Authorization', headers: { 'www-authenticate': 'Bearer realm="https://accounts.google.com/"' } }
      : {},
  );
}

function permissionsOf(grant: Grant): readonly Permission[] {
  return isRole(grant) ? ROLES[grant] : [grant];
}

function isRole(grant: Grant): grant is keyof typeof ROLES {
  return Object.hasOwn(ROLES, grant);
}
