export const OPERATIONS = [
  'buckets.list',
  'buckets.insert',
  'buckets.get',
  'buckets.patch',
  'buckets.delete',
  'buckets.lockRetentionPolicy',
  'buckets.testIamPermissions',
  'objects.list',
  'objects.insert',
  'objects.get',
  'objects.getMedia',
  'objects.patch',
  'objects.delete',
  'objects.rewrite',
  'objects.compose',
  'uploads.start',
  'uploads.chunk',
  'uploads.status',
  'uploads.cancel',
] as const;

export type Operation = (typeof OPERATIONS)[number];

/** One call of the API. `bucket` and `object` are empty where an operation has none, or says it in its body. */
export interface Call {
  readonly operation: Operation;
  readonly bucket: string;
  readonly object: string;
  readonly query: URLSearchParams;
  readonly to?: { readonly bucket: string; readonly object: string };
}

/**
 * The client asks for `/b/…` where `STORAGE_EMULATOR_HOST` is set and for `/storage/v1/b/…` where `apiEndpoint` is;
 * uploads go to `/upload/storage/v1/b/…` in both.
 */
export function route(method: string, url: URL, contentRange: string | undefined): Call | undefined {
  const upload = /^\/upload\/storage\/v1\/b\/([^/]+)\/o$/.exec(url.pathname);
  if (upload !== null) return routeUpload(method, decoded(upload[1]), url.searchParams, contentRange);
  const path = url.pathname.replace(/^(\/download)?\/storage\/v1(?=\/)/, '');
  const [empty, b, bucket, o, object, ...rest] = path.split('/').map(decoded);
  if (empty !== '' || b !== 'b') return undefined;
  const call = (operation: Operation): Call => ({
    operation,
    bucket: bucket ?? '',
    object: object ?? '',
    query: url.searchParams,
  });
  if (bucket === undefined)
    return method === 'GET' ? call('buckets.list') : method === 'POST' ? call('buckets.insert') : undefined;
  if (o === undefined) {
    if (method === 'GET') return call('buckets.get');
    if (method === 'PATCH') return call('buckets.patch');
    return method === 'DELETE' ? call('buckets.delete') : undefined;
  }
  if (o === 'lockRetentionPolicy' && object === undefined && method === 'POST')
    return call('buckets.lockRetentionPolicy');
  if (o === 'iam' && object === 'testPermissions' && rest.length === 0 && method === 'GET')
    return call('buckets.testIamPermissions');
  if (o !== 'o') return undefined;
  if (object === undefined) return method === 'GET' ? call('objects.list') : undefined;
  if (rest.length === 0) {
    if (method === 'GET') return call(url.searchParams.get('alt') === 'media' ? 'objects.getMedia' : 'objects.get');
    if (method === 'PATCH') return call('objects.patch');
    return method === 'DELETE' ? call('objects.delete') : undefined;
  }
  if (method !== 'POST') return undefined;
  if (rest.length === 1 && rest[0] === 'compose') return call('objects.compose');
  const [verb, toB, toBucket, toO, toObject, ...more] = rest;
  if (more.length > 0 || verb === undefined || !/^(rewriteTo|copyTo)$/.test(verb) || toB !== 'b' || toO !== 'o')
    return undefined;
  if (toBucket === undefined || toObject === undefined) return undefined;
  return { ...call('objects.rewrite'), to: { bucket: toBucket, object: toObject } };
}

function routeUpload(
  method: string,
  bucket: string,
  query: URLSearchParams,
  contentRange: string | undefined,
): Call | undefined {
  const call = (operation: Operation): Call => ({ operation, bucket, object: query.get('name') ?? '', query });
  if (query.has('upload_id')) {
    if (method === 'DELETE') return call('uploads.cancel');
    if (method !== 'PUT' && method !== 'POST') return undefined;
    return call(/^bytes \*\//.test(contentRange ?? '') ? 'uploads.status' : 'uploads.chunk');
  }
  if (method !== 'POST') return undefined;
  return call(query.get('uploadType') === 'resumable' ? 'uploads.start' : 'objects.insert');
}

function decoded(segment: string | undefined): string {
  try {
    return decodeURIComponent(segment ?? '');
  } catch {
    return '';
  }
}
