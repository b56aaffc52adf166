/**
 * Where in a message what stands: which strings are the protocol's own, and where binary content is. By path, so that a
 * tool's own `structuredContent.id` is content while the message's `id` is not. What is not here is content.
 *
 * Names are those of schema/2024-11-05 to schema/2026-07-28 and of the tasks extension (SEP-2663).
 */

export interface Place {
  /**
   * A string here is the protocol's: changed, it would mean another thing or nothing. An array or object here is not
   * what the specification puts there, and is content again.
   */
  readonly kept?: true;
  /** An array of such strings is as well. */
  readonly list?: true;
  /** So is all that is in an array or object here. */
  readonly deep?: true;
  /** Members of an object here; the elements of an array stand in the place of the array itself. */
  readonly members?: ReadonlyMap<string, Place>;
  /** Members of other names. */
  readonly others?: Place;
  /** The member of an object here that can be binary content in base64. */
  readonly binary?: 'data' | 'blob';
}

export const CONTENT: Place = {};
const KEPT: Place = { kept: true };
const KEPT_LIST: Place = { kept: true, list: true };
const KEPT_DEEP: Place = { kept: true, deep: true };

function members(of: Record<string, Place>): ReadonlyMap<string, Place> {
  return new Map(Object.entries(of));
}

function kept(...names: string[]): Record<string, Place> {
  return Object.fromEntries(names.map((name) => [name, KEPT]));
}

/** Written out: what is not in the specification is an upstream's own, whatever its prefix. */
const META: Place = {
  members: members({
    progressToken: KEPT,
    ...Object.fromEntries(
      [
        'protocolVersion',
        'clientInfo',
        'clientCapabilities',
        'serverInfo',
        'logLevel',
        'subscriptionId',
        'related-task',
      ].map((name) => [`io.modelcontextprotocol/${name}`, KEPT_DEEP]),
    ),
  }),
};

const RESOURCE: Place = { binary: 'blob', members: members({ ...kept('mimeType'), _meta: META }) };

const BLOCK_MEMBERS = { ...kept('type', 'mimeType'), _meta: META, resource: RESOURCE };
/** A content block; the one of a tool's result in a sampling message holds blocks itself. */
const BLOCK: Place = {
  binary: 'data',
  members: members({
    ...BLOCK_MEMBERS,
    content: { binary: 'data', members: members(BLOCK_MEMBERS) },
  }),
};

/** Of prompts and of sampling. */
const TALK: Place = { members: members({ content: BLOCK }) };

const ERROR: Place = {
  members: members({
    data: { members: members({ elicitations: { members: members(kept('elicitationId')) } }) },
  }),
};

const resultMembers = new Map<string, Place>();
/** A result, and a task, which can hold one. */
const RESULT: Place = { members: resultMembers };

const serverParams = {
  ...kept('progressToken', 'requestId', 'requestState', 'taskId', 'elicitationId', 'cursor', 'protocolVersion'),
  _meta: META,
  messages: TALK,
  task: RESULT,
  result: RESULT,
  error: ERROR,
};

/** What a server asks along with an unfinished result, by names of its own choice. */
const ASKED: Place = {
  others: { members: members({ ...kept('method'), params: { members: members(serverParams) } }) },
};

const clientParams = {
  ...serverParams,
  ...kept('name', 'uri'),
  ref: { members: members(kept('type', 'name', 'uri')) },
  notifications: { members: members({ taskIds: KEPT_LIST, resourceSubscriptions: KEPT_LIST }) },
  inputResponses: { others: RESULT },
};

for (const [name, place] of Object.entries({
  ...kept('resultType', 'requestState', 'nextCursor', 'protocolVersion', 'taskId', 'elicitationId'),
  _meta: META,
  content: BLOCK,
  contents: RESOURCE,
  messages: TALK,
  task: RESULT,
  tasks: RESULT,
  result: RESULT,
  error: ERROR,
  inputRequests: ASKED,
})) {
  resultMembers.set(name, place);
}

function message(params: Record<string, Place>): Place {
  return {
    members: members({
      ...kept('jsonrpc', 'id', 'method'),
      params: { members: members(params) },
      result: RESULT,
      error: ERROR,
    }),
  };
}

/** A message, or an array of them, by who sends it. */
export const MESSAGE: Readonly<Record<'request' | 'response', Place>> = {
  request: message(clientParams),
  response: message({ ...serverParams, inputRequests: ASKED }),
};

/** The place of a member of an object in this place. */
export function placeOfMember(place: Place, key: string): { readonly place: Place; readonly named: boolean } {
  if (place.deep) return { place, named: true };
  const member = place.members?.get(key);
  return { place: member ?? place.others ?? CONTENT, named: member !== undefined };
}

/** The place of an array or object that stands where this place is. */
export function placeInside(place: Place, isObject: boolean): Place {
  if (!place.kept || place.deep) return place;
  // Once: a list of lists is content.
  return place.list && !isObject ? KEPT : CONTENT;
}
