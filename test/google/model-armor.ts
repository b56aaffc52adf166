import { GoogleError } from './answer.ts';
import type { Answering, Ground } from './google.ts';

/** What a text that holds these words matches. */
export const MARKS = {
  injection: 'MARK-injection',
  dangerous: 'MARK-dangerous',
  sensitive: 'MARK-sensitive',
  uri: 'MARK-uri',
  /** The service fails at one of its filters, and finds nothing with the others. */
  partial: 'MARK-partial',
} as const;

export interface ModelArmorDouble {
  readonly answer: Answering;
  /** Names of templates that there are. */
  readonly templates: Set<string>;
  /** Templates that say that filters which fail do not matter. */
  readonly lenient: Set<string>;
  /** Which method was asked, and with what: a test looks here at what has left the gateway. */
  readonly asked: { readonly method: string; readonly template: string; readonly text: string }[];
}

/** Of a text; beyond it filters are skipped. */
const MOST_CHARACTERS = 40_000;

/** Values of enumerations in numbers, as a client asks for them. */
const NUMBERS: Readonly<Record<string, number>> = {
  NO_MATCH_FOUND: 1,
  MATCH_FOUND: 2,
  EXECUTION_SUCCESS: 1,
  EXECUTION_SKIPPED: 2,
  SUCCESS: 1,
  PARTIAL: 2,
  SEXUALLY_EXPLICIT: 2,
  HATE_SPEECH: 3,
  HARASSMENT: 6,
  DANGEROUS: 17,
  HIGH: 3,
  ERROR: 3,
};

/** https://cloud.google.com/model-armor/reference/rest/v1/projects.locations.templates */
export function createModelArmorDouble({ ownToken }: Ground): ModelArmorDouble {
  const templates = new Set<string>();
  const lenient = new Set<string>();
  const asked: { method: string; template: string; text: string }[] = [];
  return {
    templates,
    lenient,
    asked,
    answer(request, url, body) {
      if (request.method !== 'POST' || request.headers['content-type'] !== 'application/json') {
        throw new GoogleError(400, 'INVALID_ARGUMENT');
      }
      if (request.headers.authorization !== `Bearer ${ownToken()}`) throw new GoogleError(401, 'UNAUTHENTICATED');
      const [, template = '', method = ''] = /^\/v1\/(.+):(\w+)$/.exec(url.pathname) ?? [];
      if (!templates.has(template)) throw new GoogleError(404, 'NOT_FOUND');
      const text = textIn(JSON.parse(body), method === 'sanitizeUserPrompt' ? 'userPromptData' : 'modelResponseData');
      asked.push({ method, template, text });
      const result = { sanitizationResult: resultOf(text, lenient.has(template)) };
      return /enum-encoding=int/.test(url.searchParams.get('$alt') ?? '') ? inNumbers(result) : result;
    },
  };
}

/** The one field that this method has. */
function textIn(body: unknown, field: string): string {
  const fields = Object.entries(body as Record<string, { text?: unknown }>);
  const [[name, data] = []] = fields;
  if (fields.length !== 1 || name !== field || typeof data?.text !== 'string' || data.text === '') {
    throw new GoogleError(400, 'INVALID_ARGUMENT');
  }
  return data.text;
}

function resultOf(text: string, ignorePartialInvocationFailures: boolean): unknown {
  const isLong = text.length > MOST_CHARACTERS;
  const isPartial = isLong || text.includes(MARKS.partial);
  const found = (mark: string): string => (text.includes(mark) && !isLong ? 'MATCH_FOUND' : 'NO_MATCH_FOUND');
  const ran = (mark: string) => ({
    executionState: isPartial ? 'EXECUTION_SKIPPED' : 'EXECUTION_SUCCESS',
    ...(isPartial ? { messageItems: [{ messageType: 'ERROR', message: `Skipped: ${text.slice(0, 20)}` }] } : {}),
    matchState: found(mark),
  });
  const matched = (mark: string) => ({ ...ran(mark), executionState: 'EXECUTION_SUCCESS', messageItems: [] });
  const ofType = (filterType: string, matchState: string) => ({
    filterType,
    matchState,
    ...(matchState === 'MATCH_FOUND' ? { confidenceLevel: 'HIGH' } : {}),
  });
  const any =
    !isLong && [MARKS.injection, MARKS.dangerous, MARKS.sensitive, MARKS.uri].some((one) => text.includes(one));
  return {
    filterMatchState: any ? 'MATCH_FOUND' : 'NO_MATCH_FOUND',
    invocationResult: isPartial ? 'PARTIAL' : 'SUCCESS',
    sanitizationMetadata: ignorePartialInvocationFailures ? { ignorePartialInvocationFailures } : {},
    filterResults: {
      csam: { csamFilterFilterResult: matched('MARK-none') },
      malicious_uris: { maliciousUriFilterResult: matched(MARKS.uri) },
      pi_and_jailbreak: { piAndJailbreakFilterResult: ran(MARKS.injection) },
      rai: {
        raiFilterResult: {
          ...matched(MARKS.dangerous),
          raiFilterTypeResults: {
            dangerous: ofType('DANGEROUS', found(MARKS.dangerous)),
            harassment: ofType('HARASSMENT', 'NO_MATCH_FOUND'),
            hate_speech: ofType('HATE_SPEECH', 'NO_MATCH_FOUND'),
            sexually_explicit: ofType('SEXUALLY_EXPLICIT', 'NO_MATCH_FOUND'),
          },
        },
      },
      sdp: { sdpFilterResult: { inspectResult: matched(MARKS.sensitive) } },
    },
  };
}

function inNumbers(value: unknown): unknown {
  if (typeof value === 'string') return NUMBERS[value] ?? value;
  if (Array.isArray(value)) return value.map(inNumbers);
  if (typeof value !== 'object' || value === null) return value;
  return Object.fromEntries(Object.entries(value).map(([key, member]) => [key, inNumbers(member)]));
}
